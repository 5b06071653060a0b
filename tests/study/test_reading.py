"""The inputs of a request become series, and what is none is set apart with its reason."""

import io

import numpy as np
import pytest

from inference_gateway.study import SetApart, StudyError, read_study
from tests.dicom.objects import as_file, image
from tests.dicom.returned import report, segmentation
from tests.study.making import ct, shuffled


def test_localizers_segmentations_and_what_is_no_image_are_set_apart() -> None:
    scout = image(np.zeros((9, 9), np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    labels = segmentation(np.ones((1, 8, 8), np.uint8), [])
    others = [as_file(one) for one in (scout, labels, report())]
    study = read_study([*others, io.BytesIO(b"a note"), *shuffled(ct(4))])
    assert study.set_apart == (
        SetApart(0, "a localizer"),
        SetApart(1, "a segmentation"),
        SetApart(2, "no pixels"),
        SetApart(3, "not a DICOM file"),
    )
    (series,) = study.series
    assert study.volume().shape == series.volume().shape == (4, 12, 10)


def test_images_are_in_order_of_arrival() -> None:
    datasets = ct(3)[::-1]
    datasets.append(image(np.zeros((2, 4, 4), np.uint8), NumberOfFrames=2, SeriesInstanceUID="1.2.8"))
    images = read_study([as_file(one) for one in datasets]).images
    assert [one.index for one in images] == [0, 1, 2, 3, 3]
    assert [one.sop_instance_uid for one in images[:3]] == [one.SOPInstanceUID for one in datasets[:3]]
    assert images[4].reference == {"SOPInstanceUID": datasets[3].SOPInstanceUID, "frame_number": 2}


def test_the_one_volume_is_that_of_the_only_series_of_planes() -> None:
    flat = image(np.zeros((4, 4), np.int16), SeriesInstanceUID="1.2.8", Modality="CR")
    files = [as_file(flat), *shuffled(ct(4))]
    assert read_study(files).volume().series_instance_uid == "1.2.3.4"
    assert read_study(files).volume("CT").modality == "CT"


def test_a_study_of_two_volumes_or_of_none_says_so() -> None:
    second = ct(3, SeriesInstanceUID="1.2.8", Modality="MR")
    study = read_study(shuffled([*ct(4), *second]))
    assert study.volume("MR").shape[0] == 3
    told = "^the study has 2 series of images that have several planes, and exactly one is wanted$"
    with pytest.raises(StudyError, match=told):
        study.volume()
    with pytest.raises(StudyError, match=r"^the study has no PT images that can be read: 0 inputs were set"):
        study.volume("PT")
    with pytest.raises(StudyError, match=r"no images that can be read: 1 input was set apart$"):
        read_study([io.BytesIO(b"x")]).volume()


def test_a_single_image_is_a_volume_of_one_plane() -> None:
    assert read_study([as_file(ct(1)[0])]).volume().shape == (1, 12, 10)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of half a UID
def test_an_image_that_is_cut_anywhere_in_its_header_is_missed() -> None:
    whole = as_file(ct(6)[5]).getvalue()
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    for cut in range(132, pixels + 8, 7):
        study = read_study([*shuffled(ct(5)), io.BytesIO(whole[:cut])])
        with pytest.raises(StudyError, match=r"(1 of the inputs may be an image|1 image of its series left)"):
            study.volume()
        assert study.volume(strict=False).shape == (5, 12, 10)


def test_representations_show_nothing_of_a_patient() -> None:
    study = read_study(shuffled(ct(2)))
    shown = repr([study, *study.series, *study.images, study.volume()])
    assert "1.2.3" not in shown


def test_inputs_are_left_at_their_start() -> None:
    inputs = [*shuffled(ct(3)), io.BytesIO(b"a note")]
    study = read_study(inputs)
    assert [one.tell() for one in inputs] == [0] * 4
    study.volume()
    study.images[0].header()
    assert [one.tell() for one in inputs] == [0] * 4
