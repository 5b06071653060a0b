import numpy as np

from inference_gateway.demo.models.segmentation_2d import segmentation_2d
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, image


def test_there_is_a_mask_for_each_image_in_order_of_arrival() -> None:
    datasets = list(PHANTOM.datasets())[::-1]
    document, masks = segmentation_2d(None, files(datasets), "")
    assert [part["dicom_image"] for part in document["parts"]] == [
        {"SOPInstanceUID": dataset.SOPInstanceUID} for dataset in datasets
    ]
    assert document["parts"][0]["binary_data_shape"] == {"width": 128, "height": 128}
    assert document["parts"][0]["label"] == "lesion"
    found, truth = np.stack(masks)[::-1] == 255, PHANTOM.lesion
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def test_frames_of_one_image_are_told_apart_by_their_numbers() -> None:
    pixels = np.zeros((3, 8, 10), np.uint8)
    for number in range(3):
        pixels[number, 2:6, number + 1 : number + 7] = 200
    dataset = image(pixels, NumberOfFrames=3, Modality="US")
    document, masks = segmentation_2d(None, [as_file(dataset)], "")
    assert [part["dicom_image"] for part in document["parts"]] == [
        {"SOPInstanceUID": dataset.SOPInstanceUID, "frame_number": number} for number in (1, 2, 3)
    ]
    assert [mask.shape for mask in masks] == [(8, 10)] * 3
    centers = [np.nonzero(mask)[1].mean() for mask in masks]
    assert np.diff(centers).round(3).tolist() == [1.0, 1.0]
