"""DICOM objects that a model may return: a segmentation, a structured report, a presentation state."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def item(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def an_object(sop_class: str, **attributes: Any) -> Dataset:
    made = item(
        SpecificCharacterSet="ISO_IR 192", SOPClassUID=sop_class, SOPInstanceUID=generate_uid(prefix=None)
    )
    made.update(item(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.8", **attributes))
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def segmentation(
    frames: NDArray[np.uint8], groups: list[Dataset], kind: str = "BINARY", **more: Any
) -> Dataset:
    """Frames of (frames, rows, columns), 0 or 1 where BINARY; two segments, liver and tumour."""
    binary = kind == "BINARY"
    bits = 1 if binary else 8
    described: dict[str, Any] = {
        "Modality": "SEG",
        "SegmentationType": kind,
        "NumberOfFrames": len(frames),
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PerFrameFunctionalGroupsSequence": groups,
        "SegmentSequence": [
            item(SegmentNumber=number, SegmentLabel=name) for number, name in ((1, "liver"), (2, "tumour"))
        ],
    }
    made = an_object(SEGMENTATION, **described | more)
    data = np.packbits(frames.ravel(), bitorder="little").tobytes() if binary else frames.tobytes()
    made.add_new("PixelData", "OB", data + bytes(len(data) % 2))
    return made


def group(segment: int, *, position: list[float] | None = None, image: str = "", frame: int = 0) -> Dataset:
    """The functional groups of a frame of a segment, which names its place or its image."""
    made = item(SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)])
    if position is not None:
        made.PlanePositionSequence = [item(ImagePositionPatient=position)]
    if image:
        source = item(ReferencedSOPInstanceUID=image)
        if frame:
            source.ReferencedFrameNumber = frame
        made.DerivationImageSequence = [item(SourceImageSequence=[source])]
    return made


def code(meaning: str) -> list[Dataset]:
    return [item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning=meaning)]


def content(kind: str, name: str, **attributes: Any) -> Dataset:
    return item(ValueType=kind, ConceptNameCodeSequence=code(name), **attributes)


def report(*items: Dataset) -> Dataset:
    return an_object(
        REPORT,
        Modality="SR",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code("Imaging Report"),
        ContentSequence=list(items),
    )


def presentation(image: str, **attributes: Any) -> Dataset:
    series = item(SeriesInstanceUID="1.2", ReferencedImageSequence=[item(ReferencedSOPInstanceUID=image)])
    return an_object(PRESENTATION, Modality="PR", ReferencedSeriesSequence=[series], **attributes)


def graphic(kind: str, data: list[float], units: str = "PIXEL") -> Dataset:
    return item(GraphicAnnotationUnits=units, GraphicType=kind, GraphicData=data)
