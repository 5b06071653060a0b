"""The report: what is in the file, and what a browser makes of it."""

import asyncio
import base64
import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inference_gateway.demo.models import MODELS
from inference_gateway.dicom.overlay import COLORS
from inference_gateway.dicom.pixels import read_frames
from inference_gateway.dicom.series import read_study
from inference_gateway.infer.drawings import Drawings
from inference_gateway.infer.report import Facts, Report, Texts
from inference_gateway.infer.results import write_results
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, color_image, image
from tests.dicom.returned import item, presentation
from tests.harness.browser import BROWSER, Page, opened
from tests.infer.answers import Element, told_shape
from tests.infer.expected import grey

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
UID = "1.2.9"

PATIENCE = 8
"""How many times as long as on a quiet machine a test may wait for the browser."""


def write(sources: Sequence[Any], folder: Path, answer: Any, *masks: Any) -> Path:
    elements = [Element(*pair) for pair in zip(answer.get("parts", []), masks, strict=True)]
    facts = Facts([("Sent to", f"http://{HOSTILE}")], {"upload": 1.5})
    write_results(read_study(sources), answer, elements, folder, facts)
    return folder / "report.html"


# The file


def index(report: Path) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="index">(.*?)</script>', report.read_text())
    return json.loads(text)


def images(report: Path, name: str) -> dict[int, NDArray[np.uint8]]:
    found = re.findall(rf'<script type="text/plain" id="{name}-(\d+)">([^<]*)</script>', report.read_text())
    return {int(at): np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for at, text in found}


def values_of(pixels: NDArray[np.uint8], plane: dict[str, Any]) -> NDArray[np.float64]:
    numbers = pixels[..., 0].astype(np.float64) * 256 + pixels[..., 1]
    return np.asarray(plane["low"] + plane["step"] * numbers)


@pytest.mark.parametrize(
    "stored",
    [
        np.array([[-1024, 3071], [0, 1]], np.int16),
        np.array([[-32768, 32767], [0, 1]], np.int16),
        np.array([[7, 7], [7, 7]], np.uint8),
    ],
)
def test_modality_values_are_in_the_page_exactly(stored: NDArray[Any], tmp_path: Path) -> None:
    report = write([as_file(image(stored, Modality="MR"))], tmp_path, {})
    ((plane,),) = (group["planes"] for group in index(report))
    assert np.array_equal(values_of(images(report, "image")[0], plane), stored)


def test_values_between_whole_numbers_are_as_near_as_16_bits_go(tmp_path: Path) -> None:
    stored = np.arange(600, dtype=np.int16).reshape(20, 30)
    report = write([as_file(image(stored, Modality="MR", RescaleSlope="0.37"))], tmp_path, {})
    ((plane,),) = (group["planes"] for group in index(report))
    off = np.abs(values_of(images(report, "image")[0], plane) - stored * 0.37)
    assert off.max() <= 600 * 0.37 / 65535


def small_report(tmp_path: Path, pixels: int) -> Path:
    """Ten planes of 6 x 10 pixels with a dot of one pixel on each."""
    planes = [np.full((6, 10), number * 10, np.uint8) for number in range(10)]
    study = read_study(
        [as_file(image(one, Modality="MR", InstanceNumber=at)) for at, one in enumerate(planes)]
    )
    path = tmp_path / "report.html"
    drawings = Drawings(study)
    with Report(path, drawings.groups, pixels=pixels) as report:
        for drawing in drawings.all():
            (decoded,) = read_frames([drawing.frame])
            report.add(drawing, decoded, drawing.overlay())
        report.finish({"text": "x" * 300_000}, Texts(), Facts())
    return path


@pytest.mark.parametrize(
    ("pixels", "size", "count"),
    [
        (600, (6, 10), 10),
        (599, (3, 5), 10),
        (150, (3, 5), 10),
        (67, (2, 4), 10),
        (20, (2, 3), 5),
        (1, (2, 3), 1),
    ],
)
def test_a_large_study_is_made_smaller_then_thinned_out(
    pixels: int, size: tuple[int, int], count: int, tmp_path: Path
) -> None:
    report = small_report(tmp_path, pixels)
    found = images(report, "image")
    assert {one.shape[:2] for one in found.values()} == {size}
    (group,) = index(report)
    assert len(found) == len(group["planes"]) == count
    assert {(plane["rows"], plane["columns"]) for plane in group["planes"]} == {(6, 10)}
    step = -(-10 // count)
    expected = [number * 10 for number in range(0, 10, step)][:count]
    assert [values_of(found[at], plane)[0, 0] for at, plane in enumerate(group["planes"])] == expected
    told = "This is a large study" in report.read_text()
    assert told == (pixels < 600)


def test_what_is_found_survives_being_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_gateway.infer.report.PIXELS", 20)
    mask = np.zeros((8, 8), np.uint8)
    mask[5, 6] = 1
    part = {"binary_type": "boolean_mask", "binary_data_shape": told_shape((8, 8)), "SOPInstanceUID": UID}
    base = image(np.zeros((8, 8), np.uint8), SOPInstanceUID=UID)
    layer = images(write([as_file(base)], tmp_path, {"parts": [part]}, mask), "layer")[0]
    assert layer.shape == (4, 4, 4)
    assert np.argwhere(layer[..., 3]).tolist() == [[2, 3]]


def test_long_json_is_cut_in_the_page(tmp_path: Path) -> None:
    text = small_report(tmp_path, 600).read_text()
    assert "… the rest is in response.json" in text
    assert len(text) < 250_000


def test_an_empty_study_has_a_page(tmp_path: Path) -> None:
    assert index(write([], tmp_path, {"anything": 1})) == []


# The page

needs_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed: apt install chromium")
in_browser = [needs_browser, pytest.mark.timeout(300)]


@asynccontextmanager
async def shown(report: Path, tmp_path: Path) -> AsyncIterator[Page]:
    async with opened(report, tmp_path / "profile") as page:
        await page.until("document.body.dataset.shown")
        yield page
        assert await page.evaluate("window.hacked") is None


async def canvas(page: Page) -> NDArray[np.uint8]:
    """The image as it is drawn, (rows, columns, 3)."""
    width, height, data = await page.evaluate(
        "(() => { const c = document.getElementById('image'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return [c.width, c.height, Array.from(d)]; })()"
    )
    return np.array(data, np.uint8).reshape(height, width, 4)[..., :3]


async def set_to(page: Page, name: str, value: object) -> None:
    await page.evaluate(
        f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}';"
        " e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); })()"
    )


async def text_of(page: Page, name: str) -> str:
    return str(await page.evaluate(f"document.getElementById('{name}').textContent"))


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.bool_]]:
    """The report of the phantom's lesion, and where the model has found it."""
    document, (mask,) = MODELS["segmentation-3d"](None, files(), "")
    report = write(files(), tmp_path_factory.mktemp("segmented"), document, mask)
    return report, mask[0] > 127


class TestInBrowser:
    pytestmark = in_browser

    @pytest.mark.slow
    async def test_the_page_shows_image_and_mask(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        report, mask = segmented
        async with shown(report, tmp_path) as page:
            found = np.nonzero(mask.any(axis=(1, 2)))[0]
            at = int(found[len(found) // 2])
            assert await text_of(page, "caption") == f"series-1-plane-{at + 1:03} ({at + 1} of 32)"
            assert np.array_equal(await canvas(page), grey(at))
            stage = await page.evaluate(
                "(r => [r.x, r.y, r.width, r.height])"
                "(document.getElementById('stage').getBoundingClientRect())"
            )
            pixels = np.asarray(Image.open(io.BytesIO(await page.screenshot())).convert("RGB")).astype(int)
            assert page.errors == []
        left, top, width, height = stage
        rows = ((np.arange(128) + 0.5) * height / 128 + top).astype(int)
        columns = ((np.arange(128) + 0.5) * width / 128 + left).astype(int)
        seen = pixels[rows[:, None], columns[None]]
        expected = grey(at).astype(float)
        expected[mask[at]] = 0.6 * expected[mask[at]] + 0.4 * np.array(COLORS[0])
        assert mask[at].sum() > 50
        assert np.abs(seen - expected).max() <= 3

    @pytest.mark.slow
    async def test_planes_window_and_opacity_can_be_set(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        async with shown(segmented[0], tmp_path) as page:
            await set_to(page, "plane", 3)
            await page.until("document.body.dataset.shown === 'series-1-plane-004'")
            assert np.array_equal(await canvas(page), grey(3))
            display = "getComputedStyle(document.getElementById('layer')).display"
            assert await page.evaluate(display) == "none"
            await set_to(page, "center", 500)
            await set_to(page, "width", 1001)
            hounsfield = PHANTOM.stored[3].astype(float) - 1024
            wide = np.floor(np.clip((hounsfield - 499.5) / 1000 + 0.5, 0, 1) * 255 + 0.5)
            assert np.array_equal((await canvas(page))[..., 1], wide)
            await page.evaluate("document.getElementById('reset').click()")
            await page.until("document.getElementById('center').value === '40'")
            assert np.array_equal(await canvas(page), grey(3))
            await page.evaluate("document.getElementById('next').click()")
            await page.until("document.body.dataset.shown !== 'series-1-plane-004'")
            assert await page.evaluate(display) == "block"
            await set_to(page, "opacity", 0.75)
            assert await page.evaluate("getComputedStyle(document.getElementById('layer')).opacity") == "0.75"
            assert await text_of(page, "legend") == "lesion"
            assert page.errors == []

    @pytest.mark.slow
    async def test_scrolling_fast_ends_on_the_last_plane(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        async with shown(segmented[0], tmp_path) as page:
            found = np.nonzero(segmented[1].any(axis=(1, 2)))[0]
            for at in (*found, *found[::-1], 0, *found):
                await set_to(page, "plane", at)
            last = int(found[-1])
            await page.until(f"document.body.dataset.shown === 'series-1-plane-{last + 1:03}'")
            assert np.array_equal(await canvas(page), grey(last))
            assert page.errors == []

    @pytest.mark.slow
    @pytest.mark.timeout(400)
    async def test_planes_of_a_study_of_500_images_change_at_once(self, tmp_path: Path) -> None:
        """In turn and at random, by the page; of 512 x 512 pixels a report has as many as here.

        Sixteen rows again and again are compressed in a tenth of the time that noise takes.
        """
        rng = np.random.default_rng(5)
        noise = np.tile(rng.integers(0, 1500, (16, 256)).astype(np.int16), (16, 1))
        sources = [
            as_file(image(np.roll(noise, at, 1), InstanceNumber=at, Modality="MR")) for at in range(500)
        ]
        part = {
            "binary_type": "boolean_mask",
            "SeriesInstanceUID": "1.2.3.4",
            "binary_data_shape": told_shape((500, 256, 256)),
        }
        mask = np.zeros((500, 256, 256), np.uint8)
        mask[:, 60:200, 80:190] = 1
        report = await asyncio.to_thread(write, sources, tmp_path, {"parts": [part]}, mask)
        async with shown(report, tmp_path) as page:
            change = """(async (order) => {
                const took = [];
                for (const to of order) {
                    const begun = performance.now();
                    go(to);
                    const name = plane().name;
                    while (document.body.dataset.shown !== name) {
                        await new Promise(done => setTimeout(done, 0));
                    }
                    took.push(performance.now() - begun);
                    await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
                }
                return took.sort((a, b) => a - b)[took.length >> 1];
            })"""
            in_turn = await page.evaluate(f"{change}({list(range(200, 260))})")
            at_random = await page.evaluate(f"{change}({rng.permutation(500)[:60].tolist()})")
            assert page.errors == []
        assert in_turn < 50 * PATIENCE
        assert at_random < 50 * PATIENCE

    @pytest.mark.parametrize(("width", "height"), [(360, 740), (1920, 1080)])
    @pytest.mark.slow
    async def test_the_page_fits_a_phone_and_a_wide_screen(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path, width: int, height: int
    ) -> None:
        async with shown(segmented[0], tmp_path) as page:
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            await page.until(f"innerWidth === {width}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            stage = await page.evaluate("(r => [r.width, r.height])(at('stage').getBoundingClientRect())")
            assert stage[0] == pytest.approx(stage[1], abs=1)
            assert min(width, height) * 0.6 < stage[0] <= width
            beside = await page.evaluate(
                "at('controls').getBoundingClientRect().left > at('stage').offsetWidth"
            )
            assert beside == (width > 860)
            assert page.errors == []

    @pytest.mark.slow
    async def test_dark_and_light_are_as_the_reader_has_them(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        async with shown(segmented[0], tmp_path) as page:
            for scheme, dark in (("dark", True), ("light", False)):
                feature = {"name": "prefers-color-scheme", "value": scheme}
                await page.call("Emulation.setEmulatedMedia", features=[feature])
                colors = "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
                text, back = (
                    sum(map(int, re.findall(r"\d+", color)[:3])) for color in await page.evaluate(colors)
                )
                assert (text > back) == dark
                assert abs(text - back) > 450

    @pytest.mark.slow
    async def test_all_can_be_done_by_keyboard(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        found = np.nonzero(segmented[1].any(axis=(1, 2)))[0]

        async def press(page: Page, key: str) -> None:
            event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
            await page.evaluate(f"at('stage').focus(), at('stage').dispatchEvent({event})")

        async with shown(segmented[0], tmp_path) as page:
            for key, plane in (
                ("Home", 0),
                ("ArrowDown", 1),
                ("ArrowRight", 2),
                ("ArrowUp", 1),
                ("PageDown", 11),
                ("End", 31),
                ("PageUp", 21),
                ("ArrowLeft", 20),
                ("Home", 0),
                ("n", int(found[0])),
                ("End", 31),
                ("p", int(found[-1])),
            ):
                await press(page, key)
                await page.until(f"document.body.dataset.shown === 'series-1-plane-{plane + 1:03}'")
            covered = (
                "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
                ".filter((one, at) => at % 4 === 3 && one).length)(at('layer'))"
            )
            whole = await page.evaluate(covered)
            await press(page, "o")
            assert await page.evaluate("at('outlines').checked")
            assert 0 < await page.evaluate(covered) < whole
            await press(page, "9")
            assert await page.evaluate("at('opacity').value") == "1"
            await press(page, "0")
            assert await page.evaluate("getComputedStyle(at('layer')).opacity") == "0"
            assert page.errors == []

    @pytest.mark.slow
    async def test_what_an_answer_says_is_text_and_nothing_else(self, tmp_path: Path) -> None:
        reference = {"SOPInstanceUID": UID, "label": HOSTILE}
        answer = {
            "bounding_boxes_2d": [reference | {"top_left": [1, 1], "bottom_right": [3, 3]}],
            "linear_measurements_2d": [reference | {"start": [0, 4], "end": [4, 4]}],
            "study_ml_json": {HOSTILE: HOSTILE},
            "parts": [
                reference
                | {
                    "binary_type": "numeric_label_mask",
                    "binary_data_shape": told_shape((5, 5)),
                    "label_map": {"1": HOSTILE},
                }
            ],
        }
        base = image(np.arange(25, dtype=np.uint8).reshape(5, 5), SOPInstanceUID=UID, Modality="MR")
        report = await asyncio.to_thread(write, [as_file(base)], tmp_path, answer, np.ones((5, 5), np.uint8))
        async with shown(report, tmp_path) as page:
            assert HOSTILE[:40] in await text_of(page, "legend")
            assert HOSTILE[:40] in await text_of(page, "shapes")
            assert HOSTILE in json.dumps(
                json.loads(await page.evaluate("document.getElementById('json').textContent"))
            )
            counts = (
                "[document.scripts.length, document.images.length, document.querySelectorAll('rect').length]"
            )
            assert await page.evaluate(counts) == [5, 0, 1]
            assert page.errors == []

    @pytest.mark.slow
    async def test_no_script_but_the_report_s_own_runs(
        self, segmented: tuple[Path, NDArray[np.bool_]], tmp_path: Path
    ) -> None:
        """And an error in the page is seen: the other tests rest on that."""
        async with shown(segmented[0], tmp_path) as page:
            await page.evaluate(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE)})")
            await page.evaluate("new Promise(done => setTimeout(done, 0))")
            await page.screenshot()
            assert "Content Security Policy" in " ".join(page.errors)

    @pytest.mark.slow
    @pytest.mark.parametrize("color", [False, True])
    async def test_a_presentation_state_is_seen(self, color: bool, tmp_path: Path) -> None:
        """Turned clockwise and flipped, inverted where it is grey; a shutter hides the last row."""
        ramp = np.arange(60, dtype=np.uint8).reshape(6, 10)
        base = color_image(ramp[..., None].repeat(3, axis=2)) if color else image(ramp, Modality="OT")
        base.SOPInstanceUID = UID
        shutter = {
            "ShutterShape": "RECTANGULAR",
            "ShutterLeftVerticalEdge": 1,
            "ShutterRightVerticalEdge": 10,
            "ShutterUpperHorizontalEdge": 1,
            "ShutterLowerHorizontalEdge": 5,
            "ShutterPresentationValue": 0xFFFF,
        }
        turn = {"ImageRotation": 90, "ImageHorizontalFlip": "Y", "PresentationLUTShape": "INVERSE"}
        window = item(WindowCenter=128, WindowWidth=256)
        state = presentation(UID, SoftcopyVOILUTSequence=[window], **turn, **shutter)
        part = {"binary_type": "dicom"}
        report = await asyncio.to_thread(write, [as_file(base)], tmp_path, {"parts": [part]}, state)
        expected = ramp.copy() if color else 255 - ramp
        expected[5] = 255
        async with shown(report, tmp_path) as page:
            assert np.array_equal((await canvas(page))[..., 0], expected.T)
            assert page.errors == []

    @pytest.mark.slow
    async def test_every_kind_of_image_is_shown_as_in_the_pictures(self, tmp_path: Path) -> None:
        ramp = np.arange(60, dtype=np.int16).reshape(6, 10) * 50 - 1000
        colors = np.arange(180, dtype=np.uint8).reshape(6, 10, 3)
        sigmoid = {"WindowCenter": 100, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}
        exact = {"WindowCenter": 100, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"}
        kinds = [
            image(ramp, Modality="MR", PhotometricInterpretation="MONOCHROME1"),
            image(ramp, Modality="MR", RescaleSlope=2, RescaleIntercept=-7),
            image(ramp, Modality="MR", **sigmoid),
            image(ramp, Modality="MR", **exact),
            image(ramp, Modality="MR", WindowCenter=0, WindowWidth=1),
            color_image(colors),
            image(np.stack([ramp, ramp * 2]), NumberOfFrames=2, Modality="MR"),
        ]
        for number, dataset in enumerate(kinds):
            dataset.SeriesInstanceUID = f"1.2.3.{number}"
            dataset.InstanceNumber = number
        answer = {"study_ml_json": {"a": "b"}}
        report = await asyncio.to_thread(write, list(map(as_file, kinds)), tmp_path, answer)
        uint8 = [_by_hand(dataset) for dataset in kinds]
        async with shown(report, tmp_path) as page:
            for number, expected in enumerate(uint8):
                await set_to(page, "series", number)
                name = "plane-002" if number == 6 else "plane-001"
                await page.until(f"document.body.dataset.shown === 'series-{number + 1}-{name}'")
                off = np.abs((await canvas(page)).astype(int) - expected)
                assert off.max() == 0, number
            assert page.errors == []


def _by_hand(dataset: Any) -> NDArray[np.int64]:
    """What PS3.3 C.11.2 says of the kinds of images above."""
    if dataset.SamplesPerPixel == 3:
        return np.asarray(dataset.pixel_array).astype(np.int64)
    stored = dataset.pixel_array.astype(np.float64)
    values = (stored if stored.ndim == 2 else stored[1]) * dataset.get("RescaleSlope", 1)
    values = values + float(dataset.get("RescaleIntercept", 0))
    center, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if center is None:
        share = (values - values.min()) / (values.max() - values.min())
    elif dataset.get("VOILUTFunction") == "SIGMOID":
        share = 1 / (1 + np.exp(-4 * (values - center) / width))
    elif dataset.get("VOILUTFunction") == "LINEAR_EXACT":
        share = np.clip((values - center) / width + 0.5, 0, 1)
    else:
        share = np.where(values > center - 0.5, 1.0, 0.0)  # a width of 1
    shades = np.floor(share * 255 + 0.5)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shades = 255 - shades
    return np.asarray(shades.astype(np.int64)[..., None].repeat(3, axis=2))
