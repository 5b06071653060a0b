"""What an answer says ends up on the plane that it speaks of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_gateway.dicom.overlay import Heatmap, Mask
from inference_gateway.dicom.series import Study, read_study
from inference_gateway.infer.drawings import Drawings
from inference_gateway.infer.geometry import plain
from inference_gateway.infer.groups import Drawing
from tests.dicom.objects import as_file, image, plane
from tests.infer.answers import stored

FIRST, SECOND, THIRD = "1.2.3.4", "1.2.3.5", "1.2.3.6"


def study() -> Study:
    """Three series: three planes that came upside down and one of another size; a cine; a beating heart.

    The cine has two frames, the heart two places at three times.
    """
    sources = [plane(z, SOPInstanceUID=f"1.9.{z}") for z in (3, 2, 1)]
    sources.append(image(np.zeros((4, 4), np.int16), SOPInstanceUID="1.9.4"))
    cine = image(
        np.zeros((2, 5, 5), np.uint8), NumberOfFrames=2, SeriesInstanceUID=SECOND, SOPInstanceUID="1.9.5"
    )
    heart = [
        plane(z, SOPInstanceUID=f"1.8.{z}.{time}", SeriesInstanceUID=THIRD, InstanceNumber=10 * time + z)
        for time in (1, 2, 3)
        for z in (1, 2)
    ]
    return read_study(map(as_file, [*sources, cine, *heart]))


@pytest.fixture
def drawings() -> Drawings:
    return Drawings(study())


def part(**reference: Any) -> dict[str, Any]:
    return {"binary_type": "numeric_label_mask", "label": "cyst"} | reference


def values(drawings: Drawings) -> dict[str, list[int]]:
    """The first value of each mask by the name of the picture."""
    overlays = {one.name: one.overlay() for one in drawings.all()}
    return {
        name: [int(mask.values[0, 0]) for mask in overlay.masks]
        for name, overlay in overlays.items()
        if overlay.masks
    }


def seen(drawings: Drawings) -> list[str]:
    return [one.name for one in drawings.all() if not one.overlay().empty]


def test_planes_are_named_in_the_order_of_their_stacks(drawings: Drawings) -> None:
    assert [(one.name, one.frame.instance.sop_instance_uid) for one in drawings.all()] == [
        ("series-1-stack-1-plane-001", "1.9.1"),
        ("series-1-stack-1-plane-002", "1.9.2"),
        ("series-1-stack-1-plane-003", "1.9.3"),
        ("series-1-stack-2-plane-001", "1.9.4"),
        ("series-2-plane-001", "1.9.5"),
        ("series-2-plane-002", "1.9.5"),
        ("series-3-plane-001", "1.8.1.1"),
        ("series-3-plane-002", "1.8.2.1"),
        ("series-3-plane-003", "1.8.1.2"),
        ("series-3-plane-004", "1.8.2.2"),
        ("series-3-plane-005", "1.8.1.3"),
        ("series-3-plane-006", "1.8.2.3"),
    ]
    assert seen(drawings) == []
    assert [group.title for group in drawings.groups] == [
        "Series 1, stack 1",
        "Series 1, stack 2",
        "Series 2",
        "Series 3",
    ]


def volume(*planes: int, shape: tuple[int, int] = (2, 3), timepoints: int = 1) -> NDArray[np.uint8]:
    """Every plane holds one value."""
    flat = np.array(planes, np.uint8)[:, None, None] * np.ones(shape, np.uint8)
    return flat.reshape(timepoints, -1, *shape)


def test_planes_of_a_mask_go_to_the_planes_of_its_series(drawings: Drawings, tmp_path: Path) -> None:
    drawings.add_mask("it", part(SeriesInstanceUID=FIRST), stored(volume(10, 0, 30), tmp_path))
    assert values(drawings) == {
        f"series-1-stack-1-plane-{at:03d}": [v] for at, v in ((1, 10), (2, 0), (3, 30))
    }
    assert seen(drawings) == ["series-1-stack-1-plane-001", "series-1-stack-1-plane-003"]
    assert drawings.all()[0].overlay().masks[0].label == "cyst"
    assert drawings.notes == []


def test_two_masks_of_one_series_lie_over_each_other(drawings: Drawings, tmp_path: Path) -> None:
    for value in (8, 9):
        mask = stored(volume(value, shape=(4, 4)), tmp_path)
        drawings.add_mask("it", part(SeriesInstanceUID=FIRST), mask)
    assert values(drawings) == {"series-1-stack-2-plane-001": [8, 9]}


def test_masks_of_like_stacks_take_turns(tmp_path: Path) -> None:
    across = [0, 1, 0, 0, 0, -1]
    two = Drawings(read_study(map(as_file, [plane(1), plane(1, across)])))
    for value in (3, 4):
        two.add_mask("it", part(SeriesInstanceUID=FIRST), stored(volume(value), tmp_path))
    assert values(two) == {"series-1-stack-1-plane-001": [3], "series-1-stack-2-plane-001": [4]}


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (volume(1, 2, 3, 4, 5, 6, timepoints=3), [1, 2, 3, 4, 5, 6]),
        (volume(1, 2), [1, 2]),
        (volume(1, 2, 3, 4, 5, 6), [1, 4, 2, 5, 3, 6]),
    ],
    ids=["by timepoint", "first timepoint only", "frames of one place side by side"],
)
def test_masks_follow_time(
    drawings: Drawings, mask: NDArray[np.uint8], expected: list[int], tmp_path: Path
) -> None:
    drawings.add_mask("it", part(SeriesInstanceUID=THIRD), stored(mask, tmp_path))
    assert list(values(drawings).values()) == [[value] for value in expected]


def test_a_mask_without_series_lies_over_what_has_its_shape(drawings: Drawings, tmp_path: Path) -> None:
    drawings.add_mask("it", part(), stored(volume(7, shape=(4, 4)), tmp_path))
    assert values(drawings) == {"series-1-stack-2-plane-001": [7]}


NO_IMAGE = "no image of the study has its SOPInstanceUID and frame_number"


@pytest.mark.parametrize(
    ("reference", "shape", "why"),
    [
        ({"SeriesInstanceUID": SECOND}, (1, 1, 5, 5), "it is 1 x 1 x 5 x 5, and its series is 2 x 5 x 5"),
        ({"SeriesInstanceUID": "9.9"}, (1, 3, 2, 3), "no series of the study has its SeriesInstanceUID"),
        ({}, (3, 9, 9), "it is 3 x 9 x 9, and the series are 3 x 2 x 3, 1 x 4 x 4, 2 x 5 x 5, 3 x 2 x 2 x 3"),
        ({"dicom_image": {"SOPInstanceUID": "1.9.3"}}, (9, 9), "it is 9 x 9, and its image is 2 x 3"),
        ({"dicom_image": {"SOPInstanceUID": "9.9"}}, (2, 3), NO_IMAGE),
        ({"dicom_image": {"SOPInstanceUID": ["1.9.3"]}}, (2, 3), NO_IMAGE),
        ({"dicom_image": {"SOPInstanceUID": "1.9.3", "frame_number": -1}}, (2, 3), NO_IMAGE),
        ({"dicom_image": {"SOPInstanceUID": "1.9.3", "frame_number": "1"}}, (2, 3), NO_IMAGE),
        ({}, (2, 3), NO_IMAGE),
    ],
)
def test_a_mask_that_fits_nowhere_is_noted(
    drawings: Drawings, reference: dict[str, Any], shape: tuple[int, ...], why: str, tmp_path: Path
) -> None:
    drawings.add_mask("element 4", part(**reference), stored(np.ones(shape, np.uint8), tmp_path))
    assert seen(drawings) == []
    assert drawings.notes == [f"element 4 is not drawn: {why}"]


def test_a_mask_of_an_image_goes_to_the_frame_that_it_names(drawings: Drawings, tmp_path: Path) -> None:
    references: list[tuple[dict[str, Any], int, tuple[int, int]]] = [
        ({"dicom_image": {"SOPInstanceUID": "1.9.3"}}, 3, (2, 3)),
        ({"dicom_image": {"SOPInstanceUID": "1.9.5", "frame_number": 2}}, 5, (5, 5)),
        ({"dicom_image": {"SOPInstanceUID": "1.9.5", "frame_number": 0}}, 6, (5, 5)),
        ({"SOPInstanceUID": "1.9.2", "SeriesInstanceUID": FIRST}, 2, (2, 3)),
    ]
    for reference, value, shape in references:
        drawings.add_mask("it", part(**reference), stored(np.full(shape, value, np.uint8), tmp_path))
    assert values(drawings) == {
        "series-1-stack-1-plane-002": [2],
        "series-1-stack-1-plane-003": [3],
        "series-2-plane-001": [6],
        "series-2-plane-002": [5],
    }


def test_a_mask_of_one_series_of_one_image_needs_no_image(drawings: Drawings, tmp_path: Path) -> None:
    drawings.add_mask("it", part(SeriesInstanceUID=FIRST), stored(np.full((4, 4), 9, np.uint8), tmp_path))
    assert values(drawings) == {"series-1-stack-2-plane-001": [9]}


def one_layer(drawings: Drawings, tmp_path: Path, **keys: Any) -> Mask | Heatmap | None:
    mask = stored(np.array([[0, 1, 2], [0, 0, 200]], np.uint8), tmp_path)
    drawings.add_mask("it", part(SOPInstanceUID="1.9.3", **keys), mask, {"mine": "no palette"})
    overlay = drawings.all()[2].overlay()
    layers: list[Mask | Heatmap] = [*overlay.masks, *overlay.heatmaps]
    return layers[0] if layers else None


def test_masks_have_their_threshold_and_names(drawings: Drawings, tmp_path: Path) -> None:
    keys = {"binary_type": "probability_mask", "probability_threshold": 0.25}
    layer = one_layer(drawings, tmp_path, **keys, label_map={"1": "left\x1b[31m", "x": "y", "2": 3})
    assert isinstance(layer, Mask)
    assert layer.threshold == 0.25
    assert layer.label_map == {1: "left [31m", 2: "3"}


def test_a_heatmap_has_its_palette(drawings: Drawings, tmp_path: Path) -> None:
    layer = one_layer(drawings, tmp_path, binary_type="heatmap")
    assert isinstance(layer, Heatmap)
    assert layer.colors()[1, 2, 3] > layer.colors()[0, 1, 3] > layer.colors()[0, 0, 3] == 0
    assert seen(drawings) == ["series-1-stack-1-plane-003"]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"binary_type": "heatmap", "palette": "mine"}, "its palette is not among the palettes"),
        ({"probability_threshold": "high"}, "its probability_threshold is no number from 0 to 1"),
        ({"probability_threshold": 1.5}, "its probability_threshold is no number from 0 to 1"),
    ],
)
def test_a_part_that_is_wrong_is_noted(
    drawings: Drawings, keys: dict[str, Any], why: str, tmp_path: Path
) -> None:
    assert one_layer(drawings, tmp_path, **keys) is None
    assert drawings.notes == [f"it is not drawn: {why}"]


def test_boxes_go_to_the_images_that_they_name(drawings: Drawings) -> None:
    box: dict[str, Any] = {
        "label": "cyst",
        "SOPInstanceUID": "1.9.2",
        "top_left": [0, 1],
        "bottom_right": [2, 1],
    }
    wrong: list[dict[str, Any]] = [
        {"SOPInstanceUID": "9.9"},
        {"top_left": "0, 1"},
        {"top_left": [0, float("nan")]},
    ]
    wrong += [{"bottom_right": [1e8, 1]}, {"bottom_right": [2]}]
    drawings.add_boxes([box, *(box | one for one in wrong), "no box"])
    (drawn,) = [one for one in drawings.all() if not one.overlay().empty]
    assert drawn.name == "series-1-stack-1-plane-002"
    assert [(one.top_left, one.bottom_right, one.label) for one in drawn.boxes] == [((0, 1), (2, 1), "cyst")]
    assert [note.partition(":")[0] for note in drawings.notes] == [
        f"bounding box {number} is not drawn" for number in (2, 3, 4, 5, 6, 7)
    ]


def test_an_image_has_so_many_boxes_and_lines_and_no_more(drawings: Drawings) -> None:
    """Each addition once copied all that were there: 80,000 took half a minute."""
    box = {"SOPInstanceUID": "1.9.2", "top_left": [0, 0], "bottom_right": [1, 1]}
    drawings.add_boxes([box] * 80_000)
    line = {"SOPInstanceUID": "1.9.2", "start": [0, 0], "end": [1, 1]}
    drawings.add_lines([line] * 1001)
    (drawn,) = [one for one in drawings.all() if not one.overlay().empty]
    assert (len(drawn.boxes), len(drawn.lines)) == (1000, 1000)
    assert drawings.notes == [
        "bounding box, 79,000 times, is not drawn: its image has 1,000 already",
        "linear measurement, 1 times, is not drawn: its image has 1,000 already",
    ]


def test_lines_are_measured(drawings: Drawings) -> None:
    """`plane` has 0.5 mm between rows, 0.25 mm between columns, its corner at (4, -5, 6 + z)."""
    line: dict[str, Any] = {"SOPInstanceUID": "1.9.2", "label": "width", "start": [0, 1], "end": [2, 1]}
    world = line | {"coordinates_type": "world", "start": [4.25, -5.0, 8.0], "end": [4.25, -4.5, 8.0]}
    unplaced = line | {"SOPInstanceUID": "1.9.4", "coordinates_type": "pixel", "end": [3, 5]}
    drawings.add_lines([line, world, unplaced])
    drawn = {one.name: [(each.start, each.end, each.label) for each in one.lines] for one in drawings.all()}
    assert drawn["series-1-stack-1-plane-002"] == [
        ((0, 1), (2, 1), "width 0.5 mm"),
        ((1, 0), (1, 1), "width 0.5 mm"),
    ]
    assert drawn["series-1-stack-2-plane-001"] == [((0, 1), (3, 5), "width 5.0 px")]
    assert drawings.notes == []


def test_lines_that_cannot_be_drawn_are_noted(drawings: Drawings) -> None:
    line: dict[str, Any] = {"SOPInstanceUID": "1.9.4", "start": [0, 1], "end": [2, 1]}
    world: dict[str, Any] = {"coordinates_type": "world", "start": [0, 0, 0], "end": [1, 1, 1]}
    wrong: list[dict[str, Any]] = [
        {"SOPInstanceUID": "9"},
        world,
        {"coordinates_type": "polar"},
        {"coordinates_type": ["pixel"]},
        {"end": None},
        {"end": [1, 2, 3]},
        {"start": [True, 1]},
        {"coordinates_type": "world", "start": [0, 0], "end": [1, 1]},
        {"coordinates_type": "world", "end": "x"},
        {"end": [99, 0]},
    ]
    drawings.add_lines([line | one for one in wrong])
    assert len(drawings.notes) == len(wrong)
    for why in ("cannot be placed: three are needed, in mm", "neither pixel nor world", "where it lies"):
        assert any(why in note for note in drawings.notes)
    assert seen(drawings) == []


def test_notes_are_not_without_end(drawings: Drawings) -> None:
    drawings.add_boxes([{}] * 10_000)
    assert len(drawings.notes) == 20


def labels(drawings: Drawings) -> dict[str, list[str]]:
    return {one.name: list(one.labels) for one in drawings.all() if one.labels}


def test_labels_go_to_the_middle_of_each_stack(drawings: Drawings) -> None:
    drawings.add_labels({FIRST: {"label": "cyst", "grade": 2}, "9.9": {"label": "none"}}, {"label": "sick"})
    of_first = ["series label: cyst", "series grade: 2", "study label: sick"]
    assert labels(drawings) == {
        "series-1-stack-1-plane-002": of_first,
        "series-1-stack-2-plane-001": of_first,
        "series-2-plane-002": ["study label: sick"],
        "series-3-plane-004": ["study label: sick"],
    }


def test_labels_may_go_everywhere(drawings: Drawings) -> None:
    drawings.add_labels({SECOND: "benign"}, None, everywhere=True)
    assert labels(drawings) == {f"series-2-plane-00{at}": ["series: benign"] for at in (1, 2)}


@pytest.mark.parametrize("nonsense", [None, [], 7, "text"])
def test_labels_that_are_none_are_no_error(drawings: Drawings, nonsense: Any) -> None:
    drawings.add_labels(nonsense, None)
    assert labels(drawings) == {}


def test_text_of_an_answer_is_one_plain_line() -> None:
    assert plain("a\nb\x1b[2J\u202ec\ud800") == "a b [2J c "
    assert plain("x" * 100) == "x" * 79 + "…"
    assert plain({"a": 1}) == "{'a': 1}"


def test_a_drawing_without_anything_is_empty() -> None:
    frame = Drawings(study()).all()[0].frame
    assert Drawing(frame, "name").overlay().empty
    assert not Drawing(frame, "name", labels=("x",)).overlay().empty
