"""The tables of docs/dicom.md are what happens; `python -m tests.dicom.test_document` writes them anew."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, uid
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from inference_gateway.dicom import codecs, segments
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.pixels import PixelDataError, Pixels, attempt_frames, display_values
from inference_gateway.dicom.presentation import AS_IT_IS
from inference_gateway.dicom.series import read_study
from inference_gateway.infer.drawings import Drawings
from inference_gateway.infer.objects import Objects
from tests.dicom.encoded import LOSSLESS, LOSSY, encoded, smooth
from tests.dicom.objects import as_file, color_image, image, plane
from tests.dicom.returned import group, item, presentation, report, segmentation
from tests.dicom.without_codecs import undecodable_without_codecs

DOCUMENT = Path(__file__).parents[2] / "docs" / "dicom.md"

NATIVE = (
    *(uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian),
    *(uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian),
)

AXIAL = {
    "ImagePositionPatient": [0, 0, 0],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [1, 1],
}


def outcome(source: Dataset | io.BytesIO) -> str:
    """What comes of an object: drawn, with what is irregular of it, or not, and with which sentence."""
    study = read_study([as_file(source) if isinstance(source, Dataset) else source])
    if study.skipped:
        return f"not read: {study.skipped[0].reason}"
    (stack,) = study.series[0].stacks
    shown = [drawn(pixels) for pixels in attempt_frames(stack.frames)]
    return "; ".join([shown[0], *stack.irregularities])


def drawn(pixels: Pixels | PixelDataError) -> str:
    if isinstance(pixels, PixelDataError):
        return f"not drawn: {pixels}"
    return "drawn in colour" if display_values(pixels).ndim == 3 else "drawn in grey"


def of_syntax(syntax: UID) -> Dataset | io.BytesIO:
    """An image in a transfer syntax; in those that nothing here encodes, with some bytes for a frame."""
    frames = smooth("u1", 8)
    if syntax in NATIVE:
        dataset = image(frames[0], Modality="OT")
        dataset.file_meta.TransferSyntaxUID = syntax
        return dataset
    if syntax in (*LOSSLESS, *LOSSY, uid.RLELossless):
        bits = {"BitsStored": 12, "HighBit": 11} if syntax == uid.JPEGExtended12Bit else {}
        return encoded(smooth("u2", 12) if bits else frames, syntax, **bits)
    whole = as_file(encoded(frames, uid.JPEG2000)).getvalue()
    return io.BytesIO(whole.replace(_element(uid.JPEG2000), _element(syntax), 1))


def _element(syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return b"\x02\x00\x10\x00UI" + len(value).to_bytes(2, "little") + value


def syntaxes() -> Iterator[tuple[str, ...]]:
    yield "transfer syntax", "with `codecs`", "with `dicom` alone"
    without = undecodable_without_codecs()
    for syntax in uid.AllTransferSyntaxes:
        if "SMPTE" in syntax.name or "JPIP" in syntax.name:
            continue  # a stream, and a reference: there are no pixels in such a file
        found = outcome(of_syntax(syntax))
        alone = f"not read: {without[syntax]}" if without[syntax] else found
        if syntax == uid.JPEGExtended12Bit:
            alone = f"8 bits: {found}; 12 bits: not drawn: {codecs.missing(syntax)}"
        yield syntax.name, found, "the same" if alone == found else alone
    yield "one that is not of the standard", outcome(of_syntax(UID("1.2.840.113619.5.2"))), "the same"
    yield "none", outcome(of_syntax(UID(""))), "the same"


def interpretations() -> Iterator[tuple[str, ...]]:
    yield "photometric interpretation", "outcome"
    grey = smooth("u1", 8)[0]
    for name in ("MONOCHROME1", "MONOCHROME2"):
        yield name, outcome(image(grey, Modality="OT", PhotometricInterpretation=name))
    yield "PALETTE COLOR", outcome(palette(grey))
    yield "PALETTE COLOR without its palette", outcome(image(grey, PhotometricInterpretation="PALETTE COLOR"))
    colors = np.zeros((4, 4, 3), np.uint8)
    for name in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"):
        dataset = color_image(colors, PhotometricInterpretation=name)
        if name.endswith("422"):
            dataset.PixelData = bytes(32)
        yield name, outcome(dataset)
    for name in ("YBR_RCT", "YBR_ICT"):
        dataset = encoded(colors[None], uid.JPEG2000Lossless)
        dataset.PhotometricInterpretation = name
        yield f"{name} (JPEG 2000)", outcome(dataset)
    for name in ("HSV", "ARGB", "CMYK", "XYB"):
        yield name, outcome(color_image(colors, PhotometricInterpretation=name))


def palette(pixels: np.ndarray) -> Dataset:
    dataset = image(pixels, PhotometricInterpretation="PALETTE COLOR", Modality="US")
    for name in ("Red", "Green", "Blue"):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", bytes(range(256)))
    return dataset


def objects() -> Iterator[tuple[str, ...]]:
    yield "kind of object", "in a study", "returned by a model, in `infer`"
    for sop_class, modality, attributes in IMAGES:
        yield both(an_image(sop_class, modality, attributes))
    floats = image(np.zeros((4, 4), np.float32), SOPClassUID=uid.ParametricMapStorage, Modality="OT")
    data = floats.PixelData
    del floats.PixelData
    floats.FloatPixelData = data
    yield both(floats)
    segment = np.ones((1, 4, 4), np.uint8)
    yield both(segmentation(segment, [group(1, image=IN_STUDY)]))
    labels = segmentation(segment, [group(1, image=IN_STUDY)], "LABELMAP")
    labels.SOPClassUID = labels.file_meta.MediaStorageSOPClassUID = UID(segments.SOP_CLASSES[1])
    yield ("Label Map Segmentation Storage", *both(labels)[1:])  # newer than pydicom
    for sop_class in REPORTS:
        written = report()
        written.SOPClassUID = written.file_meta.MediaStorageSOPClassUID = sop_class
        yield both(written)
    for sop_class in PRESENTATIONS:
        state = presentation(IN_STUDY, PresentationLUTShape="INVERSE")
        state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = sop_class
        yield both(state)
    for sop_class in WITHOUT_PIXELS:
        dataset = image(np.zeros((4, 4), np.uint16), SOPClassUID=sop_class)
        del dataset.PixelData
        yield both(dataset)
    text = b"%PDF-1.7 and what follows"
    yield "a file that is no DICOM", outcome(io.BytesIO(text)), returned(text)


def an_image(sop_class: UID, modality: str, attributes: dict[str, Any]) -> Dataset:
    frames = attributes.get("NumberOfFrames")
    pixels = np.zeros((frames, 4, 4) if frames else (4, 4), attributes.get("dtype", np.uint16))
    described = {keyword: value for keyword, value in attributes.items() if keyword != "dtype"}
    return image(pixels, SOPClassUID=sop_class, Modality=modality, **described)


def both(dataset: Dataset) -> tuple[str, ...]:
    return UID(dataset.SOPClassUID).name, outcome(dataset), returned(as_file(dataset).getvalue())


def returned(value: bytes) -> str:
    """What `infer` makes of an object that comes back for a study of one image, `IN_STUDY`."""
    of_study = image(np.zeros((4, 4), np.uint16), SOPInstanceUID=IN_STUDY, **AXIAL)
    drawings = Drawings(read_study([as_file(of_study)]))
    found = Objects(drawings, Limits())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "element-000.dcm"
        path.write_bytes(value)
        found.add(0, path)
    (drawing,) = drawings.all()
    told = {
        "a picture of each frame": found.groups,
        "text in the report": found.texts,
        "drawn over the images that it was made from": drawing.layers,
        "applied to the images that it names": drawing.view != AS_IT_IS,
    }
    return "; ".join(
        [
            *(what for what, is_so in told.items() if is_so),
            *(note.removeprefix("element 0 is ") for note in drawings.notes),
        ]
    )


IN_STUDY = "1.9.1"

REPORTS = (uid.BasicTextSRStorage, uid.ComprehensiveSRStorage, uid.KeyObjectSelectionDocumentStorage)

PRESENTATIONS = (uid.GrayscaleSoftcopyPresentationStateStorage, uid.ColorSoftcopyPresentationStateStorage)

DOSE = {"GridFrameOffsetVector": [0, 2, 4], "DoseGridScaling": "0.01", "dtype": np.uint32}

ENHANCED = {
    "NumberOfFrames": 3,
    "ImageOrientationPatient": AXIAL["ImageOrientationPatient"],
    "PixelSpacing": AXIAL["PixelSpacing"],
    "PerFrameFunctionalGroupsSequence": [
        item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2 * at])]) for at in range(3)
    ],
}

DETECTED = {
    "NumberOfFrames": 3,
    "PixelSpacing": AXIAL["PixelSpacing"],
    "DetectorInformationSequence": [
        item(ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL["ImageOrientationPatient"])
    ],
    "SliceVector": [1, 2, 3],
    "SpacingBetweenSlices": 4,
}

IMAGES: list[tuple[UID, str, dict[str, Any]]] = [
    (uid.CTImageStorage, "CT", AXIAL),
    (uid.MRImageStorage, "MR", AXIAL),
    (uid.PositronEmissionTomographyImageStorage, "PT", AXIAL),
    (uid.ComputedRadiographyImageStorage, "CR", {}),
    (uid.DigitalXRayImageStorageForPresentation, "DX", {}),
    (uid.DigitalMammographyXRayImageStorageForPresentation, "MG", {}),
    (uid.XRayAngiographicImageStorage, "XA", {"NumberOfFrames": 3}),
    (uid.UltrasoundImageStorage, "US", {"dtype": np.uint8}),
    (uid.UltrasoundMultiFrameImageStorage, "US", {"dtype": np.uint8, "NumberOfFrames": 3}),
    (uid.NuclearMedicineImageStorage, "NM", DETECTED),
    (uid.SecondaryCaptureImageStorage, "OT", {}),
    (uid.OphthalmicPhotography8BitImageStorage, "OP", {"dtype": np.uint8}),
    (uid.RTImageStorage, "RTIMAGE", {}),
    (uid.RTDoseStorage, "RTDOSE", {**AXIAL, **DOSE, "NumberOfFrames": 3}),
    (uid.EnhancedCTImageStorage, "CT", ENHANCED),
    (uid.EnhancedMRImageStorage, "MR", ENHANCED),
    (uid.BreastTomosynthesisImageStorage, "MG", ENHANCED),
    (uid.OphthalmicTomographyImageStorage, "OPT", ENHANCED),
    (uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage, "OT", {"dtype": np.uint8, "NumberOfFrames": 3}),
    (uid.VLEndoscopicImageStorage, "ES", {"dtype": np.uint8}),
    (uid.VLWholeSlideMicroscopyImageStorage, "SM", {"NumberOfFrames": 3, "TotalPixelMatrixColumns": 12}),
]

WITHOUT_PIXELS = (
    *(uid.BlendingSoftcopyPresentationStateStorage, uid.RTStructureSetStorage, uid.RTPlanStorage),
    *(uid.EncapsulatedPDFStorage, uid.TwelveLeadECGWaveformStorage, uid.SpatialRegistrationStorage),
    *(uid.SurfaceSegmentationStorage, uid.RawDataStorage),
)


def rendered() -> str:
    """The document with its tables as they really are."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, rows in {"syntaxes": syntaxes, "interpretations": interpretations, "objects": objects}.items():
        head, *body = rows()
        lines = [head, ("---",) * len(head), *body]
        table = "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
        before, rest = text.split(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    return text


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is put together here against the standard
def test_the_tables_of_the_document_are_true() -> None:
    assert rendered() == DOCUMENT.read_text(encoding="utf-8")


def test_every_class_of_images_is_drawn() -> None:
    classes = [UID(one) for one, (_, kind, *_) in UID_dictionary.items() if kind == "SOP Class"]
    images = [one for one in classes if one.name.endswith("Image Storage")]
    assert len(images) > 50
    for sop_class in images:
        assert outcome(an_image(sop_class, "OT", {"dtype": np.uint8})).startswith("drawn in grey")


def test_the_example_of_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.S)
    inputs = [*(as_file(plane(2.5 * number)) for number in range(4)), io.BytesIO(b"no DICOM")]
    exec(example, {"inputs": inputs})
    assert capsys.readouterr().out == "(4, 2, 3) (2.5, 0.5, 0.25) 1 ()\n4 not a DICOM file\n"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(), encoding="utf-8")
