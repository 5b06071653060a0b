"""Pictures of every mode, and those that nobody should open."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.infer.pictures import PictureError, read_picture
from tests.infer.files import BROKEN_EXIF


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", (3, 4)), ("LA", (3, 4)), ("P", (3, 4, 3)), ("RGBA", (3, 4, 3)), ("I;16", (3, 4))],
)
def test_pictures_of_every_mode_can_be_read(mode: str, expected: tuple[int, ...], tmp_path: Path) -> None:
    colored = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7)
    colored.convert("I;16" if mode == "I;16" else mode).save(tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png", Limits()).shape == expected


def test_a_photograph_is_turned_as_it_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "x.jpg", exif=exif)
    assert read_picture(tmp_path / "x.jpg", Limits()).shape == (4, 3)


def png(rows: int, columns: int, depth: int = 1, interlaced: int = 0) -> bytes:
    """A PNG of one grey, as small as it can be."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    head = struct.pack(">LLBBBBB", columns, rows, depth, 0, 0, 0, interlaced)
    packer = zlib.compressobj(9)
    line = bytes(1 + -(-columns * depth // 8))
    data = b"".join(packer.compress(line) for _ in range(min(rows, 1000))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg(rows: int, columns: int, scans: int = 1) -> bytes:
    """A JPEG whose frame header says that size, and whose scan comes so many times."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "JPEG")
    data = file.getvalue()
    frame, scan, end = data.index(b"\xff\xc0"), data.index(b"\xff\xda"), data.index(b"\xff\xd9")
    size = struct.pack(">HH", rows, columns)
    return data[: frame + 5] + size + data[frame + 9 : scan] + data[scan:end] * scans + data[end:]


@pytest.mark.parametrize(
    "size", [(13000, 13000), (9400, 9400), (65535, 65535), (2**31 - 1, 1), (1, 50_000_001)]
)
@pytest.mark.parametrize("kind", ["png", "interlaced", "jpeg"])
def test_the_limit_holds_before_a_picture_is_opened(tmp_path: Path, size: tuple[int, int], kind: str) -> None:
    if kind == "jpeg" and max(size) > 65535:
        pytest.skip("JPEG has 16 bits for a side")
    path = tmp_path / "x"
    path.write_bytes(jpeg(*size) if kind == "jpeg" else png(*size, interlaced=int(kind == "interlaced")))
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="more than 50,000,000 pixels in one frame"):
            read_picture(path, Limits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_the_limit_is_what_it_is_set_to(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(png(30, 40))
    assert read_picture(tmp_path / "x", Limits(frame_pixels=1200)).shape == (30, 40)
    with pytest.raises(LimitError):
        read_picture(tmp_path / "x", Limits(frame_pixels=1199))


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", png(30, 40)[:40], jpeg(8, 8)[:99], jpeg(8, 8, 200)]
)
def test_what_cannot_be_read_is_one_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(PictureError):
        read_picture(tmp_path / "x", Limits())


def test_bad_exif_is_the_same_error(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "x.jpg", exif=BROKEN_EXIF)
    with pytest.raises(PictureError):
        read_picture(tmp_path / "x.jpg", Limits())
