"""Other projects' test files: each is drawn as dcmtk draws it, or stands in a table with its reason."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from inference_gateway.dicom import attributes
from inference_gateway.dicom.pixels import (
    PixelDataError,
    Pixels,
    attempt_frames,
    display_values,
    first_window,
    modality_values,
)
from inference_gateway.dicom.series import Frame, Instance, read_study
from inference_gateway.dicom.windows import Window, own_window
from inference_gateway.infer.report import Facts
from inference_gateway.infer.results import write_results
from tests.dicom.foreign import PACKAGES, dcmtk, files_of, has_dcmtk, unpacked, without_jpeg_2000
from tests.dicom.objects import as_file, image

# What a damaged file makes pydicom say is not ours to prevent.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NO_COLOR_OF_32 = "dcmtk reads no colour of 32 bits"

# By file name: why a file is not compared, or not drawn. dcmtk reads no JPEG 2000: Pillow decodes it then.
REASONS = {
    "GDCMJ2K_TextGBR.dcm": "dcmtk reads no JPEG 2000, and Pillow not this codestream",
    "J2K_pixelrep_mismatch.dcm": "Pillow takes its numbers for those without sign; pydicom agrees",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "it ends too soon for pydicom to give dcmtk its pixels",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its codestream is cut: 266 bytes for 1024 x 256 pixels",
    "MR_truncated.dcm": "less pixel data than its header says: 8,130 of 8,192 bytes",
    "SC_rgb_jpeg.dcm": "dcmtk does not read it: implicit VR beside a syntax of explicit VR",
    "SC_ybr_full_uncompressed.dcm": (
        "2 greys off in 3 % of the pixels: dcmtk centres chroma on 127.5, PS3.3 C.7.6.3.1.2 on 128"
    ),
    **dict.fromkeys(
        ("rtdose_expb.dcm", "rtdose_expb_1frame.dcm"),
        "dcmtk turns big-endian words of 16 bits around where samples have 32; the little-endian twin agrees",
    ),
    **dict.fromkeys(
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
        "dcmtk refuses a palette of 16 bits that is announced with 8",
    ),
    **dict.fromkeys(
        (
            "SC_rgb_32bit.dcm",
            "SC_rgb_32bit_2frame.dcm",
            "SC_rgb_expb_32bit.dcm",
            "SC_rgb_expb_32bit_2frame.dcm",
        ),
        NO_COLOR_OF_32,
    ),
}

# The files that are drawn, beside those that dcmtk cannot read.
NOT_DRAWN = {"JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm"}

# What is said of files that are no images.
NO_IMAGE = {"no pixels", "not a DICOM file"}


def cases() -> Iterator[object]:
    for package in PACKAGES:
        found = files_of(package)
        if not found:
            reason = f"the package {package} is not installed"
            yield pytest.param(None, id=package, marks=pytest.mark.skip(reason=reason))
        yield from (pytest.param(path, id=f"{package}-{path.name}") for path in found)


def some_frames(instance: Instance) -> list[Frame]:
    """The first frame, the one in the middle and the last."""
    study = read_study([instance.source], without_decoder=True)
    frames = [frame for series in study.series for stack in series.stacks for frame in stack.frames]
    frames.sort(key=lambda frame: frame.number)
    return [frames[at] for at in sorted({0, len(frames) // 2, len(frames) - 1})]


@pytest.mark.parametrize("path", list(cases()))
def test_a_file_is_drawn_as_dcmtk_draws_it_or_its_reason_is_known(path: Path, tmp_path: Path) -> None:
    source = unpacked(path, tmp_path)
    study = read_study([source], without_decoder=True)
    if not study.instances:
        (skipped,) = study.skipped
        assert skipped.reason in NO_IMAGE or skipped.reason == REASONS[path.name]
        return
    (instance,) = study.instances
    for pixels in attempt_frames(some_frames(instance)):
        if path.name in NOT_DRAWN:
            assert isinstance(pixels, PixelDataError)
            continue
        assert isinstance(pixels, Pixels), f"{path.name}: {pixels}"
        shown = display_values(pixels)
        if path.name not in REASONS:
            compare(pixels, shown, source, tmp_path)


def compare(pixels: Pixels, shown: np.ndarray, source: Path, folder: Path) -> None:
    if not has_dcmtk():
        pytest.skip("dcmtk is not installed")
    syntax = pixels.header.file_meta.TransferSyntaxUID
    if "JPEG 2000" in syntax.name:
        source, syntax = without_jpeg_2000(source, folder), ExplicitVRLittleEndian
    theirs = dcmtk(source, pixels.frame.number, options_of(pixels), syntax, folder)
    assert theirs is not None, "dcmtk makes no picture, and no reason is known"
    ours = shown if shown.ndim == theirs.ndim else shown[..., :1].repeat(3, axis=2)
    off = np.abs(ours.astype(int) - theirs)
    assert (off <= 1).mean() >= 0.999


def options_of(pixels: Pixels) -> list[str]:
    """What makes dcmtk show the same: the image's own window or look-up table, or the window taken here."""
    header, number = pixels.header, pixels.frame.number
    if pixels.is_color:
        return []
    own = own_window(header, number)
    if own is not None and "WindowCenter" in header:
        return ["+Wi", "1"]
    if own is None and has_voi_lut(header, number):
        return ["+Wl", "1"]
    window = own or first_window(pixels, modality_values(pixels))
    if window.function == "LINEAR_EXACT":  # as a LINEAR one, PS3.3 C.11.2.1.3.2
        window = Window(window.center + 0.5, window.width + 1.0)
    dose = attributes.number(header, "DoseGridScaling")
    if dose:  # which dcmtk does not apply
        window = Window((window.center - 0.5) / dose + 0.5, (window.width - 1.0) / dose + 1.0)
    return ["+Ww", repr(window.center), repr(window.width)]


def has_voi_lut(header: Dataset, number: int) -> bool:
    groups = attributes.frame_macro(header, number, "FrameVOILUTSequence")
    return any(attributes.items(group, "VOILUTSequence") for group in groups)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_files_of_a_package_make_one_report(package: str, tmp_path: Path) -> None:
    paths = [unpacked(path, tmp_path) for path in files_of(package)]
    if not paths:
        pytest.skip(f"the package {package} is not installed")
    study = read_study(paths, without_decoder=True)
    folder = tmp_path / "out"
    folder.mkdir()
    written = write_results(study, {}, [], folder, Facts())
    assert (folder / "report.html").stat().st_size > 10_000
    assert (folder / "contact-sheet.png").exists()
    irregular = [note for note in written.notes if note.startswith("series ")]  # what a stack says of itself
    assert len(written.notes) - len(irregular) <= len(NOT_DRAWN)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_beside_the_window_is_drawn_as_dcmtk_draws_it(interpretation: str, tmp_path: Path) -> None:
    """White, where it is more than all else: it has no say in the window, but it has a value."""
    stored = np.add.outer(np.arange(40) * 50, np.arange(50) * 10).astype(np.uint16)
    stored[:5] = 60005
    padding = {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 60010}
    dataset = image(stored, Modality="MR", PhotometricInterpretation=interpretation, **padding)
    path = tmp_path / "padded.dcm"
    path.write_bytes(as_file(dataset).getvalue())
    (instance,) = read_study([path]).instances
    (pixels,) = attempt_frames(some_frames(instance))
    assert isinstance(pixels, Pixels)
    shown = display_values(pixels)
    assert set(shown[:5].ravel()) == {255 if interpretation == "MONOCHROME2" else 0}
    compare(pixels, shown, path, tmp_path)
