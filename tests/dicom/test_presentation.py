"""What a presentation state shows on its images."""

import math

import pytest

from inference_gateway.dicom.pixels import Window
from inference_gateway.dicom.presentation import PresentationState
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
    assert shown.window is None


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
    assert state.shown_on((IMAGE, 1), 9, 9).window == Window(40, 400)
    assert [len(state.shown_on((IMAGE, frame), 9, 9).lines) for frame in (1, 2)] == [0, 1]


def test_what_is_not_applied_is_said() -> None:
    state = PresentationState(presentation(IMAGE, ImageRotation=90, ShutterShape="CIRCULAR"))
    assert state.left_out == ["its rotation or flip", "its shutter"]
    assert PresentationState(presentation(IMAGE, ImageRotation=0)).left_out == []
