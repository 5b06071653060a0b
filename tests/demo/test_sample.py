"""The sample study: the phantom and real images, without network."""

from pathlib import Path

import pytest

from inference_gateway.demo import sample
from inference_gateway.dicom.pixels import display_values, read_frames
from inference_gateway.dicom.series import read_study


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refused)


def test_all_of_the_sample_study_can_be_read_and_shown(tmp_path: Path) -> None:
    paths = sample.write_sample_study(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    study = read_study(paths)
    assert not study.skipped
    assert [series.modality for series in study.series] == ["CT", "CT", "MR", "MR", "US"]
    assert len(study.series[0].instances) == 48
    for series in study.series:
        for pixels in read_frames(stack.frames[0] for stack in series.stacks):
            assert display_values(pixels).std() > 20


def test_a_pydicom_without_its_images_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "get_testdata_file", lambda name, download: None)
    with pytest.raises(FileNotFoundError, match=r"CT_small\.dcm: install the pydicom wheel"):
        sample.write_real_images(tmp_path)
