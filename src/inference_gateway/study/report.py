"""Measurements → a DICOM Structured Report (PS3.16 TID 1500) of the images. Needs the extra `highdicom`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from inference_gateway.extras import extra
from inference_gateway.study.identity import LESION, Algorithm, Measurement
from inference_gateway.study.images import Image
from inference_gateway.study.patient import belong
from inference_gateway.study.sources import headers_of, needed
from inference_gateway.study.volume import Volume

with extra("highdicom", needs=__name__):
    from highdicom import sr

# Scheme of codes that no standard has (PS3.16 8: private ones begin with 99).
_PRIVATE = "99INFGW"


@dataclass(frozen=True)
class Finding:
    """What was measured of one thing: its name, what it is, and the numbers.

    `image`: the one that it was measured in. `segment`: its number, from 1, in the segmentation that the
    report is made with. With neither it is of the whole series.
    """

    label: str
    measurements: Sequence[Measurement]
    type: Code = LESION
    image: Image | None = None
    segment: int | None = None
    tracking_uid: str = field(default_factory=lambda: str(generate_uid(prefix=None)))


def make_report(
    volume: Volume | Image,
    findings: Sequence[Finding],
    *,
    algorithm: Algorithm,
    segmentation: Dataset | None = None,
    series_number: int = 1002,
    description: str = "Measurements",
) -> Dataset:
    """Return findings as a Comprehensive SR that refers to the images of a volume, or to one image.

    `segmentation` is what `make_segmentation` returned, for findings that name a segment of it. Raises
    `ValueError` where one names a segment and there is none, `StudyError` where the images cannot be referred
    to.
    """
    frames = (volume.frame,) if isinstance(volume, Image) else volume.frames
    headers = headers_of(frames)
    evidence: list[Any] = [*headers]
    if segmentation is not None:
        headers[0].StudyInstanceUID = segmentation.StudyInstanceUID
        evidence.append(segmentation)
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(prefix=None),
            name=algorithm.name,
            manufacturer_name=algorithm.manufacturer,
            model_name=algorithm.name,
            serial_number=algorithm.serial,
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion
        if headers[0].get("Modality") == "CT"
        else Code("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[
            _group(one, algorithm, segmentation, headers[0].SeriesInstanceUID) for one in findings
        ],
        title=codes.DCM.ImagingMeasurementReport,
    )
    with needed("a report"):
        made = sr.ComprehensiveSR(
            evidence=evidence,
            content=content[0],
            series_instance_uid=generate_uid(prefix=None),
            series_number=series_number,
            sop_instance_uid=generate_uid(prefix=None),
            instance_number=1,
            manufacturer=algorithm.manufacturer,
            is_complete=True,
            series_description=description,
        )
    belong(made, frames[0].instance.read_header())
    return made


def _group(
    finding: Finding, algorithm: Algorithm, segmentation: Dataset | None, series_instance_uid: str
) -> Any:
    told: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(finding.tracking_uid, finding.label),
        "finding_type": finding.type,
        "algorithm_id": sr.AlgorithmIdentification(algorithm.name, algorithm.version),
        "measurements": [_measurement(one) for one in finding.measurements],
    }
    if finding.segment is not None:
        if segmentation is None:
            raise ValueError("a finding names a segment, and the report is made without a segmentation")
        referenced = sr.ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            finding.segment,
            source_series=sr.SourceSeriesForSegmentation(series_instance_uid),
        )
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=referenced, **told)
    if finding.image is not None:
        several = finding.image.frame.instance.number_of_frames > 1
        source = sr.SourceImageForMeasurementGroup(
            finding.image.frame.instance.sop_class_uid,
            finding.image.sop_instance_uid,
            [finding.image.frame_number] if several else None,
        )
        told["source_images"] = [source]
    return sr.MeasurementsAndQualitativeEvaluations(**told)


def _measurement(measurement: Measurement) -> Any:
    name = measurement.name
    if isinstance(name, str):
        name = Code(name[:16], _PRIVATE, name)
    return sr.Measurement(name, measurement.value, Code(measurement.unit, "UCUM", measurement.unit))
