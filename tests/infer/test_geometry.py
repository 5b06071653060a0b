"""Points of an answer in pixels of their image: `test_drawings` has boxes and lines on a study."""

import pytest

from inference_gateway.dicom.series import Frame, read_study
from inference_gateway.infer.geometry import box_of, line_of, plain, size_of
from tests.dicom.objects import as_file, plane


@pytest.fixture
def frame() -> Frame:
    """2 x 3 pixels of 0.5 x 0.25 mm, whose corner lies at (4, -5, 6)."""
    (stack,) = read_study([as_file(plane(0))]).series[0].stacks
    return stack.frames[0]


def test_corners_and_ends_are_pixels(frame: Frame) -> None:
    box = box_of({"top_left": [0, 1], "bottom_right": [2, 1], "label": "cyst"}, frame)
    assert (box.top_left, box.bottom_right, box.label) == ((0, 1), (2, 1), "cyst")
    line = line_of({"start": [0, 0], "end": [0, 1], "label": "depth"}, frame)
    assert (line.points, line.label, line.name) == (((0, 0), (0, 1)), "depth 0.5 mm", "depth")
    world = {"coordinates_type": "world", "start": [4.0, -5.0, 6.0], "end": [4.5, -5.0, 6.0]}
    assert line_of(world, frame).points == ((0, 0), (2, 0))
    assert size_of(frame) == (2, 3)


@pytest.mark.parametrize("corner", [None, "0,1", [1], [1, "x"], [1, float("nan")], [1e8, 0]])
def test_what_is_no_point_near_the_image_is_an_error(frame: Frame, corner: object) -> None:
    with pytest.raises(ValueError, match=r"two numbers each|outside of its image"):
        box_of({"top_left": corner, "bottom_right": [1, 1]}, frame)


def test_text_is_one_line_of_what_can_be_shown() -> None:
    assert plain("a\nb\0c") == "a b c"
    assert plain("x" * 100) == "x" * 79 + "…"
    assert plain(1.5) == "1.5"
