"""Every syntax that hospitals send is decoded to the values that were encoded; what cannot be says why."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import UID

from inference_gateway.dicom import codecs
from inference_gateway.dicom.pixels import PixelDataError, attempt_frames, display_values, read_frames
from inference_gateway.dicom.series import read_study
from tests.dicom.encoded import LOSSLESS, LOSSY, Array, encoded, smooth
from tests.dicom.objects import as_file
from tests.dicom.without_codecs import undecodable_without_codecs


def decoded(dataset: Dataset) -> Array:
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    return np.stack([one.stored for one in read_frames(stack.frames)])


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)])
@pytest.mark.parametrize("syntax", [*LOSSLESS, uid.RLELossless], ids=lambda syntax: str(syntax.name))
def test_lossless_syntaxes_give_what_was_encoded(syntax: UID, dtype: str, bits: int) -> None:
    if dtype == "i2" and syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL) and bits == 12:
        pytest.skip("the encoder marks 16 bits")
    frames = smooth(dtype, bits, frames=3)
    dataset = encoded(frames, syntax, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(decoded(dataset), frames)


@pytest.mark.parametrize("syntax", [*LOSSLESS, uid.RLELossless], ids=lambda syntax: str(syntax.name))
def test_lossless_colours_are_what_was_encoded(syntax: UID) -> None:
    frames = smooth("u1", 8, samples=3, frames=2)
    assert np.array_equal(decoded(encoded(frames, syntax)), frames)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: str(syntax.name))
def test_lossy_syntaxes_give_nearly_what_was_encoded(syntax: UID) -> None:
    bits = 12 if syntax == uid.JPEGExtended12Bit else 8
    frames = smooth("u1" if bits == 8 else "u2", bits, frames=2)
    dataset = encoded(frames, syntax, BitsStored=bits, HighBit=bits - 1)
    assert np.abs(decoded(dataset).astype(int) - frames).max() <= 2 ** (bits - 6)


def test_a_square_of_three_pixels_keeps_its_colours_apart() -> None:
    frames = smooth("u1", 8, samples=3, rows=3, columns=3)
    assert np.array_equal(decoded(encoded(frames, uid.JPEGLSLossless)), frames)


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_are_found_with_and_without_a_table_of_offsets(has_table: bool) -> None:
    frames = smooth("u1", 8, frames=5)
    dataset = encoded(frames, uid.JPEGLSLossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=5))
    dataset.PixelData = encapsulate(codestreams, has_bot=has_table, fragments_per_frame=3 if has_table else 1)
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    asked = [stack.frames[at] for at in (4, 0, 2, 2)]
    found = [one.stored for one in read_frames(asked)]
    assert all(np.array_equal(one, frames[at]) for one, at in zip(found, (4, 0, 2, 2), strict=True))


def test_a_table_of_offsets_that_is_wrong_is_not_used() -> None:
    frames = smooth("u1", 8, frames=3)
    dataset = encoded(frames, uid.JPEGLSLossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=3))
    table = bytes([0xFE, 0xFF, 0, 0xE0, 12, 0, 0, 0]) + bytes(12)
    dataset.PixelData = table + encapsulate(codestreams, has_bot=False)[8:]
    assert np.array_equal(decoded(dataset), frames)


def test_stored_bits_of_encoded_pixels_end_at_the_high_bit() -> None:
    values = smooth("i2", 12)
    raised = (values.astype(np.int32) << 4).astype(np.int16) | np.int16(9)
    assert np.array_equal(decoded(encoded(raised, uid.JPEGLSLossless, BitsStored=12, HighBit=15)), values)
    low = values & np.int16(0x0FFF)  # without the sign above
    assert np.array_equal(decoded(encoded(low, uid.JPEGLSLossless, BitsStored=12, HighBit=11)), values)


@pytest.mark.filterwarnings("ignore")  # pydicom says what is wrong
@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.RLELossless])
def test_a_number_of_frames_that_is_no_number_is_one(syntax: UID) -> None:
    frames = smooth("u1", 8)
    dataset = encoded(frames, syntax)
    dataset.NumberOfFrames = 1
    whole = as_file(dataset).getvalue()
    file = io.BytesIO(whole.replace(b"IS\x02\x001 ", b"IS\x02\x001A"))
    (stack,) = read_study([file]).series[0].stacks
    assert np.array_equal(next(read_frames(stack.frames)).stored, frames[0])


def test_a_frame_that_is_damaged_is_an_error_and_the_others_are_read() -> None:
    frames = smooth("u1", 8, frames=6)
    dataset = encoded(frames, uid.JPEGLSLossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=6))
    codestreams[3] = codestreams[3][:20] + bytes(40)
    dataset.PixelData = encapsulate(codestreams, has_bot=False)
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    found = list(attempt_frames(stack.frames))
    assert [isinstance(one, PixelDataError) for one in found] == [False, False, False, True, False, False]


def near_lossless(frames: int, cut: Callable[[bytes], bytes]) -> Dataset:
    """An image of 50 x 10 pixels of 16 bits in near-lossless JPEG-LS, of which `cut` makes something else."""
    dataset = encoded(smooth("u2", 16, frames=frames, rows=50, columns=10), uid.JPEGLSNearLossless)
    whole = generate_frames(dataset.PixelData, number_of_frames=frames)
    dataset.PixelData = encapsulate([cut(frame) for frame in whole], has_bot=True)
    return dataset


@pytest.mark.timeout(60)
def test_a_scan_that_is_cut_costs_no_time() -> None:
    """CharLS itself takes seconds for each such frame: forty of them would take minutes."""
    study = read_study([as_file(near_lossless(40, lambda frame: frame[: len(frame) // 2]))])
    found = list(attempt_frames(study.series[0].stacks[0].frames))
    assert len(found) == 40
    assert all(isinstance(one, PixelDataError) for one in found)


def test_a_scan_without_its_end_marker_is_read() -> None:
    assert np.array_equal(
        decoded(near_lossless(1, lambda frame: frame.rstrip(b"\0")[:-2])), decoded(near_lossless(1, bytes))
    )


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.JPEGLosslessSV1])
def test_a_codestream_of_another_size_is_refused_before_room_is_made_for_it(syntax: UID) -> None:
    dataset = encoded(smooth("u1", 8, rows=40, columns=40), syntax)
    dataset.Rows = 39
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    (found,) = attempt_frames(stack.frames)
    assert isinstance(found, PixelDataError)
    assert "not of the size that its header says" in str(found)


def test_frames_are_decoded_side_by_side_and_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = smooth("u1", 8, frames=6)
    dataset = encoded(frames, uid.JPEGLSLossless)
    decoder = get_decoder(uid.JPEGLSLossless)
    label = decoder.available_plugins[0]
    decode = decoder._available[label]
    both = threading.Barrier(2, timeout=60)  # broken where one waits for the other

    def waiting(source: bytes, runner: DecodeRunner) -> bytes | bytearray:
        both.wait()
        found: bytes | bytearray = decode(source, runner)
        return found

    monkeypatch.setattr(decoder, "_available", {label: waiting})
    monkeypatch.setattr("inference_gateway.dicom.stored.cores", lambda: 2)
    assert np.array_equal(decoded(dataset), frames)


def test_reading_may_stop_after_one_frame() -> None:
    dataset = encoded(smooth("u1", 8, frames=9), uid.JPEGLSLossless)
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    frames = read_frames(stack.frames)
    next(frames)
    frames.close()  # type: ignore[attr-defined]  # it is a generator


def test_pydicom_itself_decodes_with_what_this_module_made_known() -> None:
    frames = smooth("u2", 12)
    file = as_file(encoded(frames, uid.JPEGLosslessSV1, BitsStored=12, HighBit=11))
    assert np.array_equal(dcmread(file).pixel_array, frames[0])
    assert get_decoder(uid.JPEGLosslessSV1).available_plugins == ("inference-gateway",)


TWELVE_BITS = """
import sys
sys.modules["imagecodecs"] = None
from inference_gateway.dicom.pixels import attempt_frames
from inference_gateway.dicom.series import read_study
(stack,) = read_study([sys.argv[1]]).series[0].stacks
print(*attempt_frames(stack.frames))
"""


@pytest.mark.slow
def test_what_pillow_cannot_read_of_a_syntax_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "image"
    frames = smooth("u2", 12)
    path.write_bytes(as_file(encoded(frames, uid.JPEGExtended12Bit, BitsStored=12, HighBit=11)).getvalue())
    command = [sys.executable, "-c", TWELVE_BITS, str(path)]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    name = "JPEG Extended (Process 2 and 4)"
    assert ran.stdout.strip() == f"no decoder for {name}: pip install 'dicom-inference-gateway[codecs]'"


@pytest.mark.slow
def test_without_the_extra_the_sentence_names_the_syntax_and_what_to_install() -> None:
    sentences = undecodable_without_codecs()
    missing = {syntax for syntax, sentence in sentences.items() if "pip install" in sentence}
    assert missing == {*map(str, LOSSLESS), *map(str, LOSSY)} - {
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
    }
    assert sentences[uid.JPEGLosslessSV1] == (
        "no decoder for JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value "
        "1]): pip install 'dicom-inference-gateway[codecs]'"
    )
    assert sentences[uid.RLELossless] == sentences[uid.JPEGBaseline8Bit] == ""


@pytest.mark.parametrize(
    ("syntax", "sentence"),
    [
        (None, "it names no transfer syntax"),
        ("", "it names no transfer syntax"),
        ("1.2.840.113619.5.2", "its transfer syntax is not one of the standard"),
        ("Doe^Jane", "its transfer syntax is not one of the standard"),
        (uid.MPEG2MPML, "MPEG2 Main Profile / Main Level is not decoded here"),
        (uid.ExplicitVRLittleEndian, ""),
    ],
)
def test_what_cannot_be_decoded_says_why_and_repeats_no_unknown_uid(syntax: Any, sentence: str) -> None:
    assert codecs.undecodable(syntax) == sentence


def test_an_image_without_decoder_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(get_decoder(uid.JPEGLosslessSV1), "_available", {})
    file = as_file(encoded(smooth("u1", 8), uid.JPEGLosslessSV1))
    (stack,) = read_study([file], without_decoder=True).series[0].stacks
    with pytest.raises(PixelDataError, match=r"pip install 'dicom-inference-gateway\[codecs\]'"):
        next(read_frames(stack.frames))


def test_colours_in_a_jpeg_are_converted_once() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    dataset = encoded(red[None], uid.JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([bytes(imagecodecs.jpeg8_encode(red, level=98))])  # JFIF: YCbCr
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    (stack,) = read_study([as_file(dataset)]).series[0].stacks
    shown = display_values(next(read_frames(stack.frames)))
    assert np.abs(shown.astype(int) - red).max() <= 4
