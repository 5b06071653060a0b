"""What all embedded models have in common."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from inference_gateway.demo.models import MODELS, get_model
from inference_gateway.demo.models.answer import Answer, Model
from tests.demo.study import PHANTOM, files
from tests.dicom import hostile
from tests.dicom.objects import as_file, image, plane

pytestmark = pytest.mark.slow

EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def checked(answer: Answer) -> Answer:
    """An answer that fits the wire contract: one element for each part, of the size that the part says."""
    document, elements = answer
    assert document["protocol_version"] == "1.0"
    assert json.loads(json.dumps(document)) == document
    assert len(document["parts"]) == len(elements)
    for part, element in zip(document["parts"], elements, strict=True):
        if part["binary_type"] == "dicom_secondary_capture":
            assert isinstance(element, Dataset)
            continue
        shape = part["binary_data_shape"]
        names = ("timepoints", "depth", "height", "width") if "depth" in shape else ("height", "width")
        assert part["binary_type"] == "probability_mask"
        assert element.dtype == np.uint8
        assert element.shape == tuple(shape[name] for name in names)
    return answer


def test_there_are_five_models_and_each_is_found_by_its_name() -> None:
    names = ["segmentation-2d", "segmentation-3d", "bounding-box", "classification", "secondary-capture"]
    assert list(MODELS) == names
    assert [get_model(name) for name in names] == list(MODELS.values())


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(
        LookupError, match=r"'segmentation'.* are: segmentation-2d, segmentation-3d, bounding"
    ):
        get_model("segmentation")


@EVERY_MODEL
def test_without_inputs_there_are_no_parts(model: Model) -> None:
    document, elements = checked(model({"any": "thing"}, [], "0" * 64))
    assert document["parts"] == []
    assert elements == []


@EVERY_MODEL
def test_inputs_that_are_no_images_are_skipped(model: Model) -> None:
    text, no_pixels = io.BytesIO(b"no image"), plane(0)
    del no_pixels.PixelData
    only_junk = checked(model(None, [text, as_file(no_pixels), io.BytesIO()], ""))
    assert only_junk == checked(model(None, [], ""))
    with_junk = checked(model(None, [text, *files(), as_file(no_pixels)], ""))
    assert _without_uids(with_junk) == _without_uids(checked(model(None, files(), "")))


@EVERY_MODEL
@pytest.mark.parametrize("name", ["samples -1", "bits -16", "200,000 frames of one bit", "empty RLE items"])
def test_a_file_that_names_billions_of_frames_holds_no_model_up(model: Model, name: str) -> None:
    document, elements = checked(model({}, [io.BytesIO(hostile.ROWS[name][0])], "0" * 64))
    assert document["parts"] == elements == []
    assert document["dicomConformance"][0].startswith("1 image left out: ")


def _without_uids(answer: Answer) -> tuple[Any, list[bytes]]:
    """JSON and pixels: a secondary capture has new UIDs each time."""
    document, elements = answer
    return document, [one.PixelData if isinstance(one, Dataset) else one.tobytes() for one in elements]


@pytest.mark.parametrize(
    "name", sorted(set(MODELS) - {"segmentation-2d"})
)  # its masks are in order of arrival
def test_the_order_of_a_series_does_not_matter(name: str) -> None:
    forward, backward = MODELS[name](None, files(), ""), MODELS[name](None, files()[::-1], "")
    assert _without_uids(forward) == _without_uids(backward)


@EVERY_MODEL
def test_one_image_is_a_series(model: Model) -> None:
    checked(model(None, files()[7:8], ""))


@EVERY_MODEL
def test_images_of_all_kinds_in_one_series_do_not_crash(model: Model) -> None:
    kinds = [
        image(np.zeros((4, 5), np.int16)),
        image(np.ones((5, 4), np.uint8), InstanceNumber=1),
        plane(3),
        plane(4, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
        image(np.zeros((3, 4, 5), np.uint16), NumberOfFrames=3),
        image(np.zeros((1, 1), np.uint8), Modality="MR"),
        plane(5, SeriesInstanceUID=None, StudyInstanceUID=None),
    ]
    checked(model(None, [as_file(dataset) for dataset in kinds], ""))


@EVERY_MODEL
def test_real_images_of_all_kinds_do_not_crash(model: Model) -> None:
    names = """693_J2KI.dcm CT_small.dcm MR_small_RLE.dcm rtdose.dcm liver_1frame.dcm image_dfl.dcm
        SC_rgb_small_odd.dcm SC_ybr_full_422_uncompressed.dcm examples_ybr_color.dcm examples_palette.dcm
        MR_truncated.dcm rtplan.dcm DICOMDIR SC_rgb_rle_16bit_2frame.dcm JPEG-lossy.dcm"""
    paths = [Path(str(get_testdata_file(name, download=False))) for name in names.split()]
    document, elements = checked(model(None, [io.BytesIO(path.read_bytes()) for path in paths], ""))
    assert document["parts"] == [] or len(elements) > 8


@EVERY_MODEL
def test_an_image_with_damaged_pixels_is_skipped(model: Model) -> None:
    dataset = dcmread(str(get_testdata_file("MR_small_RLE.dcm", download=False)))
    dataset.PixelData = dataset.PixelData[:600] + bytes(len(dataset.PixelData) - 600)
    document, elements = checked(model(None, [as_file(dataset), *files()], ""))
    said = ["1 image left out: its pixels cannot be decoded here: RLE Lossless"]
    assert document.pop("dicomConformance") == said
    assert _without_uids((document, elements)) == _without_uids(model(None, files(), ""))


@EVERY_MODEL
def test_images_without_a_decoder_are_counted_with_their_syntax(model: Model) -> None:
    datasets = [*PHANTOM.datasets()]
    for dataset in datasets[:2]:
        dataset.file_meta.TransferSyntaxUID = uid.MPEG2MPML
        dataset.PixelData = encapsulate([bytes(1000)])
    nothing, _ = checked(model(None, [as_file(one) for one in datasets[:2]], ""))
    document, _ = checked(model(None, [as_file(one) for one in datasets], ""))
    for answer in (nothing, document):
        (said,) = answer["dicomConformance"]
        assert said == "2 images left out: MPEG2 Main Profile / Main Level is not decoded here"
    assert nothing["parts"] == []
    assert json.dumps(document).count("lesion") > json.dumps(nothing).count("lesion")


@EVERY_MODEL
def test_of_whole_studies_nothing_is_said_to_be_left_out(model: Model) -> None:
    document, _ = model(None, [io.BytesIO(b"no image"), *files()], "")
    assert "dicomConformance" not in document


@EVERY_MODEL
def test_no_log_line_names_a_patient(
    model: Model, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    model(None, [as_file(plane(z, PatientName="Doe^Jane", PatientID="4711")) for z in range(3)], "")
    written = caplog.text + "".join(capfd.readouterr())
    assert "Doe" not in written
    assert "4711" not in written
