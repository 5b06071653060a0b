"""The planes of a study and their names."""

import numpy as np

from inference_gateway.dicom.overlay import Mask
from inference_gateway.dicom.series import read_study
from inference_gateway.infer.groups import Overlay, groups_of
from tests.dicom.objects import as_file, image, plane


def test_stacks_are_named_by_numbers_and_planes_by_their_order() -> None:
    sources = [as_file(plane(z)) for z in (2, 1)]
    (series,) = read_study([*sources, as_file(image(np.zeros((4, 4), np.int16)))]).series
    groups = list(groups_of(7, series))
    assert [group.title for group in groups] == ["Series 7, stack 1", "Series 7, stack 2"]
    assert [one.name for one in groups[0].drawings] == [f"series-7-stack-1-plane-00{at}" for at in (1, 2)]
    assert [one.frame.instance.index for one in groups[0].drawings] == [1, 0]
    (alone,) = groups_of(1, read_study(sources).series[0])
    assert alone.title == "Series 1"


def test_layers_are_read_when_they_are_asked_for() -> None:
    ((group,),) = ([*groups_of(1, series)] for series in read_study([as_file(plane(0))]).series)
    (drawing,) = group.drawings
    assert drawing.overlay().empty
    drawing.layers += (lambda: Mask(np.zeros((2, 3), np.uint8)),)
    assert drawing.overlay().empty
    drawing.layers += (lambda: Mask(np.ones((2, 3), np.uint8), "boolean_mask"),)
    assert not drawing.overlay().empty
    assert not Overlay(labels=["x"]).empty
