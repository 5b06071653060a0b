"""The entry of `parts` for a mask has its shape and the UIDs of what it lies over."""

import io

import numpy as np
import pytest

from inference_gateway.results import Answer
from inference_gateway.results.sources import frames_of
from inference_gateway.study import mask_part, read_study
from tests.dicom.objects import as_file, image
from tests.study.making import ct, phases, series_of, volume_of


def test_a_mask_of_a_volume() -> None:
    mask = np.zeros((5, 12, 10), np.uint8)
    expected = {
        "binary_type": "probability_mask",
        "binary_data_shape": {"timepoints": 1, "depth": 5, "height": 12, "width": 10},
        "SeriesInstanceUID": "1.2.3.4",
        "label": "lung",
    }
    assert mask_part(volume_of(ct(5)), mask, label="lung") == expected
    assert mask_part(series_of(ct(5)), mask[None], label="lung") == expected


def test_a_mask_of_each_timepoint() -> None:
    part = mask_part(series_of(phases(4, 3)), np.zeros((3, 4, 12, 10), np.uint8), binary_type="boolean_mask")
    assert part["binary_data_shape"] == {"timepoints": 3, "depth": 4, "height": 12, "width": 10}
    assert part["binary_type"] == "boolean_mask"


def test_a_mask_of_an_image() -> None:
    dataset = image(np.zeros((2, 4, 6), np.uint8), NumberOfFrames=2)
    second = read_study([as_file(dataset)]).images[1]
    part = mask_part(second, np.zeros((4, 6), np.uint8))
    assert part["binary_data_shape"] == {"height": 4, "width": 6}
    assert part["dicom_image"] == {"SOPInstanceUID": dataset.SOPInstanceUID, "frame_number": 2}


@pytest.mark.filterwarnings("ignore")  # pydicom says what is wrong
def test_an_image_that_says_its_frames_in_no_number_has_one() -> None:
    dataset = image(np.zeros((4, 6), np.uint8), SOPInstanceUID="1.9.1")
    dataset.add_new("NumberOfFrames", "IS", "11")
    wrong = as_file(dataset).getvalue().replace(b"IS\2\x0011", b"IS\2\x001A")
    (only,) = read_study([io.BytesIO(wrong)]).images
    part = mask_part(only, np.zeros((4, 6), np.uint8))
    assert part["dicom_image"] == {"SOPInstanceUID": "1.9.1"}
    assert frames_of(only.header()) == 1


@pytest.mark.parametrize("shape", [(10, 12, 5), (12, 10), (5, 10, 12), (2, 5, 12, 10), (5, 12, 10, 1)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^the array is .*, and the series (is|has) 5"):
        mask_part(volume_of(ct(5)), np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.int64])
def test_a_mask_of_another_type_is_refused(dtype: type) -> None:
    with pytest.raises(ValueError, match="a mask is uint8, and this one is "):
        mask_part(volume_of(ct(5)), np.zeros((5, 12, 10), dtype))


def test_images_and_series_of_a_study_are_what_findings_lie_on() -> None:
    datasets = ct(2)
    datasets.append(image(np.zeros((3, 4, 5), np.int16), NumberOfFrames=3, SeriesInstanceUID="1.2.8"))
    answer = Answer()
    inputs = [as_file(one) for one in datasets]
    for each in read_study(inputs).images:
        mask = np.zeros(each.shape, np.uint8)
        answer.mask(mask, each, label="x")
        answer.box(each, (1, 1), (2, 2))
        answer.measurement(each, (1, 1), (2, 2))
        answer.series_labels(each, {"seen": True})
        with pytest.raises(ValueError, match="and the image is"):
            answer.mask(mask[1:], each, label="x")
        with pytest.raises(IndexError):
            answer.box(each, (1, 1), (2, 2), plane=1)
    told, elements = answer.result()
    uids = [one.SOPInstanceUID for one in datasets]
    named = [{"SOPInstanceUID": uid} for uid in uids[:2]]
    named += [{"SOPInstanceUID": uids[2], "frame_number": number} for number in (1, 2, 3)]
    assert [part["dicom_image"] for part in told["parts"]] == named
    for key in ("bounding_boxes_2d", "linear_measurements_2d"):
        assert [
            {name: one[name] for name in one if "UID" in name or "number" in name} for one in told[key]
        ] == named
    assert told["series_ml_json"] == {"1.2.3.4": {"seen": True}, "1.2.8": {"seen": True}}
    assert len(elements) == 5
