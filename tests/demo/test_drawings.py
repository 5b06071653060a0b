"""What an answer says ends up on the plane that it speaks of."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_gateway.demo.drawings import Drawing, Drawings
from inference_gateway.dicom.series import Study, read_study
from tests.dicom.objects import as_file, image, plane

FIRST, SECOND = "1.2.3.4", "1.2.3.5"


def study() -> Study:
    """A series of three planes that came upside down and one of another size, and a cine of two frames."""
    sources = [plane(z, SOPInstanceUID=f"1.9.{z}") for z in (3, 2, 1)]
    sources.append(image(np.zeros((4, 4), np.int16), SOPInstanceUID="1.9.4"))
    cine = image(
        np.zeros((2, 5, 5), np.uint8), NumberOfFrames=2, SeriesInstanceUID=SECOND, SOPInstanceUID="1.9.5"
    )
    return read_study(map(as_file, [*sources, cine]))


@pytest.fixture
def drawings() -> Drawings:
    return Drawings(study())


def part(**reference: Any) -> dict[str, Any]:
    return {"binary_type": "probability_mask", "label": "cyst"} | reference


def masks(drawings: Drawings) -> dict[str, list[int]]:
    """The first value of each mask by the name of the picture."""
    return {one.name: [int(mask.values[0, 0]) for mask in one.masks] for one in drawings.all() if one.masks}


def test_planes_are_named_in_the_order_of_their_stacks(drawings: Drawings) -> None:
    assert [(one.name, one.frame.instance.sop_instance_uid) for one in drawings.all()] == [
        ("series-1-stack-1-plane-001", "1.9.1"),
        ("series-1-stack-1-plane-002", "1.9.2"),
        ("series-1-stack-1-plane-003", "1.9.3"),
        ("series-1-stack-2-plane-001", "1.9.4"),
        ("series-2-plane-001", "1.9.5"),
        ("series-2-plane-002", "1.9.5"),
    ]
    assert all(one.empty for one in drawings.all())


def volume(*values: int, shape: tuple[int, int] = (2, 3)) -> NDArray[np.uint8]:
    """One timepoint; every plane holds one value."""
    return np.array(values, np.uint8)[None, :, None, None] * np.ones(shape, np.uint8)


def test_planes_of_a_mask_go_to_the_planes_of_its_series(drawings: Drawings) -> None:
    drawings.add_mask(part(SeriesInstanceUID=FIRST), volume(10, 200, 30))
    assert masks(drawings) == {
        f"series-1-stack-1-plane-{at:03d}": [v] for at, v in ((1, 10), (2, 200), (3, 30))
    }
    assert [one.name for one in drawings.all() if not one.empty] == ["series-1-stack-1-plane-002"]
    assert drawings.all()[0].masks[0].label == "cyst"


def test_masks_of_one_series_go_to_stacks_of_their_shape_in_turn(drawings: Drawings) -> None:
    drawings.add_mask(part(SeriesInstanceUID=FIRST), volume(9, shape=(4, 4)))
    drawings.add_mask(part(SeriesInstanceUID=FIRST), volume(8, shape=(4, 4)))  # there is no second one
    drawings.add_mask(part(SeriesInstanceUID=SECOND), volume(7, shape=(5, 5)))  # nor one of a single plane
    assert masks(drawings) == {"series-1-stack-2-plane-001": [9]}


def test_a_mask_of_an_image_goes_to_the_frame_that_it_names(drawings: Drawings) -> None:
    drawings.add_mask(part(dicom_image={"SOPInstanceUID": "1.9.3"}), np.full((2, 3), 3, np.uint8))
    drawings.add_mask(
        part(dicom_image={"SOPInstanceUID": "1.9.5", "frame_number": 2}), np.full((5, 5), 5, np.uint8)
    )
    drawings.add_mask(part(SOPInstanceUID="1.9.2"), np.full((2, 3), 2, np.uint8))
    drawings.add_mask(part(dicom_image={"SOPInstanceUID": "9.9"}), np.full((2, 3), 9, np.uint8))
    assert masks(drawings) == {
        "series-1-stack-1-plane-002": [2],
        "series-1-stack-1-plane-003": [3],
        "series-2-plane-002": [5],
    }


def test_boxes_go_to_the_images_that_they_name(drawings: Drawings) -> None:
    box = {"label": "cyst", "SOPInstanceUID": "1.9.2", "top_left": [0, 1], "bottom_right": [2, 1]}
    drawings.add_boxes([box, box | {"SOPInstanceUID": "9.9"}])
    (drawn,) = [one for one in drawings.all() if not one.empty]
    assert drawn.name == "series-1-stack-1-plane-002"
    assert [(one.top_left, one.bottom_right, one.label) for one in drawn.boxes] == [((0, 1), (2, 1), "cyst")]


def labels(drawings: Drawings) -> dict[str, list[str]]:
    return {one.name: one.labels for one in drawings.all() if not one.empty}


def test_labels_go_to_the_middle_of_each_stack(drawings: Drawings) -> None:
    drawings.add_labels({FIRST: {"label": "cyst", "grade": 2}, "9.9": {"label": "none"}}, {"label": "sick"})
    assert labels(drawings) == {
        "series-1-stack-1-plane-002": ["series label: cyst", "series grade: 2", "study label: sick"],
        "series-1-stack-2-plane-001": ["series label: cyst", "series grade: 2", "study label: sick"],
        "series-2-plane-002": ["study label: sick"],
    }


def test_labels_may_be_plain_values(drawings: Drawings) -> None:
    drawings.add_labels({SECOND: "benign"}, {})
    assert labels(drawings) == {"series-2-plane-002": ["series: benign"]}


def test_a_drawing_without_anything_is_empty() -> None:
    frame = Drawings(study()).all()[0].frame
    assert Drawing(frame, "name").empty
    assert not Drawing(frame, "name", labels=["x"]).empty
