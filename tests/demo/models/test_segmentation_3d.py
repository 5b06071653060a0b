import random

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML

from inference_gateway.demo.models.segmentation_3d import segmentation_3d
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, plane


def test_the_mask_lies_where_the_lesion_is() -> None:
    shuffled = files()
    random.Random(1).shuffle(shuffled)
    document, (mask,) = segmentation_3d(None, shuffled, "")
    assert document["parts"] == [
        {
            "label": "lesion",
            "binary_type": "probability_mask",
            "binary_data_shape": {"timepoints": 1, "depth": 32, "width": 128, "height": 128},
            "SeriesInstanceUID": PHANTOM.uid("series"),
        }
    ]
    assert mask.shape == (1, 32, 128, 128)
    found, truth = mask[0] == 255, PHANTOM.lesion
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def test_there_is_a_mask_for_each_series_and_for_each_of_its_stacks() -> None:
    sources = [plane(0), plane(1), plane(0, PixelSpacing=[1, 1]), plane(0, SeriesInstanceUID="1.5")]
    document, masks = segmentation_3d(None, [as_file(dataset) for dataset in sources], "")
    parts = [(part["SeriesInstanceUID"], part["binary_data_shape"]["depth"]) for part in document["parts"]]
    assert parts == [("1.2.3.4", 2), ("1.2.3.4", 1), ("1.5", 1)]
    assert [mask.shape for mask in masks] == [(1, 2, 2, 3), (1, 1, 2, 3), (1, 1, 2, 3)]
    assert np.concatenate([mask.ravel() for mask in masks]).max() == 0


def test_a_plane_that_cannot_be_decoded_keeps_its_place() -> None:
    datasets = [*PHANTOM.datasets()]
    lost = int(PHANTOM.lesion.sum(axis=(1, 2)).argmax())
    datasets[lost].file_meta.TransferSyntaxUID = MPEG2MPML
    datasets[lost].PixelData = encapsulate([bytes(1000)])
    document, (mask,) = segmentation_3d(None, files(datasets), "")
    assert mask.shape == (1, 32, 128, 128)
    assert not mask[0, lost].any()
    assert mask[0, lost + 1].any() or mask[0, lost - 1].any()
    assert len(document["dicomConformance"]) == 1
