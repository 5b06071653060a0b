"""Drawings, pixel by pixel against what the words say."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inference_gateway.dicom.overlay import (
    COLORS,
    Box,
    Colors,
    Heatmap,
    Line,
    Mask,
    color_of,
    contact_sheet,
    contour,
    draw_layer,
    draw_overlay,
    legend,
    zoom_to,
)

GREY = np.full((9, 11), 100, np.uint8)


def rectangle(value: Any, dtype: Any = np.uint8) -> NDArray[Any]:
    """`value` in rows 2 to 6 and columns 3 to 8 of 9 x 11 pixels, 0 elsewhere."""
    values = np.zeros((9, 11), dtype)
    values[2:7, 3:9] = value
    return values


def drawn(masks: list[Mask], image: NDArray[np.uint8] = GREY, zoom: int = 1) -> NDArray[np.uint8]:
    return np.asarray(draw_overlay(image, masks=masks, zoom=zoom))


def expected(color: tuple[int, int, int], zoom: int = 1) -> NDArray[np.uint8]:
    """The rectangle over grey, made of rectangles: its edge is one pixel of the picture wide."""
    canvas = np.full((9 * zoom, 11 * zoom, 3), 100, np.uint8)
    canvas[2 * zoom : 7 * zoom, 3 * zoom : 9 * zoom] = color
    inside = [round(0.65 * 100 + 0.35 * one) for one in color]
    canvas[2 * zoom + 1 : 7 * zoom - 1, 3 * zoom + 1 : 9 * zoom - 1] = inside
    return canvas


@pytest.mark.parametrize("zoom", [1, 3])
@pytest.mark.parametrize(
    ("values", "binary_type"),
    [
        (rectangle(128), "probability_mask"),
        (rectangle(255), "probability_mask"),
        (rectangle(0.51, np.float32), "probability_mask"),
        (rectangle(1), "boolean_mask"),
        (rectangle(True, np.bool_), "boolean_mask"),
        (rectangle(True, np.bool_), "probability_mask"),
        (rectangle(1), "numeric_label_mask"),
    ],
)
def test_a_mask_is_a_tint_within_a_contour(values: NDArray[Any], binary_type: Any, zoom: int) -> None:
    assert np.array_equal(drawn([Mask(values, binary_type)], zoom=zoom), expected(COLORS[0], zoom))


@pytest.mark.parametrize(
    "mask",
    [
        Mask(rectangle(127), "probability_mask", "lesion"),
        Mask(rectangle(0.5, np.float64), "probability_mask", "lesion"),
        Mask(rectangle(0), "boolean_mask", "lesion"),
        Mask(rectangle(0), "numeric_label_mask", "lesion"),
    ],
)
def test_what_is_not_over_the_threshold_leaves_no_trace_and_no_label(mask: Mask) -> None:
    assert np.array_equal(drawn([mask]), np.full((9, 11, 3), 100))


def test_labels_have_colours_of_their_own_and_masks_take_turns() -> None:
    values = np.zeros((9, 11), np.uint8)
    values[0, 0], values[4, 4], values[8, 10] = 1, 2, 8
    canvas = drawn([Mask(values, "numeric_label_mask")])
    assert [tuple(canvas[at]) for at in ((0, 0), (4, 4), (8, 10))] == [COLORS[0], COLORS[1], COLORS[2]]
    other = np.zeros((9, 11), np.uint8)
    other[0, 0] = 255
    canvas = drawn([Mask(other), Mask(rectangle(255))])
    assert tuple(canvas[0, 0]) == COLORS[0]
    assert np.array_equal(canvas[1:], expected(COLORS[1])[1:])


def test_a_thing_has_one_colour_wherever_it_is_drawn() -> None:
    """By its name: on every image, whatever else is there, in the picture, in the layer and in the legend."""
    colors = Colors()
    first = np.asarray(draw_overlay(GREY, masks=[Mask(rectangle(255), label="liver")], colors=colors))
    both = [Mask(rectangle(255)[::-1], label="tumour"), Mask(rectangle(255), label="liver")]
    second = np.asarray(draw_overlay(GREY, masks=both, colors=colors))
    assert tuple(first[2, 3]) == tuple(second[2, 3]) == COLORS[0]
    numbered = Mask(rectangle(7), "numeric_label_mask", "organ", label_map={7: "liver"})
    assert legend([numbered], colors=colors) == [("liver", COLORS[0])]
    assert tuple(draw_layer(9, 11, [numbered], [], colors)[4, 5]) == (*COLORS[0], 255)
    box = np.asarray(draw_overlay(GREY, boxes=[Box((3, 2), (8, 6), "tumour")], colors=colors))
    assert (box == COLORS[1]).all(axis=2).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int16, np.float32])
def test_any_number_of_labels_takes_one_pass(dtype: Any) -> None:
    values = (
        np.arange(2500).reshape(50, 50).astype(dtype) if dtype != np.uint8 else np.arange(100).reshape(10, 10)
    )
    regions = Mask(values.astype(dtype), "numeric_label_mask").regions
    assert regions.numbers == tuple(int(one) for one in np.unique(values) if one)
    numbers = np.array([0, *regions.numbers])
    assert np.array_equal(numbers[regions.index], values)


def test_labels_of_64_bits_and_below_zero_are_regions_too() -> None:
    values = np.array([[0, 2**40, -3], [5, 2**40, 0]])
    regions = Mask(values, "numeric_label_mask").regions
    assert regions.numbers == (-3, 5, 2**40)
    assert regions.index.tolist() == [[0, 3, 1], [2, 3, 0]]


def test_outlines_leave_the_inside_as_it_is() -> None:
    canvas = np.asarray(draw_overlay(GREY, masks=[Mask(rectangle(255))], outlines=True))
    frame = expected(COLORS[0])
    frame[3:6, 4:8] = 100
    assert np.array_equal(canvas, frame)


@pytest.mark.parametrize(
    ("aspect", "zoom", "size"),
    [(2.0, 1, (11, 18)), (0.5, 1, (22, 9)), (1.5, 2, (22, 27)), (1e9, 1, (11, 180))],
)
def test_pixels_are_as_high_as_they_are_in_the_patient(
    aspect: float, zoom: int, size: tuple[int, int]
) -> None:
    mask = Mask(rectangle(255))
    picture = draw_overlay(GREY, masks=[mask], zoom=zoom, aspect=aspect)
    assert picture.size == size
    rows, columns = np.nonzero(changed(picture))
    width, height = size[0] / 11, size[1] / 9
    assert (columns.min(), columns.max() + 1) == pytest.approx((3 * width, 9 * width), abs=1)
    assert (rows.min(), rows.max() + 1) == pytest.approx((2 * height, 7 * height), abs=1)
    line = np.asarray(draw_overlay(GREY, lines=[Line((5, 4), (5, 4), "")], zoom=8, aspect=aspect))
    rows, columns = np.nonzero((line != 100).any(axis=2))
    assert columns.mean() == pytest.approx(5.5 * line.shape[1] / 11, abs=1.5)
    assert rows.mean() == pytest.approx(4.5 * line.shape[0] / 9, abs=1.5)


def test_a_line_may_bend() -> None:
    canvas = np.asarray(draw_overlay(GREY, lines=[Line((2, 2), (8, 2), more=((8, 6),))]))
    assert (canvas[2, 2:9] == COLORS[0]).all()
    assert (canvas[2:7, 8] == COLORS[0]).all()


def test_more_names_than_there_is_room_for_are_counted() -> None:
    names = {number: f"region {number}" for number in range(1, 100)}
    mask = Mask(np.arange(100).reshape(10, 10), "numeric_label_mask", label_map=names)
    assert len(legend([mask])) == 99
    draw_overlay(np.zeros((10, 10), np.uint8), masks=[mask], zoom=60)


def test_all_256_labels_have_colours_that_differ() -> None:
    colors = [color_of(at) for at in range(256)]
    assert colors[: len(COLORS)] == list(COLORS)
    assert len(set(colors)) == 256


@pytest.mark.parametrize(("threshold", "least"), [(0.0, 1), (0.2, 52), (0.9, 230), (None, 128)])
def test_the_threshold_says_what_a_probability_covers(threshold: float | None, least: int) -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    covered = Mask(values, threshold=threshold).regions.index
    assert np.nonzero(covered[0])[0].tolist() == list(range(least, 256))
    of_floats = Mask((values / np.float64(255)), threshold=threshold).regions.index
    assert np.array_equal(of_floats, covered)


def test_labels_are_named_by_their_map() -> None:
    mask = Mask(np.array([[0, 1, 3]], np.uint8), "numeric_label_mask", "lung", label_map={1: "left"})
    assert legend([mask]) == [("left", COLORS[0]), ("lung 3", COLORS[1])]
    assert legend([Mask(rectangle(255), label="cyst"), Mask(rectangle(255))]) == [("cyst", COLORS[0])]


def test_a_heatmap_is_a_film_of_its_palette() -> None:
    palette = np.zeros((256, 4), np.uint8)
    palette[200] = (250, 20, 0, 255)
    palette[100] = (0, 0, 240, 51)
    values = np.array([[0, 100, 200]], np.uint8)
    canvas = np.asarray(draw_overlay(np.full((1, 3), 80, np.uint8), heatmaps=[Heatmap(values, palette)]))
    # Half of the palette's alpha: nothing, a tenth, half.
    assert canvas.tolist() == [[[80, 80, 80], [72, 72, 96], [165, 50, 40]]]
    hot = Heatmap(values, palette, "heat")
    assert legend([], [hot, Heatmap(values, palette), Heatmap(values * 0, palette, "cold")]) == [
        ("heat", None)
    ]
    floats = Heatmap(values / np.float32(255), palette)
    assert np.array_equal(floats.colors(), palette[values])


def test_a_layer_has_only_what_was_found() -> None:
    palette = np.full((256, 4), 60, np.uint8)
    palette[0] = 0
    layer = draw_layer(9, 11, [Mask(rectangle(255))], [Heatmap(rectangle(1)[::-1], palette)])
    expected = np.zeros((9, 11, 4), np.uint8)
    expected[rectangle(1)[::-1] > 0] = 60
    expected[rectangle(1) > 0] = (*COLORS[0], 255)
    assert np.array_equal(layer, expected)


def test_a_line_joins_the_middles_of_its_pixels() -> None:
    canvas = np.asarray(draw_overlay(GREY, lines=[Line((2, 4), (8, 4))]))
    line = np.full((9, 11, 3), 100, np.uint8)
    line[4, 2:9] = COLORS[0]
    assert np.array_equal(canvas, line)
    large = np.asarray(draw_overlay(GREY, lines=[Line((2, 4), (8, 4))], zoom=10))
    rows, columns = np.nonzero((large == COLORS[0]).all(axis=2))
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(45, abs=1)
    assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(55, abs=1)
    assert columns.max() - columns.min() == pytest.approx(66, abs=2)


def test_a_line_carries_its_label() -> None:
    image = np.full((100, 200), 100, np.uint8)
    bare, labelled = (draw_overlay(image, lines=[Line((20, 60), (90, 60), text)]) for text in ("", "12 mm"))
    columns = np.nonzero((np.asarray(bare) != np.asarray(labelled)).any(axis=2))[1]
    assert columns.min() >= 90


def test_a_contour_is_what_touches_another_region_the_outside_or_the_edge_of_the_image() -> None:
    two = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]])
    assert contour(np.pad(two, 1, mode="edge"))[1:-1, 1:-1].astype(int).tolist() == [[0, 1, 1, 0]] * 3

    covered = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], bool)
    assert contour(covered).astype(int).tolist() == [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]]


def test_colour_images_keep_their_colours() -> None:
    image = np.zeros((9, 11, 3), np.uint8)
    image[..., 2] = 200
    canvas = drawn([Mask(rectangle(255))], image)
    assert canvas[0, 0].tolist() == [0, 0, 200]
    assert canvas[4, 5].tolist() == [
        round(0.65 * b + 0.35 * c) for b, c in zip((0, 0, 200), COLORS[0], strict=True)
    ]
    assert image[4, 5].tolist() == [0, 0, 200]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 11\) over an image of shape \(9, 11\)"):
        draw_overlay(GREY, masks=[Mask(np.zeros((8, 11)))])


@pytest.mark.parametrize("corners", [((3, 2), (8, 6)), ((8, 6), (3, 2))])
def test_a_box_frames_its_corner_pixels(corners: tuple[tuple[int, int], tuple[int, int]]) -> None:
    canvas = np.asarray(draw_overlay(GREY, boxes=[Box(*corners)]))
    frame = np.full((9, 11, 3), 100, np.uint8)
    frame[2:7, 3:9] = COLORS[0]
    frame[3:6, 4:8] = 100
    assert np.array_equal(canvas, frame)


def test_a_magnified_box_has_the_whole_pixels_of_its_corners_inside() -> None:
    canvas = np.asarray(draw_overlay(GREY, boxes=[Box((3, 2), (8, 6))], zoom=4))
    colored = (canvas == COLORS[0]).all(axis=2)
    rows, columns = np.nonzero(colored)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 27, 12, 35)
    assert not colored[10:26, 14:34].any()


def changed(picture: Image.Image, before: int = 100) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (np.asarray(picture) != before).any(axis=2)
    return found


def test_a_box_carries_its_label_in_its_colour_above_it() -> None:
    image = np.full((100, 200), 100, np.uint8)
    bare = draw_overlay(image, boxes=[Box((50, 60), (90, 80))])
    labelled = draw_overlay(image, boxes=[Box((50, 60), (90, 80), "cyst")])
    text = (np.asarray(bare) != np.asarray(labelled)).any(axis=2)
    rows, columns = np.nonzero(text)
    assert rows.min() >= 40
    assert rows.max() < 66
    assert columns.min() >= 48
    assert (np.asarray(labelled)[text] == COLORS[0]).all(axis=1).any()


def test_labels_stand_in_the_upper_left_corner_one_below_the_other() -> None:
    image = np.full((200, 300), 100, np.uint8)
    one = changed(draw_overlay(image, labels=["benign"]))
    two = changed(draw_overlay(image, labels=["benign", "0.97"]))
    assert one.any()
    assert np.array_equal(one[:14], two[:14])
    assert np.nonzero(two)[0].max() > np.nonzero(one)[0].max() + 5
    assert not two[:, 150:].any()
    assert not two[100:].any()


def test_the_label_of_a_mask_has_the_colour_of_the_mask() -> None:
    values = np.zeros((300, 600), np.uint8)
    values[200:, 300:] = 255
    masks = [Mask(values, label="liver"), Mask(values, label="lesion")]
    text = drawn(masks, np.full((300, 600), 100, np.uint8))[:60, :100]
    assert (text == COLORS[1]).all(axis=2).any()


def test_text_in_any_script_can_be_drawn() -> None:
    assert changed(draw_overlay(np.full((50, 50), 100, np.uint8), labels=["Läsion 病変\nzwei"])).any()


def test_a_contact_sheet_keeps_proportions_and_order() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = [Image.new("RGB", (200, 100), color) for color in colors]
    pictures[2] = Image.new("L", (50, 100), 77)
    sheet = contact_sheet(pictures, ["one", "two", "three"], tile=66)
    canvas = np.asarray(sheet)
    assert sheet.size == (132, 172)
    assert canvas[33, 33].tolist() == [255, 0, 0]
    assert canvas[33, 99].tolist() == [0, 255, 0]
    assert canvas[119, 33].tolist() == [77, 77, 77]
    assert (canvas[:66, :66] == [255, 0, 0]).all(axis=2).sum() == 64 * 32
    assert canvas[66:86, :66].any()
    assert not canvas[86:, 66:].any()
    assert pictures[0].size == (200, 100)


def test_no_caption_runs_into_the_next_tile() -> None:
    """However long its lines are; letters that fit are as large as they may be."""
    black = [Image.new("RGB", (4, 4))] * 4
    captions = ["series 12, plane 345\nnothing", "x", "wide " * 40, ""]
    canvas = np.asarray(contact_sheet(black, captions, tile=120)).max(axis=2)
    height = 120 + 2 + 2 * 18
    assert canvas.shape == (2 * height, 240)
    assert not canvas[:, 117:123].any()
    assert not canvas[:, 237:].any()
    for top in (120, 138):
        assert canvas[top : top + 18, :114].max() > 200
    assert canvas[height + 120 : height + 138, :114].max() > 100


def test_a_contact_sheet_needs_a_caption_for_each_of_its_pictures() -> None:
    with pytest.raises(ValueError, match="without a picture"):
        contact_sheet([], [])
    with pytest.raises(ValueError, match="longer"):
        contact_sheet([Image.new("RGB", (1, 1))], ["a", "b"])


@pytest.mark.parametrize(
    ("rows", "columns", "zoom"), [(64, 64, 8), (240, 320, 2), (512, 512, 1), (2000, 100, 1)]
)
def test_small_images_are_magnified(rows: int, columns: int, zoom: int) -> None:
    assert zoom_to(rows, columns) == zoom
