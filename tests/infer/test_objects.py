"""DICOM objects of an answer: what of them is drawn where, and why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.pixels import Window
from inference_gateway.dicom.presentation import View
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.turns import Turn
from inference_gateway.infer.drawings import Drawings
from inference_gateway.infer.objects import Objects
from tests.dicom import hostile
from tests.dicom.objects import as_file, color_image, image, plane
from tests.dicom.returned import (
    PDF,
    an_object,
    content,
    graphic,
    group,
    item,
    presentation,
    report,
    segmentation,
)


@pytest.fixture
def drawings() -> Drawings:
    """Three planes of 2 x 3 pixels, at 0, 4 and 8 mm: images 1.9.1 to 1.9.3."""
    sources = [as_file(plane(4 * at, SOPInstanceUID=f"1.9.{at + 1}")) for at in range(3)]
    return Drawings(read_study(sources))


def added(drawings: Drawings, folder: Path, *values: Dataset | bytes) -> Objects:
    found = Objects(drawings, Limits())
    for number, value in enumerate(values):
        path = folder / f"element-{number:03}.dcm"
        path.write_bytes(value if isinstance(value, bytes) else as_file(value).getvalue())
        found.add(number, path)
    return found


def covered(drawings: Drawings) -> dict[str, list[tuple[str, Any]]]:
    """What lies over each plane: name and where."""
    return {
        one.name: [(mask.label, mask.regions.index.tolist()) for mask in one.overlay().masks]
        for one in drawings.all()
        if one.layers
    }


def frames() -> NDArray[np.uint8]:
    found = np.zeros((3, 2, 3), np.uint8)
    for at in range(3):
        found[at, 0, at] = 1
    return found


def test_a_segmentation_lies_over_the_images_that_it_was_made_from_or_that_lie_there(
    drawings: Drawings, tmp_path: Path
) -> None:
    """The corner of the planes lies at (4, -5, 6)."""
    groups = [group(1, image="1.9.3"), group(2, position=[4, -5, 10]), group(1, position=[4, -5, 99])]
    added(drawings, tmp_path, segmentation(frames(), groups))
    assert covered(drawings) == {
        "series-1-plane-002": [("tumour", [[0, 1, 0], [0, 0, 0]])],
        "series-1-plane-003": [("liver", [[1, 0, 0], [0, 0, 0]])],
    }
    assert drawings.notes == ["element 0 has 1 frame over no image of the study"]


def test_a_segmentation_without_its_images_is_noted(drawings: Drawings, tmp_path: Path) -> None:
    groups = [group(1, image="9.9")] * 3
    large = segmentation(np.zeros((3, 4, 4), np.uint8), [group(1, image="1.9.1")] * 3)
    added(drawings, tmp_path, segmentation(frames(), groups), large)
    why = "none of its frames lies over an image of the study of its size"
    assert drawings.notes == [f"element {number} is not drawn: {why}" for number in (0, 1)]


def test_a_report_is_text(drawings: Drawings, tmp_path: Path) -> None:
    found = added(drawings, tmp_path, report(content("TEXT", "Finding", TextValue="病変")))
    assert found.texts == [("Element 0", ["Imaging Report", "  Finding: 病変"])]
    assert drawings.notes == []


def test_a_presentation_state_is_applied(drawings: Drawings, tmp_path: Path) -> None:
    drawn = item(GraphicObjectSequence=[graphic("POLYLINE", [0.5, 0.5, 1.5, 1.5])])
    window = item(WindowCenter=40, WindowWidth=400)
    state = presentation("1.9.2", GraphicAnnotationSequence=[drawn], SoftcopyVOILUTSequence=[window])
    state.ImageRotation = 90
    state.DisplayedAreaSelectionSequence = [
        item(DisplayedAreaTopLeftHandCorner=[2, 1], DisplayedAreaBottomRightHandCorner=[3, 2])
    ]
    added(drawings, tmp_path, state, presentation("9.9"))
    (shown,) = [one for one in drawings.all() if one.lines]
    assert (shown.name, shown.view, shown.lines[0].points) == (
        "series-1-plane-002",
        View(Window(40, 400), turn=Turn(1)),
        ((0, 0), (1, 1)),
    )
    assert drawings.notes == [
        "element 0 is shown, but its displayed area is not applied",
        "element 1 is not drawn: no image of the study is among those that it presents",
    ]


def undecodable() -> bytes:
    """A capture in a transfer syntax that nothing decodes here: MPEG-4."""
    return hostile.encapsulated("1.2.840.10008.1.2.4.102", [b"xx"])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "it is empty"),
        (b"Doe^Jane" * 99, "it is no DICOM file"),
        (as_file(plane(0)).getvalue()[:132] + b"\xff" * 40, "it is a damaged DICOM file"),
        (an_object(PDF), "it is of the class Encapsulated PDF Storage and has no pixels"),
        (an_object("1.2.3.4.5"), "it has no pixels"),
        (hostile.ROWS["samples -1"][0], hostile.ROWS["samples -1"][1]),
        (hostile.ROWS["deflated"][0], hostile.ROWS["deflated"][1]),
        (hostile.ROWS["private elements"][0], hostile.TOO_MANY_ITEMS),
    ],
)
def test_what_cannot_be_drawn_says_why(
    drawings: Drawings, value: Dataset | bytes, why: str, tmp_path: Path
) -> None:
    found = added(drawings, tmp_path, value)
    assert drawings.notes == [f"element 0 is not drawn: {why}"]
    assert (found.groups, found.texts, found.names) == ([], [], ["element-000.dcm"])


def test_a_capture_without_decoder_names_its_syntax(drawings: Drawings, tmp_path: Path) -> None:
    added(drawings, tmp_path, undecodable())
    (note,) = drawings.notes
    assert note.startswith("element 0 is not drawn: ")
    assert "MPEG" in note


def test_frames_of_a_capture_are_pictures_of_their_own(drawings: Drawings, tmp_path: Path) -> None:
    found = added(drawings, tmp_path, color_image(np.zeros((2, 3, 3), np.uint8)))
    (only,) = found.groups
    assert only.title == "Element 0"
    assert [one.name for one in only.drawings] == ["element-000-frame-1"]
    cine = image(np.zeros((3, 2, 2), np.uint8), NumberOfFrames=3)
    found = added(drawings, tmp_path, cine)
    assert [one.name for one in found.groups[0].drawings] == [f"element-000-frame-{at}" for at in (1, 2, 3)]
