"""Parts: files of one request, beside `io.BytesIO`."""

import array
import gzip
import hashlib
import io
import random
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule
from PIL import Image

from inference_gateway import Part
from tests.harness.assembling import ROOT, TEXT, assembled, in_both
from tests.harness.wire import message, part


@contextmanager
def opened(body: bytes, *headers: bytes, in_file: bool = False) -> Iterator[Part]:
    """A part with this body."""
    with assembled(message(part(ROOT), part(body, *headers), part(b"after")), in_file=in_file) as request:
        yield request.inputs[0]


BODIES = [b"", b"\n", b"x", b"one\ntwo\n\nfour", b"\r\n--bn\r\n", TEXT, TEXT + b"end", bytes(100_000)]


class Call:
    """What a call gave, to be compared: its value, or the kind of its error."""

    def __init__(self, function: Callable[[], Any]) -> None:
        try:
            self.outcome = function()
        except (ValueError, TypeError, StopIteration) as error:
            self.outcome = type(error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.outcome == other.outcome

    def __repr__(self) -> str:
        return repr(self.outcome)[:200]


class PartBesideBytesIO(RuleBasedStateMachine):
    """A part and an `io.BytesIO` with the same bytes, used in the same way, give the same."""

    views = Bundle("views")
    sizes = st.none() | st.integers(-2, 30) | st.sampled_from([8191, 8192, 8193, 16_384, 200_000])

    @initialize(body=st.sampled_from(BODIES) | st.binary(max_size=50), in_file=st.booleans())
    def open(self, body: bytes, in_file: bool) -> None:
        self.context = opened(body, in_file=in_file)
        self.part = self.context.__enter__()
        self.model = io.BytesIO(body)
        self.kept: list[memoryview] = []

    def same(self, use: Callable[[Any], Any]) -> None:
        assert Call(lambda: use(self.part)) == Call(lambda: use(self.model))
        assert self.part.tell() == self.model.tell()

    @rule(size=sizes)
    def read(self, size: int | None) -> None:
        self.same(lambda file: file.read(size))

    @rule(size=sizes)
    def read1(self, size: int | None) -> None:
        self.same(lambda file: file.read1(size))

    @rule(size=sizes)
    def readline(self, size: int | None) -> None:
        self.same(lambda file: file.readline(size))

    @rule(size=st.integers(0, 20_000), method=st.sampled_from(["readinto", "readinto1"]))
    def readinto(self, size: int, method: str) -> None:
        def use(file: Any) -> tuple[int, bytearray]:
            buffer = bytearray(b"?" * size)
            return getattr(file, method)(buffer), buffer

        self.same(use)

    @rule(offset=st.integers(-30, 30) | st.sampled_from([8192, 300_000]), whence=st.integers(-1, 3))
    def seek(self, offset: int, whence: int) -> None:
        self.same(lambda file: file.seek(offset, whence))

    @rule(offset=st.integers(0, 100_000))
    def seek_from_the_start(self, offset: int) -> None:
        self.same(lambda file: file.seek(offset))

    @rule()
    def next_line(self) -> None:
        self.same(next)

    @rule()
    def lines(self) -> None:
        self.same(list)

    @rule()
    def readlines(self) -> None:
        self.same(lambda file: file.readlines())

    @rule()
    def getvalue(self) -> None:
        self.same(lambda file: file.getvalue())

    @rule()
    def getbuffer(self) -> None:
        self.same(lambda file: bytes(file.getbuffer()))

    @rule(target=views, start=st.integers(0, 20))
    def keep_a_view(self, start: int) -> tuple[memoryview, memoryview]:
        mine, of_model = self.part.getbuffer(), self.model.getbuffer()
        self.kept += [of_model, other := of_model[start:]]
        return mine[start:], other

    @rule(pair=views)
    def look_at_a_view(self, pair: tuple[memoryview, memoryview]) -> None:
        mine, other = pair
        assert Call(lambda: bytes(mine)) == Call(lambda: bytes(other))

    @rule(pair=views)
    def release_a_view(self, pair: tuple[memoryview, memoryview]) -> None:
        for view in pair:
            view.release()

    @rule()
    def view_in_a_block(self) -> None:
        def use(file: Any) -> tuple[object, ...]:
            with file.getbuffer() as view:
                return view.nbytes, view.readonly, view.format, view.shape, view.c_contiguous, bytes(view[:9])

        self.same(use)

    @rule()
    def write_to_a_view(self) -> None:
        """What is written shows in every view; what `read` gives is left as it is, so it is written back."""
        mine, other = self.part.getbuffer(), self.part.getbuffer()
        if len(mine):
            before = mine[0]
            mine[0] = before ^ 255
            assert other[0] == before ^ 255
            other[0] = before
            assert mine[0] == before

    @rule(name=st.sampled_from(["sha256", "md5", "blake2b"]))
    def digest(self, name: str) -> None:
        self.same(lambda file: hashlib.file_digest(file, name).hexdigest())

    @rule()
    def array_of_the_buffer(self) -> None:
        self.same(lambda file: np.frombuffer(file.getbuffer(), np.uint8).sum())

    @rule()
    def questions(self) -> None:
        self.same(lambda file: (file.readable(), file.seekable(), file.isatty(), file.closed))

    def teardown(self) -> None:
        if hasattr(self, "context"):
            for view in reversed(self.kept):  # from Python 3.14 on a BytesIO does not like to go first
                view.release()
            self.context.__exit__(None, None, None)


PartBesideBytesIO.TestCase.settings = settings(max_examples=100, stateful_step_count=25)


TestPartBesideBytesIO = PartBesideBytesIO.TestCase


@pytest.mark.wire("request: inputs are seekable binary files")
@in_both
class TestPart:
    def test_begins_at_0_and_knows_its_size(self, in_file: bool) -> None:
        with opened(TEXT, in_file=in_file) as file:
            assert isinstance(file, io.BufferedIOBase)
            assert (file.tell(), file.size) == (0, len(TEXT))
            assert file.seek(0, io.SEEK_END) == file.size
            assert repr(file) == f"<Part: {len(TEXT)} bytes>"

    @pytest.mark.parametrize(
        "use",
        [
            lambda file: file.seek(-1),
            lambda file: file.seek(0, 3),
            lambda file: file.seek(0, -1),
            lambda file: (file.seek(-9, io.SEEK_CUR), file.tell()),
            lambda file: (file.seek(-2, io.SEEK_END), file.read()),
            lambda file: (file.seek(-9, io.SEEK_END), file.read()),
            lambda file: (
                file.seek(9),
                file.read(),
                file.tell(),
                file.readline(),
                file.seek(-7, 1),
                file.read(1),
            ),
            lambda file: (file.seek(9, io.SEEK_END), file.readinto(bytearray(3)), list(file), file.tell()),
            lambda file: (file.read(0), file.readline(0), file.read(-5), file.read()),
        ],
    )
    def test_behaves_as_bytes_io_does(self, in_file: bool, use: Callable[[Any], object]) -> None:
        with opened(b"a\nbcd", in_file=in_file) as file:
            assert Call(lambda: use(file)) == Call(lambda: use(io.BytesIO(b"a\nbcd")))

    def test_is_read_only(self, in_file: bool) -> None:
        with opened(b"body", in_file=in_file) as file:
            assert not file.writable()
            for use in (lambda: file.write(b"x"), file.truncate, file.fileno, file.detach):
                with pytest.raises(io.UnsupportedOperation):
                    use()
            assert file.getvalue() == b"body"

    @pytest.mark.parametrize(
        "make",
        [
            lambda: array.array("i", [0] * 5),
            lambda: np.zeros(5, ">i4"),
            lambda: np.zeros((2, 5), np.uint16),
            lambda: memoryview(bytearray(22))[1:21],
        ],
    )
    def test_reads_into_any_buffer(self, in_file: bool, make: Callable[[], Any]) -> None:
        mine, model = make(), make()
        with opened(bytes(range(30)), in_file=in_file) as file:
            assert file.readinto(mine) == io.BytesIO(bytes(range(30))).readinto(model) == 20
            assert bytes(mine) == bytes(model) == bytes(range(20))
            assert file.tell() == 20

    @pytest.mark.parametrize(
        "use",
        [
            lambda file: file.readinto(b"immutable"),
            lambda file: file.readinto("text"),
            lambda file: file.read("1"),
            lambda file: file.read(1.0),
            lambda file: file.readline(1.0),
            lambda file: file.seek(1.0),
            lambda file: file.seek(None),
        ],
    )
    def test_wrong_arguments_are_type_errors(self, in_file: bool, use: Callable[[Any], object]) -> None:
        with pytest.raises(TypeError):
            use(io.BytesIO(b"body"))
        with opened(b"body", in_file=in_file) as file:
            with pytest.raises(TypeError):
                use(file)
            assert file.tell() == 0

    def test_numbers_of_numpy_are_numbers(self, in_file: bool) -> None:
        body = random.Random(4).randbytes(400)
        place: Any = np.uint8(200)
        size: Any = np.int64(100)
        with opened(body, in_file=in_file) as file:
            assert file.seek(place) == 200
            assert file.read(size) == body[200:300]
            assert file.tell() == 300
            assert file.read() == body[300:]

    def test_readers_of_the_standard_library(self, in_file: bool) -> None:
        plain = io.BytesIO()
        with zipfile.ZipFile(plain, "w") as archive:
            archive.writestr("a.txt", "text")
        with opened(plain.getvalue(), in_file=in_file) as file, zipfile.ZipFile(file) as archive:
            assert archive.read("a.txt") == b"text"
        with opened(gzip.compress(TEXT), in_file=in_file) as file, gzip.open(file) as unpacked:
            assert unpacked.read() == TEXT
        with opened(b"a\nb\r\n\xc3\xa9", in_file=in_file) as file:
            text: Any = file
            assert io.TextIOWrapper(text, "utf-8").readlines() == ["a\n", "b\n", "é"]
        copy = io.BytesIO()
        with opened(TEXT, in_file=in_file) as file:
            shutil.copyfileobj(file, copy)
        assert copy.getvalue() == TEXT

    @pytest.mark.wire("request: pydicom, Pillow and NumPy read inputs")
    def test_readers_of_images(self, in_file: bool) -> None:
        pixels = np.arange(300 * 200, dtype=np.uint8).reshape(200, 300)
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        with opened(png.getvalue(), in_file=in_file) as file, opened_image(file) as image:
            assert np.array_equal(np.asarray(image), pixels)
        with opened(dicom(pixels), in_file=in_file) as file:
            dataset = pydicom.dcmread(file)
            assert dataset.PatientID == "1"
            assert np.array_equal(dataset.pixel_array, pixels)
        with opened(dicom(pixels), in_file=in_file) as file:
            assert pydicom.dcmread(file, stop_before_pixels=True).Rows == 200
        npy = io.BytesIO()
        np.save(npy, pixels)
        with opened(npy.getvalue(), in_file=in_file) as file:
            assert np.array_equal(np.load(file), pixels)

    @pytest.mark.parametrize("size", [0, 8, 80_000, 300_000])
    def test_numpy_reads_the_buffer(self, in_file: bool, size: int) -> None:
        values = np.random.default_rng(1).random(size // 8)
        with opened(values.tobytes(), in_file=in_file) as file:
            array = np.frombuffer(file.getbuffer())
        # After the request it is still there, and its own to write to.
        assert np.array_equal(array, values)
        array += 1
        assert np.array_equal(array, values + 1)

    @pytest.mark.parametrize("size", [0, 100, 300_000])
    def test_views_are_released_one_by_one(self, in_file: bool, size: int) -> None:
        body = random.Random(size).randbytes(size)
        with opened(body, in_file=in_file) as file:
            with file.getbuffer() as view:
                assert view == body
            kept = file.getbuffer()
            file.getbuffer().release()
            assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(body).digest()
            file.close()
        assert kept == body

    def test_writing_to_the_buffer_changes_nothing_that_is_read(self, in_file: bool) -> None:
        with opened(TEXT * 4, in_file=in_file) as file:
            file.getbuffer()[:] = bytes(file.size)
            assert file.getvalue() == file.read() == TEXT * 4

    @pytest.mark.wire("request: parts closed after the request")
    def test_after_the_request_it_is_a_closed_file(self, in_file: bool) -> None:
        with opened(b"body", b"X-A: b", in_file=in_file) as file:
            assert not file.closed
            assert file.read() == b"body"
        assert file.closed
        for use in (
            *(file.read, file.read1, file.readline, file.readlines, file.getvalue, file.getbuffer, file.tell),
            *(file.readable, file.seekable, file.isatty, file.__iter__, file.__enter__, file.__next__),
            *(lambda: file.seek(0), lambda: file.readinto(bytearray(1)), lambda: list(file)),
            *(lambda: file.headers, lambda: file.filename, lambda: file.content_type),
        ):
            with pytest.raises(ValueError, match="closed"):
                use()
        assert file.size == 4
        file.close()

    def test_closing_one_leaves_the_others_open(self, in_file: bool) -> None:
        with assembled(message(part(ROOT), part(b"one"), part(b"two")), in_file=in_file) as request:
            one, two = request.inputs
            with one:
                assert one.read() == b"one"
            assert one.closed
            with pytest.raises(ValueError, match="closed"):
                one.read()
            one.close()
            assert not request.spool.closed
            assert two.read() == b"two"

    @pytest.mark.wire("request: two threads read two inputs")
    def test_two_threads_read_two_parts(self, in_file: bool) -> None:
        bodies = [random.Random(seed).randbytes(400_000) for seed in range(2)]
        together = threading.Barrier(2)

        def read(file: Part) -> bytes:
            together.wait(60)
            return b"".join(iter(lambda: file.read(777), b""))

        wire = message(part(ROOT), *map(part, bodies))
        with assembled(wire, in_file=in_file) as request, ThreadPoolExecutor(2) as threads:
            assert list(threads.map(read, request.inputs)) == bodies


def opened_image(file: Any) -> Image.Image:
    """Pillow's stubs ask for more than it uses: any binary file will do."""
    return Image.open(file)


def dicom(pixels: Any) -> bytes:
    """A grey image as a DICOM file."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientID = "1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels.tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


@in_both
class TestMetadata:
    @pytest.mark.wire("request: input metadata", "tolerated: input headers of any form")
    def test_headers(self, in_file: bool) -> None:
        lines = (b"Content-Type: application/dicom; x=y", b"X-A: b", b"x-a:  c ", b"X-Ut: \xc3\x84", b"X-E:")
        with opened(b"body", *lines, in_file=in_file) as file:
            assert file.headers["content-TYPE"] == file.content_type == "application/dicom; x=y"
            assert file.headers["X-A"] == "b, c"
            assert file.headers["x-ut"] == "Ä"
            assert file.headers["x-e"] == ""
            assert [name for name, _ in file.headers.fields] == ["Content-Type", "X-A", "x-a", "X-Ut", "X-E"]
            assert file.tell() == 0

    def test_no_headers(self, in_file: bool) -> None:
        with opened(b"body", in_file=in_file) as file:
            assert len(file.headers) == 0
            assert file.content_type is None
            assert file.filename is None

    @pytest.mark.parametrize("header", [b"Content-Type:", b"Content-Type: ;;=", b"Content-Type: text/json"])
    def test_content_type_is_as_sent(self, in_file: bool, header: bytes) -> None:
        with opened(b"body", header, in_file=in_file) as file:
            assert file.content_type == header.partition(b":")[2].strip().decode()

    @pytest.mark.wire("request: names are metadata, never paths", "tolerated: any Content-Disposition")
    @pytest.mark.parametrize(
        ("disposition", "filename"),
        [
            (b'form-data; name="a"; filename="x.dcm"', "x.dcm"),
            (b'form-data; name="a"; filename="../../etc/x.dcm"', "x.dcm"),
            (b"attachment; filename*=UTF-8''%C3%A4.dcm", "ä.dcm"),
            (b'form-data; filename="\xc3\xa4.dcm"', "ä.dcm"),
            (b"", None),
            (b';;==";', None),
        ],
    )
    def test_filename(self, in_file: bool, disposition: bytes, filename: str | None) -> None:
        with opened(b"body", b"Content-Disposition: " + disposition, in_file=in_file) as file:
            assert file.filename == filename
