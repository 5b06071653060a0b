"""From an answer to files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from inference_gateway.demo.models import MODELS
from inference_gateway.demo.pictures import write_answer
from inference_gateway.dicom.overlay import COLORS
from inference_gateway.dicom.series import read_study
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, image, plane


class Element:
    """An element as the client gives it, made of what a model returned."""

    def __init__(self, part: Mapping[str, Any], value: Any) -> None:
        self.part, self._value = part, value

    @property
    def content_type(self) -> str:
        return "application/dicom" if isinstance(self._value, Dataset) else "application/binary"

    def array(self) -> NDArray[np.uint8]:
        assert isinstance(self._value, np.ndarray)
        return self._value

    def save(self, path: Path, /) -> None:
        path.write_bytes(as_file(self._value).getvalue() if isinstance(self._value, Dataset) else self._value)


def written(model: str, folder: Path, *sources: Any) -> dict[str, Path]:
    """All files that are written for the answer of a model, by name."""
    document, elements = MODELS[model](None, sources, "")
    pairs = zip(document["parts"], elements, strict=True)
    pictures = write_answer(read_study(sources), document, [Element(*pair) for pair in pairs], folder)
    names = {path.name: path for path in folder.iterdir()}
    assert sorted(path.name for path in pictures) == sorted(
        name for name in names if name.endswith(".png") and name != "contact-sheet.png"
    )
    return names


def colored(path: Path) -> NDArray[np.bool_]:
    """Pixels that are not grey."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    found: NDArray[np.bool_] = pixels.max(axis=2) - pixels.min(axis=2) > 20
    return found


@pytest.mark.parametrize("model", ["segmentation-2d", "segmentation-3d"])
def test_pictures_show_the_mask_where_the_lesion_is(model: str, tmp_path: Path) -> None:
    names = written(model, tmp_path, *files())
    pictures = {int(name[-7:-4]): path for name, path in names.items() if name.startswith("series-1-plane-")}
    assert set(np.nonzero(PHANTOM.lesion.sum(axis=(1, 2)) > 10)[0] + 1) == set(pictures)
    for number, path in pictures.items():
        lesion = PHANTOM.lesion[number - 1].repeat(4, 0).repeat(4, 1)
        found = colored(path)
        found[:40, :200] = False  # the label
        assert found.shape == lesion.shape
        assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.8


def test_masks_are_arrays_with_their_shape(tmp_path: Path) -> None:
    names = written("segmentation-3d", tmp_path, *files())
    mask = np.load(names["element-000.npy"])
    assert mask.dtype == np.uint8
    assert mask.shape == (1, 32, 128, 128)
    assert (mask[0] == 255).sum() == pytest.approx(PHANTOM.lesion.sum(), rel=0.1)


def test_boxes_and_labels_are_drawn(tmp_path: Path) -> None:
    for model in ("bounding-box", "classification"):
        folder = tmp_path / model
        folder.mkdir()
        names = written(model, folder, *files())
        assert len(names) == (2 if model == "classification" else 6)
    box = np.asarray(Image.open(tmp_path / "bounding-box/series-1-plane-009.png"))
    assert (box == COLORS[0]).all(axis=2).sum() > 100
    label = np.asarray(Image.open(tmp_path / "classification/series-1-plane-017.png"))
    assert (label[:40, :200] == 255).all(axis=2).any()


def test_dicom_objects_are_kept_and_pictured(tmp_path: Path) -> None:
    names = written("secondary-capture", tmp_path, *files())
    assert set(names) == {"element-000.dcm", "element-000-frame-1.png", "contact-sheet.png"}
    capture = dcmread(names["element-000.dcm"])
    assert np.array_equal(np.asarray(Image.open(names["element-000-frame-1.png"])), capture.pixel_array)


def test_a_contact_sheet_shows_the_study_where_nothing_is_found(tmp_path: Path) -> None:
    names = written("segmentation-3d", tmp_path, *files()[16:])
    assert set(names) == {"element-000.npy", "contact-sheet.png"}
    with Image.open(names["contact-sheet.png"]) as sheet:
        assert sheet.width == 4 * 224
    assert not colored(names["contact-sheet.png"]).any()


def test_images_that_cannot_be_decoded_have_no_picture(tmp_path: Path) -> None:
    dataset = dcmread(str(get_testdata_file("MR_small_RLE.dcm", download=False)))
    dataset.PixelData = dataset.PixelData[:600] + bytes(len(dataset.PixelData) - 600)
    assert written("classification", tmp_path, as_file(dataset)) == {}
    names = written("classification", tmp_path, as_file(dataset), *files())
    assert set(names) == {"series-2-plane-017.png", "contact-sheet.png"}


@pytest.mark.parametrize(
    ("binary_type", "value", "name"),
    [
        ("heatmap", np.full((2, 3), 255, np.uint8), "element-000.npy"),
        ("my_type", b"anything", "element-000.bin"),
        ("../../escape", b"anything", "element-000.bin"),
    ],
)
def test_what_is_not_drawn_is_kept(binary_type: str, value: Any, name: str, tmp_path: Path) -> None:
    dataset = plane(0)
    part = {"binary_type": binary_type, "dicom_image": {"SOPInstanceUID": dataset.SOPInstanceUID}}
    assert (
        write_answer(read_study([as_file(dataset)]), {"parts": [part]}, [Element(part, value)], tmp_path)
        == []
    )
    assert {path.name for path in tmp_path.iterdir()} == {name, "contact-sheet.png"}


def test_a_mask_that_does_not_fit_its_image_is_an_error(tmp_path: Path) -> None:
    dataset = plane(0)
    part = {"binary_type": "boolean_mask", "dicom_image": {"SOPInstanceUID": dataset.SOPInstanceUID}}
    element = Element(part, np.ones((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"a mask of shape \(5, 5\)"):
        write_answer(read_study([as_file(dataset)]), {"parts": [part]}, [element], tmp_path)


def test_a_long_series_has_a_sheet_of_limited_size(tmp_path: Path) -> None:
    values = np.zeros((6, 6), np.uint8)
    values[1:5, 1:5] = 200
    sources = [image(values, Modality="MR", InstanceNumber=number) for number in range(70)]
    names = written("segmentation-3d", tmp_path, *map(as_file, sources))
    assert len(names) == 72
    with Image.open(names["contact-sheet.png"]) as sheet:
        assert sheet.width == 8 * 224
