"""From an answer to files. Overlays are compared with pictures that the tests work out by themselves."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from inference_gateway.demo.models import MODELS
from inference_gateway.dicom.overlay import COLORS
from inference_gateway.dicom.series import read_study
from inference_gateway.infer import results
from inference_gateway.infer.report import Facts
from inference_gateway.infer.results import Written, caption_of, write_json, write_results
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, color_image, image, plane
from tests.dicom.returned import item, presentation
from tests.infer.answers import Element, told_shape
from tests.infer.expected import ZOOM, grey, large, tinted


def write(sources: Sequence[Any], answer: Any, elements: Sequence[Any], folder: Path, **more: Any) -> Written:
    parts = answer.get("parts", []) if isinstance(answer, dict) else []
    made = [Element(*pair) for pair in zip(parts, elements, strict=True)]
    return write_results(read_study(sources), answer, made, folder, Facts(), **more)


def answered(model: str, folder: Path, *sources: Any) -> tuple[dict[str, Any], list[Any], dict[str, Path]]:
    """JSON and elements of a demo model, and all files that are written for it by name."""
    document, elements = MODELS[model](None, sources, "")
    written = write(sources, document, elements, folder)
    names = {path.name: path for path in folder.iterdir()}
    pictures = {name for name in names if name.endswith(".png") and name != "contact-sheet.png"}
    assert set(written.pictures) == pictures
    assert written.notes == []
    return document, elements, names


def picture(path: Path) -> NDArray[np.int64]:
    pixels: NDArray[np.int64] = np.asarray(Image.open(path).convert("RGB")).astype(np.int64)
    return pixels


# The five demo models, against pictures worked out here: nothing of `overlay` or `pixels` is used.


TEXT = (slice(0, 60), slice(0, 420))


def same_but_for_text(found: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
    """Letters stand in the upper left corner only."""
    found, expected = found.copy(), expected.copy()
    assert (found[TEXT] != expected[TEXT]).any(), "there is no label"
    found[TEXT] = expected[TEXT] = 0
    assert np.array_equal(found, expected)


def planes_of(names: dict[str, Path]) -> dict[int, Path]:
    return {int(name[-7:-4]): path for name, path in names.items() if name.startswith("series-1-plane-")}


@pytest.mark.parametrize("model", ["segmentation-2d", "segmentation-3d"])
def test_masks_lie_where_the_model_has_put_them(model: str, tmp_path: Path) -> None:
    _, elements, names = answered(model, tmp_path, *files())
    masks = np.concatenate([element.reshape(-1, 128, 128) for element in elements])
    expected = {at + 1 for at in np.nonzero(masks.any(axis=(1, 2)))[0]}
    assert set(planes_of(names)) == expected
    assert expected >= set(np.nonzero(PHANTOM.lesion.sum(axis=(1, 2)) > 10)[0] + 1)
    for number, path in planes_of(names).items():
        mask = masks[number - 1] > 127
        lesion = PHANTOM.lesion[number - 1]
        assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) > 0.8
        same_but_for_text(picture(path), tinted(grey(number - 1), mask))


def test_boxes_lie_where_the_model_has_put_them(tmp_path: Path) -> None:
    document, _, names = answered("bounding-box", tmp_path, *files())
    uids = [dataset.SOPInstanceUID for dataset in PHANTOM.datasets()]
    boxes = {uids.index(box["SOPInstanceUID"]) + 1: box for box in document["bounding_boxes_2d"]}
    assert set(planes_of(names)) == set(boxes)
    for number, path in planes_of(names).items():
        (left, top), (right, bottom) = boxes[number]["top_left"], boxes[number]["bottom_right"]
        outer = (slice(top * ZOOM, (bottom + 1) * ZOOM), slice(left * ZOOM, (right + 1) * ZOOM))
        expected = large(grey(number - 1))
        inner = expected[outer][2:-2, 2:-2].copy()
        expected[outer] = COLORS[0]
        expected[outer][2:-2, 2:-2] = inner
        found = picture(path)
        label = (slice(max(0, top * ZOOM - 20), top * ZOOM), slice(left * ZOOM - 3, left * ZOOM + 80))
        assert (found[label] != expected[label]).any(), "there is no label"
        changed = (found != expected).any(axis=2)
        changed[label] = False
        # The letters' outline may touch the frame below them.
        changed[outer[0].start : outer[0].start + 3] = False
        assert not changed.any()


def test_labels_are_written_on_the_plane_in_the_middle(tmp_path: Path) -> None:
    _, _, names = answered("classification", tmp_path, *files())
    assert set(planes_of(names)) == {17}
    found, expected = picture(planes_of(names)[17]), large(grey(16))
    letters = (found != expected).any(axis=2)
    assert letters[:120, :420].any()
    assert not letters[140:].any()
    assert not letters[:, 420:].any()


def test_a_capture_is_kept_and_shown_as_it_is(tmp_path: Path) -> None:
    _, _, names = answered("secondary-capture", tmp_path, *files())
    assert set(names) == {"element-000.dcm", "element-000-frame-1.png", "contact-sheet.png", "report.html"}
    capture = dcmread(names["element-000.dcm"])
    found = picture(names["element-000-frame-1.png"])
    assert np.array_equal(found, capture.pixel_array)
    (mask,) = MODELS["segmentation-3d"](None, files(), "")[1]
    most = int((mask[0] > 0).sum(axis=(1, 2)).argmax())
    same_but_for_text(found, tinted(grey(most), mask[0, most] > 0))


# Masks of every type over one small image


def drawn(
    part: dict[str, Any], values: NDArray[Any], folder: Path, **answer: Any
) -> NDArray[np.int64] | None:
    """What becomes of an image of 600 by 600 pixels of the grey 51 with a mask in its lower right."""
    base = image(
        np.full((600, 600), 51, np.uint8),
        SOPInstanceUID="1.2.9",
        Modality="US",
        WindowCenter=127.5,
        WindowWidth=255,
        VOILUTFunction="LINEAR_EXACT",
    )
    canvas = np.zeros((600, 600), values.dtype)
    canvas[400 : 400 + values.shape[0], 400 : 400 + values.shape[1]] = values
    told = {"binary_data_shape": told_shape(canvas.shape), "SOPInstanceUID": "1.2.9", **part}
    written = write([as_file(base)], {"parts": [told], **answer}, [canvas], folder)
    assert np.array_equal(np.load(folder / written.masks[0]), canvas)
    assert written.notes == []
    return picture(folder / written.pictures[0])[400:, 400:] if written.pictures else None


def mixed(base: float, color: Sequence[float], share: float) -> list[int]:
    return [round((1 - share) * base + share * one) for one in color]


@pytest.mark.parametrize(
    ("part", "dtype", "values", "covered"),
    [
        ({"binary_type": "probability_mask"}, np.uint8, (127, 128), (False, True)),
        (
            {"binary_type": "probability_mask", "probability_threshold": 0.2},
            np.uint8,
            (51, 52),
            (False, True),
        ),
        ({"binary_type": "probability_mask"}, np.float32, (0.5, 0.6), (False, True)),
        ({"binary_type": "boolean_mask"}, np.uint8, (0, 1), (False, True)),
    ],
)
def test_a_mask_covers_what_is_over_its_threshold(
    part: dict[str, Any], dtype: Any, values: tuple[float, float], covered: tuple[bool, bool], tmp_path: Path
) -> None:
    patch = np.repeat(np.array([values], dtype), 9, axis=1).repeat(9, axis=0)
    found = drawn(part, patch, tmp_path)
    assert found is not None
    inside = mixed(51, COLORS[0], 0.35)
    assert [found[4, 4].tolist() == inside, found[4, 13].tolist() == inside] == list(covered)
    assert found[4, 4].tolist() in (inside, [51, 51, 51])


def test_numeric_labels_have_colours_and_a_legend(tmp_path: Path) -> None:
    patch = np.repeat(np.array([[1, 2, 12]], np.uint8), 9, axis=1).repeat(9, axis=0)
    part = {"binary_type": "numeric_label_mask", "label_map": {"1": "left lung", "12": "right lung"}}
    found = drawn(part, patch, tmp_path)
    assert found is not None
    assert found[4, 4].tolist() == mixed(51, COLORS[0], 0.35)
    assert found[4, 13].tolist() == mixed(51, COLORS[1], 0.35)
    assert found[4, 22].tolist() not in ([51, 51, 51], found[4, 4].tolist(), found[4, 13].tolist())
    report = (tmp_path / "report.html").read_text()
    assert '["left lung", "#ff5a2d"]' in report
    assert '["right lung", "#' in report


def test_heatmaps_have_the_palette_of_their_anchor_points(tmp_path: Path) -> None:
    patch = np.repeat(np.array([[0, 51, 255]], np.uint8), 9, axis=1).repeat(9, axis=0)
    data = [{"threshold": 0.0, "color": [0, 0, 0, 0]}, {"threshold": 1.0, "color": [255, 0, 100, 255]}]
    palettes = {"hot": {"type": "anchorpoints", "data": data}}
    found = drawn({"binary_type": "heatmap", "palette": "hot"}, patch, tmp_path, palettes=palettes)
    assert found is not None
    # A fifth of the way: (51, 0, 20) with alpha 51, drawn at half of that.
    expected = [[51, 51, 51], mixed(51, (51, 0, 20), 0.1), mixed(51, (255, 0, 100), 0.5)]
    assert [found[4, x].tolist() for x in (4, 13, 22)] == expected


def test_what_is_not_found_has_no_picture(tmp_path: Path) -> None:
    assert drawn({"binary_type": "boolean_mask"}, np.zeros((3, 3), np.uint8), tmp_path) is None


def test_measurements_are_drawn(tmp_path: Path) -> None:
    base = image(np.full((600, 600), 51, np.uint8), SOPInstanceUID="1.2.9", Modality="US")
    line = {"SOPInstanceUID": "1.2.9", "start": [100, 300], "end": [400, 300], "label": "width"}
    written = write([as_file(base)], {"linear_measurements_2d": [line]}, [], tmp_path)
    found = picture(tmp_path / written.pictures[0])
    assert (found[300, 100:401] == COLORS[0]).all()
    assert (found[299, 100:400] != COLORS[0]).any(axis=1).all()


# Images of every kind


def monochrome(stored: NDArray[Any], **attributes: Any) -> Dataset:
    return image(stored, **{"Modality": "MR", "SOPInstanceUID": "1.2.9"} | attributes)


def _palette() -> Dataset:
    made = monochrome(np.array([[0, 1, 2]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for color, entries in (("Red", (10, 20, 30, 0)), ("Green", (40, 50, 60, 0)), ("Blue", (70, 80, 90, 0))):
        setattr(made, f"{color}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(made, f"{color}PaletteColorLookupTableData", bytes(entries))
    return made


def _ybr() -> Dataset:
    pixels = np.array([[[76, 85, 255], [255, 128, 128], [0, 128, 128]]], np.uint8)
    return color_image(pixels, PhotometricInterpretation="YBR_FULL", SOPInstanceUID="1.2.9")


RAMP = np.array([[-1000, 0, 1000]], np.int16)
KINDS: dict[str, tuple[Callable[[], Dataset], list[Any]]] = {
    "MONOCHROME1": (
        lambda: monochrome(np.array([[0, 51, 255]], np.uint8), PhotometricInterpretation="MONOCHROME1"),
        [255, 204, 0],
    ),
    "signed": (lambda: monochrome(RAMP), [0, 128, 255]),
    "rescaled": (
        lambda: monochrome(RAMP, RescaleSlope=-1, RescaleIntercept=5),
        [255, 128, 0],
    ),
    "windowed": (
        lambda: monochrome(RAMP, WindowCenter=0, WindowWidth=4000, VOILUTFunction="LINEAR_EXACT"),
        [64, 128, 191],
    ),
    "RGB": (
        lambda: color_image(np.array([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.uint8), SOPInstanceUID="1.2.9"),
        [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    ),
    "YBR": (_ybr, [[254, 0, 0], [255, 255, 255], [0, 0, 0]]),
    "palette": (_palette, [[10, 40, 70], [20, 50, 80], [30, 60, 90]]),
    "frames": (
        lambda: monochrome(
            np.array([[[0, 0, 0]], [[0, 100, 200]]], np.uint8),
            NumberOfFrames=2,
            WindowCenter=127.5,
            WindowWidth=255,
            VOILUTFunction="LINEAR_EXACT",
        ),
        [0, 100, 200],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_kind_are_shown_right(kind: str, tmp_path: Path) -> None:
    make, expected = KINDS[kind]
    frame = 2 if kind == "frames" else 1
    # A box far from the corner that is looked at gives the plane a picture; it has no label.
    box = {"SOPInstanceUID": "1.2.9", "frame_number": frame, "top_left": [0, 1], "bottom_right": [2, 1]}
    written = write([as_file(make())], {"bounding_boxes_2d": [box]}, [], tmp_path)
    (name,) = written.pictures
    assert name == f"series-1-plane-00{frame}.png"
    found = picture(tmp_path / name)
    zoom = found.shape[1] // 3
    row = [found[zoom // 2, at * zoom + zoom // 2].tolist() for at in range(3)]
    whole = [one if isinstance(one, list) else [one] * 3 for one in expected]
    assert np.abs(np.array(row) - np.array(whole)).max() <= (1 if kind == "YBR" else 0)


# What a folder holds


def test_masks_are_arrays_with_their_shape(tmp_path: Path) -> None:
    _, elements, names = answered("segmentation-3d", tmp_path, *files())
    mask = np.load(names["element-000.npy"])
    assert (mask.dtype, mask.shape) == (np.uint8, (1, 32, 128, 128))
    assert np.array_equal(mask, elements[0])


def test_a_contact_sheet_shows_the_study_where_nothing_is_found(tmp_path: Path) -> None:
    _, _, names = answered("segmentation-3d", tmp_path, *files()[16:])
    assert set(names) == {"element-000.npy", "contact-sheet.png", "report.html"}
    sheet = picture(names["contact-sheet.png"])
    assert sheet.shape[1] == 4 * 160
    assert (sheet.max(axis=2) - sheet.min(axis=2) <= 20).all()


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("series-1-plane-012", "series 1, plane 12"),
        ("series-1-stack-2-plane-003", "series 1, stack 2\nplane 3"),
        ("element-001-frame-1", "element 1, frame 1"),
    ],
)
def test_captions_are_words(name: str, caption: str) -> None:
    assert caption_of(name) == caption


def test_images_that_cannot_be_decoded_have_no_picture(tmp_path: Path) -> None:
    dataset = dcmread(str(get_testdata_file("MR_small_RLE.dcm", download=False)))
    dataset.PixelData = dataset.PixelData[:600] + bytes(len(dataset.PixelData) - 600)
    answer = {"study_ml_json": {"label": "sick"}}
    written = write([as_file(dataset), *files()[:3]], answer, [], tmp_path)
    assert written.pictures == ["series-2-plane-002.png"]
    assert written.alarms == [
        "1 image of the study cannot be shown: its pixels cannot be decoded here: RLE Lossless"
    ]


@pytest.mark.parametrize(
    ("part", "value", "name"),
    [
        ({"binary_type": "my_type"}, b"anything", "element-000.bin"),
        ({"binary_type": "../../escape"}, b"anything", "element-000.bin"),
        ({"binary_type": ["heatmap"]}, b"anything", "element-000.bin"),
        ({}, b"anything", "element-000.bin"),
        ("no object", b"anything", "element-000.bin"),
        ({"binary_type": "boolean_mask"}, b"anything", "element-000.bin"),
        ({"binary_type": "dicom_structured_report"}, plane(0), "element-000.dcm"),
    ],
)
def test_what_is_not_drawn_is_kept(part: Any, value: Any, name: str, tmp_path: Path) -> None:
    write([as_file(plane(0))], {"parts": [part]}, [value], tmp_path)
    names = {path.name for path in tmp_path.iterdir()} - {"element-000-frame-1.png"}
    assert names == {name, "contact-sheet.png", "report.html"}


def test_a_mask_that_does_not_fit_is_kept_and_noted(tmp_path: Path) -> None:
    dataset = plane(0)
    part = {"binary_type": "boolean_mask", "dicom_image": {"SOPInstanceUID": dataset.SOPInstanceUID}}
    part["binary_data_shape"] = {"height": 5, "width": 5}
    written = write([as_file(dataset)], {"parts": [part]}, [np.ones((5, 5), np.uint8)], tmp_path)
    assert np.load(tmp_path / "element-000.npy").shape == (5, 5)
    assert len(written.notes) == 1


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        7,
        {"bounding_boxes_2d": {"a": 1}, "linear_measurements_2d": "x", "series_ml_json": [], "palettes": 3},
        {"bounding_boxes_2d": [None, 1, [], {"SOPInstanceUID": {}}], "study_ml_json": [[[]]]},
        {"study_ml_json": {"<script>alert(1)</script>\x1b[31m": float("nan")}},
        {"study_ml_json": "\ud800 </script> --> \u2028" * 300},
    ],
)
def test_a_hostile_answer_is_written_down_all_the_same(answer: Any, tmp_path: Path) -> None:
    write([as_file(plane(0))], answer, [], tmp_path)
    write_json(answer, tmp_path / "response.json")
    assert (tmp_path / "response.json").stat().st_size
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in report
    assert report.count("</script>") == 4  # image, index, names, script


def test_a_long_series_has_a_sheet_of_limited_size(tmp_path: Path) -> None:
    values = np.zeros((6, 6), np.uint8)
    values[1:5, 1:5] = 200
    sources = [as_file(image(values, Modality="MR", InstanceNumber=number)) for number in range(70)]
    _, _, names = answered("segmentation-3d", tmp_path, *sources)
    assert len(names) == 73
    with Image.open(names["contact-sheet.png"]) as sheet:
        assert sheet.width == 6 * 160


def test_labels_may_be_on_every_plane_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    answer = {"study_ml_json": {"label": "sick"}}
    written = write(
        files()[:5], answer, [], tmp_path, labels_everywhere=True, progress=lambda *done: told.append(done)
    )
    assert len(written.pictures) == 5
    assert told == [(done, 5) for done in range(1, 6)]


def test_a_gap_between_the_images_is_said(tmp_path: Path) -> None:
    images = [as_file(plane(z, SOPInstanceUID=f"1.9.{z}")) for z in (0, 2, 4, 90)]
    written = write(images, {}, [], tmp_path)
    assert [note for note in written.notes if note.startswith("series 1: ") and "86 mm" in note]


# What no image may cost


@pytest.mark.parametrize("error", [struct.error, KeyError, ZeroDivisionError, MemoryError, OSError])
@pytest.mark.parametrize("where", ["attempt_frames", "draw_overlay", "display_values"])
def test_no_image_costs_the_answer(
    where: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised in making a picture is a note; all else is written."""

    def fail(*arguments: Any, **more: Any) -> Any:
        raise error("Doe^Jane")

    monkeypatch.setattr(results, where, fail)
    if where == "attempt_frames":  # one frame or many
        monkeypatch.setattr(results, "read_frames", fail)
    part = {"binary_type": "boolean_mask", "binary_data_shape": {"height": 2, "width": 3}}
    part["dicom_image"] = {"SOPInstanceUID": "1.9.1"}
    answer = {"parts": [part], "study_ml_json": {"label": "sick"}}
    images = [as_file(plane(z, SOPInstanceUID=f"1.9.{z}")) for z in (1, 2)]
    written = write(images, answer, [np.ones((2, 3), np.uint8)], tmp_path)
    assert written.masks == ["element-000.npy"]
    assert written.pictures == []
    told = written.notes + written.alarms
    assert told
    assert all(f"({error.__name__})" in one and "Doe" not in one for one in told)
    assert bool(written.alarms) == (where == "attempt_frames")
    assert {path.name for path in tmp_path.iterdir()} == {"element-000.npy", "report.html"}


def test_what_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write([as_file(plane(1))], {"study_ml_json": {"label": "sick"}}, [], tmp_path)


class DicomElement(Element):
    """Bytes that say that they are DICOM."""

    content_type = "application/dicom"


def test_an_object_that_cannot_be_read_costs_nothing(tmp_path: Path) -> None:
    part = {"binary_type": "dicom"}
    for number, data in enumerate((bytes(200), bytes(128) + b"DICM" + b"\xff" * 400, b"")):
        folder = tmp_path / str(number)
        folder.mkdir()
        answer = {"parts": [part]}
        written = write_results(
            read_study([as_file(plane(1))]), answer, [DicomElement(part, data)], folder, Facts()
        )
        assert written.objects == ["element-000.dcm"]
        assert written.pictures == []


def test_a_plane_is_seen_as_a_presentation_state_wants_it(tmp_path: Path) -> None:
    """Turned clockwise, inverted, behind a shutter: the picture, its mask, and the image in the report."""
    stored = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)
    base = image(stored, Modality="OT", SOPInstanceUID="1.9.1", PixelSpacing=[1, 2])
    shutter = {
        "ShutterShape": "RECTANGULAR",
        "ShutterLeftVerticalEdge": 1,
        "ShutterRightVerticalEdge": 2,
        "ShutterUpperHorizontalEdge": 1,
        "ShutterLowerHorizontalEdge": 2,
        "ShutterPresentationValue": 0x8080,
    }
    window = item(WindowCenter=128, WindowWidth=256)
    state = presentation(
        "1.9.1",
        ImageRotation=90,
        PresentationLUTShape="INVERSE",
        SoftcopyVOILUTSequence=[window],
        **shutter,
    )
    mask = np.array([[1, 0, 0], [0, 0, 0]], np.uint8)
    parts = [
        {"binary_type": "dicom"},
        {"binary_type": "boolean_mask", "binary_data_shape": told_shape((2, 3)), "SOPInstanceUID": "1.9.1"},
    ]
    written = write([as_file(base)], {"parts": parts}, [state, mask], tmp_path)
    assert written.notes == []
    picture = np.asarray(Image.open(tmp_path / "series-1-plane-001.png"))
    down, across = picture.shape[0] // 3, picture.shape[1] // 2
    assert down == 2 * across  # a pixel that was 2 wide is 2 high now
    middles = picture[down // 2 :: down, across // 2 :: across]
    assert middles[..., 1].tolist() == [[105, middles[0, 1, 1]], [55, 205], [128, 128]]
    assert tuple(middles[0, 1]) != (255, 255, 255)  # under the mask, which has gone to the right
    page = (tmp_path / "report.html").read_text()
    assert '"rows": 3, "columns": 2' in page
    assert '"shutter": 128' in page
    assert '"inverted": true' in page
