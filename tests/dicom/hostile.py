"""Small files that name large things. By what it is: bytes, and why they are left out."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.dicom.objects import as_file, image, plane

NOT_ALLOWED = "a value of {} that the standard does not allow"
TOO_LITTLE = "less pixel data than its header says"
TOO_MANY_FRAMES = "too many frames for so little pixel data"
TOO_MANY_ITEMS = "more elements or items in its header than an image has"


def with_count(keyword: str, vr: str, value: Any, **attributes: Any) -> bytes:
    """An image of 2 x 3 pixels with one of its counts in a VR that can say something else."""
    dataset = plane(1)
    for name, each in attributes.items():
        setattr(dataset, name, each)
    if keyword in dataset:
        del dataset[keyword]
    dataset.add_new(keyword, vr, value)
    return as_file(dataset).getvalue()


def encapsulated(syntax: str, frames: list[bytes], **attributes: Any) -> bytes:
    dataset = image(np.zeros((2, 3), np.uint8))
    for name, each in attributes.items():
        setattr(dataset, name, each)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    items = [b"", *frames]  # the first is the Basic Offset Table
    data = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(item)) + item for item in items)
    dataset.PixelData = data + b"\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].is_undefined_length = True
    return as_file(dataset).getvalue()


def one_bit(frames: int) -> bytes:
    dataset = image(np.zeros((1, 1), np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.NumberOfFrames = frames
    dataset.PixelData = bytes(-(-frames // 16) * 2)
    return as_file(dataset).getvalue()


def deflated(dataset: Dataset, megabytes: int = 0) -> bytes:
    """A deflated file, with so many megabytes of zeros before its pixel data."""
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head, body = io.BytesIO(), as_file(dataset).getvalue()
    plain = zlib.decompress(body[_meta_end(body) :], -zlib.MAX_WBITS)
    at = plain.index(b"\xe0\x7f\x10\x00")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head.write(body[: _meta_end(body)])
    head.write(packer.compress(plain[:at]))
    if megabytes:
        head.write(packer.compress(b"\x09\x70\x01\x10OB\0\0" + struct.pack("<L", megabytes << 20)))
        head.write(packer.flush(zlib.Z_FULL_FLUSH))  # what follows can be repeated
        head.write((packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes)
    head.write(packer.compress(plain[at:]) + packer.flush())
    return head.getvalue()


def _meta_end(body: bytes) -> int:
    (length,) = struct.unpack("<L", body[140:144])
    return 144 + int(length)


def private_elements(count: int) -> bytes:
    """An image whose header begins with so many empty private elements of eight bytes."""
    dataset = plane(1)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    body = as_file(dataset).getvalue()
    end = _meta_end(body)
    elements = np.zeros((count, 8), np.uint8)
    elements[:, :2] = [0x07, 0x00]
    elements[:, 2:4] = (np.arange(count) % 65536).astype("<u2").view(np.uint8).reshape(-1, 2)
    return body[:end] + elements.tobytes() + body[end:]


def empty_items(count: int, *, told: bool) -> bytes:
    """An image whose functional groups are so many empty items, in a sequence whose length is told or not."""
    dataset = plane(1)
    body = as_file(dataset).getvalue()
    at = body.index(b"\xe0\x7f\x10\x00")
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * count
    length, end = (len(items), b"") if told else (0xFFFFFFFF, b"\xfe\xff\xdd\xe0\0\0\0\0")
    return body[:at] + b"\x00\x52\x30\x92SQ\0\0" + struct.pack("<L", length) + items + end + body[at:]


def rows() -> dict[str, tuple[bytes, str]]:
    one = {"NumberOfFrames": 2**31 - 1}
    huge = {"Rows": 65535, "Columns": 65535}
    return {
        "samples -1": (with_count("SamplesPerPixel", "SS", -1, **one), NOT_ALLOWED.format("SamplesPerPixel")),
        "samples 0": (with_count("SamplesPerPixel", "US", 0, **one), NOT_ALLOWED.format("SamplesPerPixel")),
        "samples 2^31": (with_count("SamplesPerPixel", "UL", 2**31), NOT_ALLOWED.format("SamplesPerPixel")),
        "bits -16": (with_count("BitsAllocated", "SS", -16, **one), NOT_ALLOWED.format("BitsAllocated")),
        "bits 0": (with_count("BitsAllocated", "US", 0, **one), NOT_ALLOWED.format("BitsAllocated")),
        "bits 65": (with_count("BitsAllocated", "US", 65), NOT_ALLOWED.format("BitsAllocated")),
        "rows -2": (with_count("Rows", "SS", -2, **one), NOT_ALLOWED.format("Rows")),
        "columns 65536": (with_count("Columns", "UL", 65536), NOT_ALLOWED.format("Columns")),
        "frames -1": (with_count("NumberOfFrames", "IS", -1), NOT_ALLOWED.format("NumberOfFrames")),
        "frames 1e300": (with_count("NumberOfFrames", "DS", "1e300"), NOT_ALLOWED.format("NumberOfFrames")),
        "frames 2^31": (with_count("NumberOfFrames", "IS", 2**31 - 1), TOO_LITTLE),
        "200,000 frames of one bit": (one_bit(200_000), TOO_MANY_FRAMES),
        "empty RLE items": (encapsulated(RLELossless, [b""] * 3000, NumberOfFrames=3000), TOO_MANY_FRAMES),
        "some empty items": (encapsulated(RLELossless, [b"", b"xx"] * 9, NumberOfFrames=18), TOO_LITTLE),
        "more items than bytes are good for": (
            encapsulated(JPEGBaseline8Bit, [b""] * 9000, NumberOfFrames=2),
            "too many fragments for so little pixel data",
        ),
        "RLE of 4 gigapixels": (encapsulated(RLELossless, [bytes(98)], **huge), TOO_LITTLE),
        "JPEG of 4 gigapixels": (encapsulated(JPEGBaseline8Bit, [bytes(98)], **huge), TOO_LITTLE),
        "deflated": (deflated(plane(1), 300), "a deflated data set of more than 268,435,456 bytes"),
        "private elements": (private_elements(250_000), TOO_MANY_ITEMS),
        "items of unknown length": (empty_items(50_000, told=False), TOO_MANY_ITEMS),
        "items of known length": (empty_items(50_000, told=True), TOO_MANY_ITEMS),
    }


ROWS = rows()
