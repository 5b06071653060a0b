"""Stored values, bit by bit, and how they are read from where they lie."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)

from inference_gateway.dicom.pixels import (
    PixelDataError,
    attempt_frames,
    modality_values,
    read_frames,
)
from inference_gateway.dicom.series import frames_of, read_study
from inference_gateway.dicom.sources import read_dataset
from inference_gateway.dicom.stored import Outcome, Stored, finished_frames
from tests.dicom.decoding import array, pixels, pixels_of, real
from tests.dicom.objects import as_file, image, packed_bits, plane


def test_a_compressed_image_gives_the_values_of_the_native_one() -> None:
    expected = dcmread(real("MR_small.dcm")).pixel_array
    for name in ("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"):
        assert np.array_equal(modality_values(pixels(real(name))), expected)


def test_the_header_of_a_cine_is_read_once_and_frames_come_in_the_order_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (stack,) = read_study([real("rtdose.dcm")]).series[0].stacks
    reads: list[object] = []
    read = read_dataset

    def counted(file: Any, **options: Any) -> Dataset:
        reads.append(file)
        return read(file, **options)

    monkeypatch.setattr("inference_gateway.dicom.stored.read_dataset", counted)
    expected = dcmread(real("rtdose.dcm")).pixel_array
    asked = [stack.frames[at] for at in (4, 0, 9)]
    assert [np.array_equal(one.stored, expected[one.frame.number - 1]) for one in read_frames(asked)] == [
        True
    ] * 3
    assert len(reads) == 1


def test_one_frame_of_a_cine_is_in_memory_at_a_time(tmp_path: Path) -> None:
    frames = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((256, 256), np.uint8)
    path = tmp_path / "cine.dcm"
    path.write_bytes(as_file(image(frames, NumberOfFrames=40, Modality="US")).getvalue())
    tracemalloc.start()
    try:
        (stack,) = read_study([path]).series[0].stacks
        assert [int(one.stored[0, 0]) for one in read_frames(stack.frames)] == list(range(40))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < frames.nbytes / 2


def test_a_deflated_image_gives_the_values_of_the_native_one() -> None:
    dataset = image(np.arange(12, dtype=np.uint16).reshape(3, 4), Modality="MR")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert pixels(dataset).stored.tolist() == np.arange(12).reshape(3, 4).tolist()


def test_damaged_compressed_pixels_are_an_error() -> None:
    dataset = dcmread(real("MR_small_RLE.dcm"))
    dataset.PixelData = dataset.PixelData[:600] + bytes(len(dataset.PixelData) - 600)
    with pytest.raises(PixelDataError):
        pixels(dataset)


def test_pixels_of_a_slice_are_those_of_its_file() -> None:
    study = read_study([as_file(plane(z)) for z in (3, 1, 2)])
    (stack,) = study.series[0].stacks
    assert [modality_values(one)[0, 0] for one in read_frames(stack.frames)] == [1, 2, 3]


def test_frames_of_one_bit_that_do_not_end_on_a_byte_are_read() -> None:
    frames = np.random.default_rng(4).integers(0, 2, (5, 3, 7), np.uint8)
    found = [one.stored for one in pixels_of(packed_bits(frames))]
    assert np.array_equal(found, frames)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_stored_bits_end_at_the_high_bit(dtype: type) -> None:
    values = array([0, 1, 2047, -5 if dtype is np.int16 else 4095], dtype=dtype)
    raised = (values.astype(np.int32) << 4).astype(dtype) | dtype(9)  # what is below is no part of a value
    assert pixels(image(raised, BitsStored=12, HighBit=15)).stored.tolist() == values.tolist()
    low = values & 0x0FFF | dtype(0x7000)  # nor is what is above
    assert pixels(image(low, BitsStored=12, HighBit=11)).stored.tolist() == values.tolist()


def test_words_of_big_endian_bytes_are_turned_around() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 6)
    dataset = image(values, Modality="OT")
    file = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = values.reshape(-1, 2)[:, ::-1].tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    assert pixels(file).stored.tolist() == values.tolist()


@pytest.mark.parametrize("bits", [12, 24])
def test_bits_allocated_that_are_not_read_say_so(bits: int) -> None:
    dataset = image(array([0, 1, 2, 3], dtype=np.uint32), Modality="OT")
    dataset.BitsAllocated = bits
    (found,) = attempt_frames(read_study([as_file(dataset)]).series[0].stacks[0].frames)
    assert str(found) == f"{bits} bits allocated for a sample are not read here"


@pytest.mark.parametrize("name", ["rtdose.dcm", "rtdose_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm"])
def test_frames_come_in_any_order(name: str) -> None:
    (instance,) = read_study([real(name)]).instances
    frames = list(frames_of(instance))
    in_order = [one.stored for one in read_frames(frames)]
    for found, expected in zip(read_frames(frames[::-1]), in_order[::-1], strict=True):
        np.testing.assert_array_equal(found.stored, expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_frames_are_finished_in_order_each_with_its_place(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference_gateway.dicom.stored.cores", lambda: threads)
    side = 1024
    frames = np.arange(5 * side * side, dtype=np.uint32).reshape(5, side, side)
    (instance,) = read_study([as_file(image(frames, NumberOfFrames=5, Modality="OT"))]).instances

    def finish(at: int, found: Outcome) -> tuple[int, int]:
        assert isinstance(found, Stored)
        return at, int(found.samples[0, 0])

    backwards = list(frames_of(instance))[::-1]
    found = list(finished_frames(backwards, finish))
    assert found == [(at, (4 - at) * side * side) for at in range(5)]


def test_a_frame_that_cannot_be_finished_ends_the_others() -> None:
    frames = np.zeros((9, 1024, 512), np.uint16)
    (instance,) = read_study([as_file(image(frames, NumberOfFrames=9, Modality="OT"))]).instances

    def finish(at: int, found: Outcome) -> int:
        if at == 2:
            raise ZeroDivisionError
        return at

    found = finished_frames(frames_of(instance), finish)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
