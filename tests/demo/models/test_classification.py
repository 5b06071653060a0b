import numpy as np
import pytest

from inference_gateway.demo.models.classification import classification
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, image, plane


def test_a_series_with_a_lesion_is_labelled_with_its_volume() -> None:
    document, elements = classification(None, files(), "")
    assert (document["parts"], elements) == ([], [])
    (entry,) = document["series_ml_json"].values()
    assert list(document["series_ml_json"]) == [PHANTOM.uid("series")]
    assert entry["label"] == "lesion"
    assert entry["images"] == 32
    assert entry["volume_ml"] == pytest.approx(4 / 3 * np.pi * 1.8 * 1.5 * 2.0, rel=0.1)
    assert document["study_ml_json"] == {"label": "lesion", "series": 1}


def test_series_are_labelled_one_by_one_and_the_study_with_all_of_them() -> None:
    bright = np.zeros((9, 9), np.uint8)
    bright[2:7, 2:7] = 100
    sources = [*files(), as_file(image(bright, Modality="US", SeriesInstanceUID="1.7")), as_file(plane(0))]
    document, _ = classification(None, sources, "")
    labels = {uid: entry["label"] for uid, entry in document["series_ml_json"].items()}
    assert labels == {PHANTOM.uid("series"): "lesion", "1.7": "bright region", "1.2.3.4": "nothing found"}
    assert "volume_ml" not in document["series_ml_json"]["1.7"]  # it says no spacing
    assert document["study_ml_json"] == {"label": "bright region, lesion", "series": 3}


def test_of_several_stacks_the_one_with_most_counts() -> None:
    small, large = np.full((2, 9, 9), 40, np.int16)
    small[2:5, 2:6] = large[1:8, 1:8] = 180
    sources = [as_file(image(small)), as_file(image(large, PixelSpacing=[2, 2], SliceThickness=10))]
    document, _ = classification(None, sources, "")
    entry = document["series_ml_json"]["1.2.3.4"]
    assert entry["images"] == 2
    assert entry["volume_ml"] == pytest.approx(entry["voxels"] * 0.04)


def test_nothing_is_said_of_a_study_without_images() -> None:
    document, _ = classification(None, [], "")
    assert document["series_ml_json"] == {}
    assert document["study_ml_json"] == {"label": "nothing found", "series": 0}
