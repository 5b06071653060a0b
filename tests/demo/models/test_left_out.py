import io

from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.series import read_study
from tests.dicom.objects import as_file, plane


def test_images_are_counted_by_reason_and_what_is_no_image_is_not() -> None:
    report = plane(0)
    del report.PixelData
    twice = plane(1)
    sources = [as_file(twice), as_file(twice), as_file(twice), io.BytesIO(b"text"), as_file(report)]
    study = read_study(sources)
    left_out = LeftOut(study)
    assert left_out.sentences == ["2 images left out: an image with this SOP Instance UID came before"]
    left_out.add({study.instances[0]: "too dark"})
    assert left_out.sentences[1:] == ["1 image left out: too dark"]


def test_many_reasons_are_told_in_few_lines() -> None:
    study = read_study([as_file(plane(0))])
    left_out = LeftOut(study)
    for number in range(30):
        left_out.add({study.instances[0]: f"reason {number}"})
    assert len(left_out.sentences) == 21
    assert left_out.sentences[-1] == "10 images left out for other reasons"


def test_a_whole_study_has_nothing_left_out() -> None:
    assert LeftOut(read_study([as_file(plane(0))])).sentences == []
