import numpy as np

from inference_gateway.demo.models.bounding_box import bounding_box
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, image


def test_boxes_enclose_the_lesion_in_each_of_its_slices() -> None:
    document, elements = bounding_box(None, files()[::-1], "")
    assert (document["parts"], elements) == ([], [])
    boxes = {box["SOPInstanceUID"]: box for box in document["bounding_boxes_2d"]}
    matched = 0
    for dataset, lesion in zip(PHANTOM.datasets(), PHANTOM.lesion, strict=True):
        box = boxes.pop(dataset.SOPInstanceUID, None)
        if box is None:
            assert lesion.sum() < 10  # its tips are averaged away
            continue
        rows, columns = np.nonzero(lesion)
        true = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        assert np.abs(np.array(box["top_left"] + box["bottom_right"]) - true).max() <= 1
        assert box["label"] == "lesion"
        matched += 1
    assert matched >= 4
    assert not boxes


def test_the_box_is_that_of_the_frame_it_names() -> None:
    pixels = np.zeros((2, 20, 30), np.uint8)
    pixels[1, 5:15, 8:25] = 200
    dataset = image(pixels, NumberOfFrames=2, Modality="US")
    document, _ = bounding_box(None, [as_file(dataset)], "")
    (box,) = document["bounding_boxes_2d"]
    assert (box["SOPInstanceUID"], box["frame_number"]) == (dataset.SOPInstanceUID, 2)
    assert box["top_left"] == [8, 5]
    assert box["bottom_right"] == [24, 14]
