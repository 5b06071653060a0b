"""Images and frames as they are kept in memory."""

import pytest

from tests.dicom.objects import plane
from tests.dicom.stacking import at, stack_of


def test_frames_know_those_that_are_shown_on_one_range() -> None:
    stack = stack_of(at(0, 1, 2))
    (peers,) = {id(frame.peers) for frame in stack.frames}
    assert peers == id(stack.frames[0].peers)
    assert stack.frames[0].peers is not None
    assert len(stack.frames[0].peers.members) == 3


def test_the_distance_is_measured_from_the_origin_of_the_patient() -> None:
    frame = stack_of([plane(10.0)]).frames[0]
    assert frame.distance == pytest.approx(16.0)  # the corner lies 6 mm up before the 10
