"""Findings become a structured report that names the images and the segmentation."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from inference_gateway.dicom.report_text import lines_of
from inference_gateway.study.identity import Algorithm, Measurement, Segment
from tests.dicom.objects import as_file
from tests.study.making import blob, ct, enhanced, validator_errors, volume_of

pytest.importorskip("highdicom", reason="needs highdicom")

from inference_gateway.study.report import Finding, make_report
from inference_gateway.study.segmentation import make_segmentation

ALGORITHM = Algorithm("Threshold", "1.0")
VOLUME = Measurement(codes.SCT.Volume, 12.5, "mL")


def test_it_says_what_was_measured_and_where(tmp_path: Path) -> None:
    volume = volume_of(ct(6, PatientName="Doe^Jane"))
    segmentation = make_segmentation(volume, blob(volume.shape), Segment("Lung"), algorithm=ALGORITHM)
    findings = [
        Finding("Lung", [VOLUME], codes.SCT.Lung, segment=1),
        Finding("Nodule", [Measurement(codes.SCT.Length, 7.25, "mm")], image=volume.images[3]),
        Finding("All of it", [Measurement("Score of my own kind", 3, "1")]),
    ]
    made = make_report(volume, findings, algorithm=ALGORITHM, segmentation=segmentation)
    assert validator_errors(made, tmp_path) == []
    read = dcmread(as_file(made))
    assert (read.PatientName, read.StudyInstanceUID) == ("Doe^Jane", "1.2.3")
    text = "\n".join(lines_of(read))
    for told in (
        "Volume",
        "12.5",
        "mL",
        "Length",
        "7.25",
        "mm",
        "Score of my own kind",
        "Nodule",
        "Threshold",
    ):
        assert told in text
    written = str(read)
    assert written.count(segmentation.SOPInstanceUID) >= 2
    assert all(uid in written for uid in volume.sop_instance_uids)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_one_image_or_one_frame_is_enough(modality: str, tmp_path: Path) -> None:
    for image in (volume_of(ct(1, Modality=modality)).images[0], volume_of([enhanced()]).images[1]):
        made = make_report(image, [Finding("x", [VOLUME], image=image)], algorithm=ALGORITHM)
        assert validator_errors(made, tmp_path) == []
        assert image.sop_instance_uid in str(made)


def test_a_segment_without_segmentation_is_refused() -> None:
    volume = volume_of(ct(3))
    assert np.isfinite(volume.values).all()
    with pytest.raises(ValueError, match="without a segmentation"):
        make_report(volume, [Finding("x", [VOLUME], segment=1)], algorithm=ALGORITHM)
