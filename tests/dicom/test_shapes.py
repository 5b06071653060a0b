"""What a model may find, as data: regions and their windows, lines and their points."""

import numpy as np

from inference_gateway.dicom.hues import COLORS, Colors
from inference_gateway.dicom.shapes import Heatmap, Line, Mask, Painted


def test_regions_are_found_once_and_have_a_window() -> None:
    values = np.zeros((9, 11), np.uint8)
    values[2:5, 3:7] = 200
    mask = Mask(values)
    assert mask.regions is mask.regions
    assert mask.regions.numbers == (1,)
    assert mask.regions.window == (slice(2, 5), slice(3, 7))
    assert Mask(values * 0).regions.numbers == ()


def test_names_come_from_the_map_then_from_label_and_number() -> None:
    mask = Mask(np.zeros((1, 1)), "numeric_label_mask", "lung", label_map={1: "left"})
    assert [mask.name_of(number) for number in (1, 2)] == ["left", "lung 2"]
    assert Mask(np.zeros((1, 1)), "numeric_label_mask").name_of(3) == ""
    assert Mask(np.zeros((1, 1)), label="cyst").name_of(1) == "cyst"


def test_things_without_a_name_take_turns_on_their_image() -> None:
    masks = [Mask(np.ones((1, 1)), "boolean_mask"), Mask(np.ones((1, 1)), "boolean_mask")]
    colors = Colors()
    for _ in range(2):
        found = [regions for _, regions in Painted(masks, colors).regions()]
        assert found == [[("", COLORS[0])], [("", COLORS[1])]]


def test_a_line_has_all_its_points_and_a_heatmap_knows_that_it_is_empty() -> None:
    assert Line((0, 0), (1, 1), more=((2, 2),)).points == ((0, 0), (1, 1), (2, 2))
    palette = np.zeros((256, 4), np.uint8)
    palette[9, 3] = 1
    assert Heatmap(np.array([[0, 8]], np.uint8), palette).empty
    assert not Heatmap(np.array([[0, 9]], np.uint8), palette).empty
