"""What the frames of a segmentation object cover, and where."""

import numpy as np

from inference_gateway.dicom.segments import Segmentation, SegmentFrame
from tests.dicom.returned import group, segmentation

FRAMES = np.zeros((2, 4, 5), np.uint8)


def test_frames_name_their_segment_and_their_place() -> None:
    groups = [group(2, position=[1, 2, 3]), group(1, image="1.9", frame=4)]
    found = Segmentation(segmentation(FRAMES, groups))
    assert found.names == {1: "liver", 2: "tumour"}
    assert found.frame(1) == SegmentFrame(2, None, (1, 2, 3))
    assert found.frame(2) == SegmentFrame(1, ("1.9", 4), None)


def test_masks_are_those_of_their_type() -> None:
    ones = np.ones((4, 5), np.uint8)
    binary = Segmentation(segmentation(FRAMES, [group(1), group(9)]))
    mask = binary.mask(binary.frame(1), ones)
    assert (mask.label, mask.regions.numbers, mask.regions.index.min()) == ("liver", (1,), 1)
    assert binary.mask(binary.frame(2), ones).label == "segment 9"
    shares = Segmentation(segmentation(FRAMES, [group(2)], "FRACTIONAL", MaximumFractionalValue=100))
    assert shares.mask(shares.frame(1), ones * 51).regions.numbers == (1,)
    assert shares.mask(shares.frame(1), ones * 49).regions.numbers == ()
    labels = Segmentation(segmentation(FRAMES, [], "LABELMAP"))
    labelled = labels.mask(labels.frame(1), ones * 2)
    assert [labelled.name_of(number) for number in labelled.regions.numbers] == ["tumour"]
