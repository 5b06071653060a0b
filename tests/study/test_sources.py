"""The headers that an object is made from: one for each image, in the order of the planes, whole."""

import pytest

from inference_gateway.study import StudyError
from inference_gateway.study.patient import TYPE_2
from inference_gateway.study.sources import headers_of
from tests.study.making import ct, enhanced, volume_of


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is put together here against the standard
def test_headers_are_in_the_order_of_the_planes_and_name_no_patient() -> None:
    datasets = ct(5, PatientName="Doe^Jane", PatientSex="female", StudyDate="yesterday")
    headers = headers_of(volume_of(datasets).frames)
    assert [one.SOPInstanceUID for one in headers] == [one.SOPInstanceUID for one in datasets]
    assert {one.FrameOfReferenceUID for one in headers} == {"1.2.3.4.9"}
    assert [keyword for keyword in TYPE_2 if headers[0][keyword].value] == []


def test_a_multi_frame_image_has_one_header() -> None:
    assert len(headers_of(volume_of([enhanced()]).frames)) == 1


def test_images_that_name_no_frame_of_reference_get_one_of_their_own() -> None:
    datasets = ct(4)
    for dataset in datasets:
        del dataset.FrameOfReferenceUID
    headers = headers_of(volume_of(datasets).frames)
    assert len({one.FrameOfReferenceUID for one in headers}) == 1


def test_an_image_that_nothing_can_name_is_an_error() -> None:
    datasets = ct(4)
    del datasets[1].SOPInstanceUID
    with pytest.raises(StudyError, match="no valid SOPInstanceUID"):
        headers_of(volume_of(datasets).frames)
