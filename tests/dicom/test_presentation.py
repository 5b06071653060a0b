"""What a presentation state shows on its images."""

import math

import pytest
from pydicom import Dataset

from inference_gateway.dicom.pixels import Window
from inference_gateway.dicom.presentation import AS_IT_IS, PresentationState, View
from inference_gateway.dicom.shutters import Shutter
from inference_gateway.dicom.turns import Turn
from tests.dicom.returned import graphic, item, presentation

IMAGE = "1.9.1"


def test_lines_and_texts_lie_where_they_are_said_to() -> None:
    texts = [
        item(UnformattedTextValue="an\r\nanchor", AnchorPoint=[2.5, 3.5], AnchorPointAnnotationUnits="PIXEL"),
        item(
            UnformattedTextValue="box",
            BoundingBoxTopLeftHandCorner=[0.5, 0.5],
            BoundingBoxAnnotationUnits="DISPLAY",
        ),
    ]
    drawn = item(
        GraphicObjectSequence=[
            graphic("POLYLINE", [0.5, 0.5, 4.5, 0.5, 4.5, 2.5]),
            graphic("POINT", [1.0, 1.0]),
        ],
        TextObjectSequence=texts,
    )
    shown = PresentationState(presentation(IMAGE, GraphicAnnotationSequence=[drawn])).shown_on(
        (IMAGE, 1), 10, 20
    )
    assert [(line.points, line.label) for line in shown.lines] == [
        (((0, 0), (4, 0), (4, 2)), ""),
        (((0.5, 0.5), (0.5, 0.5)), ""),
        (((2, 3), (2, 3)), "an anchor"),
        (((9.5, 4.5), (9.5, 4.5)), "box"),
    ]
    assert shown.view.window is None
    assert shown.whole


@pytest.mark.parametrize(
    ("kind", "data"),
    [("CIRCLE", [5.5, 5.5, 8.5, 5.5]), ("ELLIPSE", [2.5, 5.5, 8.5, 5.5, 5.5, 2.5, 5.5, 8.5])],
)
def test_what_is_round_is_a_line_that_bends(kind: str, data: list[float]) -> None:
    state = PresentationState(
        presentation(IMAGE, GraphicAnnotationSequence=[item(GraphicObjectSequence=[graphic(kind, data)])])
    )
    (line,) = state.shown_on((IMAGE, 1), 10, 10).lines
    assert line.points[0] == pytest.approx(line.points[-1])
    assert {round(math.dist(point, (5, 5)), 6) for point in line.points} == {3.0}


@pytest.mark.parametrize(
    "bad",
    [
        graphic("POLYLINE", [1e9, 1.0, 2.0, 2.0]),
        graphic("CIRCLE", [1.0]),
        graphic("SPIRAL", [1.0, 1.0, 2.0, 2.0]),
        item(GraphicType="POLYLINE"),
    ],
)
def test_what_cannot_be_drawn_is_left_out(bad: object) -> None:
    annotated = presentation(IMAGE, GraphicAnnotationSequence=[item(GraphicObjectSequence=[bad])])
    assert PresentationState(annotated).shown_on((IMAGE, 1), 10, 10).lines == []


def test_windows_and_graphics_are_for_the_images_that_they_name() -> None:
    window = item(WindowCenter=40, WindowWidth=400)
    other = item(WindowCenter=1, WindowWidth=2, ReferencedImageSequence=[item(ReferencedSOPInstanceUID="9")])
    one_frame = item(ReferencedSOPInstanceUID=IMAGE, ReferencedFrameNumber=2)
    drawn = item(GraphicObjectSequence=[graphic("POINT", [1, 1])], ReferencedImageSequence=[one_frame])
    state = PresentationState(
        presentation(IMAGE, SoftcopyVOILUTSequence=[other, window], GraphicAnnotationSequence=[drawn])
    )
    assert state.images == [(IMAGE, None)]
    assert state.shown_on((IMAGE, 1), 9, 9).view.window == Window(40, 400)
    assert [len(state.shown_on((IMAGE, frame), 9, 9).lines) for frame in (1, 2)] == [0, 1]


def view(**attributes: object) -> View:
    return PresentationState(presentation(IMAGE, **attributes)).shown_on((IMAGE, 1), 10, 20).view


def test_a_view_is_turned_inverted_and_shuttered() -> None:
    shutter = {
        "ShutterShape": "CIRCULAR",
        "CenterOfCircularShutter": [5, 6],
        "RadiusOfCircularShutter": 4,
        "ShutterPresentationValue": 0xFFFF,
    }
    found = view(ImageRotation=270, ImageHorizontalFlip="Y", PresentationLUTShape="INVERSE", **shutter)
    assert found == View(None, True, Shutter(circle=(5, 6, 4), grey=255), Turn(3, True))
    assert view(PresentationLUTShape="IDENTITY") == View(inverted=False)
    assert view() == AS_IT_IS
    assert PresentationState(presentation(IMAGE, ImageRotation=90, **shutter)).left_out == []


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"ImageRotation": 45}, "its rotation"),
        ({"ShutterShape": ["CIRCULAR", "BITMAP"]}, "a part of its shutter"),
        ({"SoftcopyVOILUTSequence": [item(VOILUTSequence=[item(LUTExplanation="x")])]}, "its VOI LUT"),
        ({"PresentationLUTSequence": [item(LUTExplanation="x")]}, "its look-up tables"),
        ({"CompoundGraphicSequence": [item()]}, "its compound graphics"),
    ],
)
def test_what_is_not_applied_is_said(attributes: dict[str, object], what: str) -> None:
    assert PresentationState(presentation(IMAGE, **attributes)).left_out == [what]


def test_overlay_planes_are_said_not_to_be_applied() -> None:
    state = presentation(IMAGE)
    state.add_new(0x60021001, "CS", "LAYER")
    assert PresentationState(state).left_out == ["its overlay planes"]


def area(first: list[int], last: list[int]) -> Dataset:
    return item(DisplayedAreaTopLeftHandCorner=first, DisplayedAreaBottomRightHandCorner=last)


@pytest.mark.parametrize(
    ("first", "last", "whole"),
    [
        ([1, 1], [20, 10], True),
        ([20, 1], [1, 10], True),
        ([2, 1], [20, 10], False),
        ([-9, -9], [30, 20], False),
    ],
)
def test_an_area_that_is_not_the_image_is_told(first: list[int], last: list[int], whole: bool) -> None:
    state = PresentationState(presentation(IMAGE, DisplayedAreaSelectionSequence=[area(first, last)]))
    assert state.shown_on((IMAGE, 1), 10, 20).whole == whole


def test_display_units_are_shares_of_the_area_as_it_is_seen() -> None:
    """A quarter clockwise: what is seen at the upper right lies at the upper left of the image."""
    drawn = item(GraphicObjectSequence=[graphic("POINT", [1.0, 0.0], "DISPLAY")])
    state = presentation(IMAGE, ImageRotation=90, GraphicAnnotationSequence=[drawn])
    state.DisplayedAreaSelectionSequence = [area([3, 2], [18, 9])]
    (line,) = PresentationState(state).shown_on((IMAGE, 1), 10, 20).lines
    assert line.start == (1.5, 0.5)
