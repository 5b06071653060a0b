"""What a model may return as an element, and its bytes."""

import array
import asyncio
import copy
import ctypes
import gzip
import io
import mmap
import os
import tempfile
from collections import UserDict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from inference_gateway.answer.stream import ResponseStream
from inference_gateway.errors import InvalidModelOutput, ModelFailed
from inference_gateway.execution.check import Contract, prepare
from inference_gateway.payload import element
from inference_gateway.payload.element import BLOCK
from tests.harness.results import (
    CONTRACT,
    INPUT_HASH,
    LARGE,
    TOKEN,
    TYPES,
    Streamed,
    beside,
    bytes_of,
    described,
    prepared,
    streamed,
)
from tests.harness.wire import assert_same, reply_bytes

STRUCTURED = np.dtype([("a", "u1"), ("b", ">f4", (2,)), ("c", "S3")])
DTYPES = ["?", "u1", "i1", "<i2", ">i2", ">u4", "<f8", ">f8", "f2", "c16", "S5", "<U3", ">U3", "<M8[s]", "V3"]


DTYPES.append("aligned")


def dtype(name: str) -> np.dtype[Any]:
    return STRUCTURED if name == "aligned" else np.dtype(name)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "transposed": np.transpose,
    "reversed": lambda a: a[::-1],
    "every second": lambda a: a[..., ::2],
    "swapped axes": lambda a: a.swapaxes(0, -1),
    "column": lambda a: a[:, :1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "one row more": lambda a: a[np.newaxis, :, :, np.newaxis],
    "read only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


class TestArrays:
    @pytest.mark.wire("element: NumPy array")
    @pytest.mark.parametrize("block", [1, 16, 100, BLOCK])
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("kind", DTYPES)
    def test_are_their_bytes_in_c_order(
        self, monkeypatch: pytest.MonkeyPatch, kind: str, layout: str, block: int
    ) -> None:
        monkeypatch.setattr(element, "BLOCK", block)
        raw = np.random.default_rng(1).integers(0, 2, 6 * 8 * dtype(kind).itemsize, np.uint8)
        values = LAYOUTS[layout](raw.view(dtype(kind)).reshape(6, 8))
        before = values.copy()
        assert bytes_of(values) == values.tobytes(order="C")
        assert values.tobytes() == before.tobytes()

    @given(
        arrays.arrays(
            st.sampled_from(["u1", ">i2", "<f4", "?"]),
            arrays.array_shapes(min_dims=1, max_dims=5, min_side=0),
        ),
        st.data(),
    )
    def test_any_shape_under_any_slice(self, values: Any, data: st.DataObject) -> None:
        cut = values[data.draw(arrays.basic_indices(values.shape, allow_newaxis=True))]
        axes = data.draw(st.permutations(range(np.ndim(cut))))
        cut = np.transpose(cut, axes)
        assert bytes_of(cut) == cut.tobytes(order="C")

    @pytest.mark.parametrize(
        "values",
        [
            np.array(7, ">i4"),
            np.float32(0.5),
            np.bool_(True),
            np.array([]),
            np.zeros((0, 5)),
            np.zeros((3, 0, 2)).T,
            np.array("", "S0"),
            np.datetime64("2020-01-01"),
            np.ma.masked_equal([1, 2, 3], 2),
            np.array([[1, 2], [3, 4]]).T.view(np.recarray),
            np.array([(1, (2.0, 3.0), b"x")], STRUCTURED)["b"],
            np.random.default_rng(1).random((130, 140, 150))[::-1, ::3].astype(">f4").T,
        ],
        ids=lambda values: f"{type(values).__name__} {values.dtype} {values.shape}",
    )
    async def test_unusual_ones(self, values: Any) -> None:
        expected = np.asarray(values).tobytes(order="C")
        assert bytes_of(values) == expected
        sent = await streamed(prepared(values))
        value = described("heatmap")
        assert_same(sent.body, reply_bytes(TOKEN, value, [("application/binary", expected)], INPUT_HASH))
        assert sent.content_length == len(sent.body)

    def test_a_file_that_is_mapped(self, tmp_path: Path) -> None:
        mapped = np.memmap(tmp_path / "a", ">u2", "w+", shape=(40, 50))
        mapped[:] = np.arange(2000).reshape(40, 50)
        assert bytes_of(mapped) == np.arange(2000).astype(">u2").tobytes()
        assert bytes_of(mapped.T) == np.arange(2000).reshape(40, 50).T.astype(">u2").tobytes()

    def test_strided_ones_are_made_contiguous_block_by_block(self) -> None:
        values = np.zeros((2000, 3000), np.float32).T
        [(_, element)] = prepared(values).elements
        sizes = [len(block) for block in element.blocks()]
        assert max(sizes) <= BLOCK
        assert sum(sizes) == element.size == values.nbytes

    @pytest.mark.wire("element: refused kinds")
    @pytest.mark.parametrize(
        "values", [np.array([1, "a"], object), np.array([(1, "a")], [("a", "i4"), ("b", "O")])]
    )
    def test_objects_are_refused(self, values: Any) -> None:
        with pytest.raises(InvalidModelOutput, match="log"):
            prepared(values)


class Buffer:
    """Bytes, and nothing else but the buffer protocol."""

    def __new__(cls, values: Sequence[int]) -> Any:
        return (ctypes.c_uint16 * len(values))(*values)


def view(values: Any) -> memoryview:
    return memoryview(values)


class TestBuffers:
    @pytest.mark.wire(
        "element: bytes", "element: bytearray", "element: memoryview", "element: buffer protocol"
    )
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"body", b"body"),
            (b"", b""),
            (LARGE, LARGE),
            (bytearray(b"body"), b"body"),
            (bytearray(), b""),
            (memoryview(b"body")[1:3], b"od"),
            (memoryview(b"0123456789")[::3], b"0369"),
            (memoryview(b"0123")[::-1], b"3210"),
            (memoryview(b"")[:], b""),
            (view(np.arange(6, dtype="<i2").reshape(2, 3)), np.arange(6, dtype="<i2").tobytes()),
            (
                view(np.arange(6, dtype=">i2").reshape(2, 3).T),
                np.arange(6, dtype=">i2").reshape(2, 3).T.tobytes(),
            ),
            (view(np.zeros(3, "f2")), bytes(6)),
            (view(np.zeros(3, "c8")), bytes(24)),
            (view(np.zeros(2, STRUCTURED)), bytes(2 * STRUCTURED.itemsize)),
            (view(np.zeros((0, 3))), b""),
            (view(np.array(5, "u1")), b"\x05"),
            (array.array("d", [1.0, 2.0]), np.array([1.0, 2.0]).tobytes()),
            (array.array("d"), b""),
            (Buffer([1, 2]), np.array([1, 2], np.uint16).tobytes()),
            (ctypes.c_uint8(7), b"\x07"),
        ],
    )
    async def test_are_their_bytes(self, value: Any, expected: bytes) -> None:
        assert bytes_of(value) == expected
        sent = await streamed(prepared(value))
        elements = [("application/binary", expected)]
        assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))
        assert sent.content_length == len(sent.body)

    def test_a_mapping_is_sent_whole_wherever_its_cursor_is(self) -> None:
        with mmap.mmap(-1, 100_000) as mapping:
            mapping.write(b"x" * 100_000)
            mapping.seek(5)
            assert bytes_of(mapping) == b"x" * 100_000


PROTOCOLS = ["__array__", "__array_interface__", "__array_struct__", "__dlpack__"]


class Tensor:
    """An array of another library: no buffer; the protocols that are named; iterable, as such arrays are."""

    def __init__(self, array: Any, *protocols: str) -> None:
        self._rows = array
        for protocol in protocols:
            setattr(self, protocol, getattr(array, protocol))

    def __iter__(self) -> Iterator[Any]:
        return (Tensor(row) if np.ndim(row) else float(row) for row in self._rows)


class OnDevice(Tensor):
    """One that raises for its values, as those on a GPU and those with a gradient do."""

    def __init__(self, error: type[Exception], protocol: str) -> None:
        super().__init__(np.zeros(3))
        self._error = error
        setattr(self, protocol, self._refuse)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise self._error("SECRET")


@pytest.mark.wire("element: array of another library")
class TestArraysOfOtherLibraries:
    @pytest.mark.parametrize("layout", ["C", "Fortran", "every second", "reversed"])
    @pytest.mark.parametrize("kind", ["?", "u1", "<i2", "<f4"])
    @pytest.mark.parametrize(
        "protocol", ["__array__", "__array_interface__", "__array_struct__", "__dlpack__"]
    )
    def test_are_their_bytes_in_c_order(self, protocol: str, kind: str, layout: str) -> None:
        values = LAYOUTS[layout](np.arange(48).astype(kind).reshape(6, 8))
        assert bytes_of(Tensor(values, protocol, "__dlpack_device__")) == values.tobytes(order="C")

    @pytest.mark.wire("element: refused kinds")
    @pytest.mark.parametrize("error", [TypeError, RuntimeError, BufferError, ValueError, OSError])
    @pytest.mark.parametrize("protocol", ["__array__", "__dlpack__"])
    def test_whose_values_cannot_be_had_are_refused(self, protocol: str, error: type[Exception]) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepared(b"first", OnDevice(error, protocol))
        assert caught.value.reason.startswith(f"element 1 is a {__name__}.OnDevice that NumPy cannot read")
        assert "SECRET" not in caught.value.reason
        assert "return a NumPy array" in caught.value.reason
        assert ".cpu().numpy()" in caught.value.reason

    @pytest.mark.wire("element: refused kinds")
    @pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 3))])
    def test_that_have_no_protocol_are_no_byte_stream(self, values: Any) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepared(Tensor(values))
        assert f"{__name__}.Tensor" in caught.value.reason
        assert "GetArrayFromImage" in caught.value.reason

    def test_objects_are_refused(self) -> None:
        with pytest.raises(InvalidModelOutput):
            prepared(Tensor(np.array([1, "a"], object), "__array__"))

    def test_a_picture_is_its_pixels(self) -> None:
        pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
        assert bytes_of(Image.fromarray(pixels)) == pixels.tobytes()


class Pipe(io.RawIOBase):
    """A file that cannot seek, and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(size, 100_000) if size > 0 else size)


class Bare:
    """The least that a binary file has: `read` and `seek`."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.seek, self.read, self.seekable = self._file.seek, self._file.read, self._file.seekable


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "element"
        path.write_bytes(LARGE)
        return path

    @pytest.mark.wire("element: binary file")
    @pytest.mark.parametrize("cursor", [0, 5, len(LARGE), len(LARGE) + 10])
    @pytest.mark.parametrize("buffering", [-1, 0])
    async def test_are_sent_whole_wherever_their_cursor_is(
        self, path: Path, cursor: int, buffering: int
    ) -> None:
        expected = reply_bytes(TOKEN, described("heatmap"), [("application/binary", LARGE)], INPUT_HASH)
        with path.open("rb", buffering=buffering) as file:
            file.seek(cursor)
            sent = await streamed(await beside(file))
            assert not file.closed
        assert_same(sent.body, expected)
        assert sent.content_length == len(expected)

    @pytest.mark.parametrize("cursor", [0, 7, len(LARGE)])
    @pytest.mark.parametrize("make", [io.BytesIO, Bare])
    def test_of_any_kind(self, make: Callable[[bytes], Any], cursor: int) -> None:
        file = make(LARGE)
        file.seek(cursor)
        assert bytes_of(file) == LARGE

    def test_temporary_and_packed_ones(self, path: Path, tmp_path: Path) -> None:
        with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile(10) as spooled:
            for file in (named, spooled):
                file.write(LARGE)
                assert bytes_of(file) == LARGE
        with gzip.open(tmp_path / "x.gz", "wb") as packed:
            packed.write(LARGE)
        with gzip.open(tmp_path / "x.gz") as unpacked:
            assert bytes_of(unpacked) == LARGE

    def test_the_same_file_twice(self, path: Path) -> None:
        with path.open("rb") as file:
            ready = prepared(file, file)
            for _, element in ready.elements:
                assert b"".join(map(bytes, element.blocks())) == LARGE

    def test_an_empty_one(self) -> None:
        assert bytes_of(io.BytesIO()) == b""

    async def test_one_that_cannot_seek_is_sent_from_where_it_is(self) -> None:
        assert bytes_of(Pipe(LARGE)) == LARGE
        sent = await streamed(prepared(Pipe(LARGE)))
        assert sent.content_length is None
        elements = [("application/binary", LARGE)]
        assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))

    @pytest.mark.wire("element: path")
    async def test_paths(self, path: Path) -> None:
        class MyPath:
            def __fspath__(self) -> str:
                return str(path)

        for value in (path, MyPath()):
            sent = await streamed(await beside(value))
            elements = [("application/binary", LARGE)]
            assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))
            assert sent.content_length == len(sent.body)

    @pytest.mark.wire("response: error after the first byte cuts the connection")
    @pytest.mark.parametrize("as_path", [False, True])
    @pytest.mark.parametrize("size", [0, 5, len(LARGE) - 1])
    async def test_one_that_shrinks_is_an_error_and_never_a_whole_answer(
        self, path: Path, size: int, as_path: bool
    ) -> None:
        with path.open("rb") as file:
            sent = Streamed(await beside(path if as_path else file))
            os.truncate(path, size)
            with pytest.raises(InvalidModelOutput, match="log") as caught:
                await sent.run()
        assert "another size" in caught.value.reason
        assert not sent.ended
        assert sent.stream.output_hash is None

    @pytest.mark.parametrize("as_path", [False, True])
    async def test_one_that_grows_is_sent_as_it_was_announced(self, path: Path, as_path: bool) -> None:
        with path.open("rb") as file:
            ready = await beside(path if as_path else file)
            with path.open("ab") as more:
                more.write(b"more")
            sent = await streamed(ready)
        elements = [("application/binary", LARGE)]
        assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))

    async def test_a_path_that_is_gone_when_its_turn_comes(self, path: Path) -> None:
        sent = Streamed(await beside(path))
        os.unlink(path)
        with pytest.raises(ModelFailed) as failed:
            await sent.run()
        assert isinstance(failed.value.__cause__, FileNotFoundError)
        assert not sent.ended

    @pytest.mark.wire("element: refused kinds")
    def test_what_is_no_readable_binary_file_is_refused(self, path: Path, tmp_path: Path) -> None:
        closed = io.BytesIO(b"x")
        closed.close()
        os.mkfifo(tmp_path / "fifo")
        with path.open() as text, path.open("ab") as write_only:
            values = [
                text,
                write_only,
                io.StringIO("x"),
                closed,
                tmp_path / "gone",
                tmp_path,
                tmp_path / "fifo",
            ]
            for value in [*values, Path("/dev/zero"), Path("nul\0")]:
                with pytest.raises(InvalidModelOutput) as caught:
                    prepared(value)
                assert str(tmp_path) not in caught.value.reason

    def test_a_file_that_fails_is_refused(self) -> None:
        class Failing(io.BytesIO):
            def seek(self, *args: Any) -> int:
                raise OSError("SECRET")

        with pytest.raises(InvalidModelOutput) as caught:
            prepared(Failing(b"x"))
        assert "SECRET" not in caught.value.reason


NOT_BYTES = ["text", 3, None, [b"x"], 1.5, object(), np.float64(1), {}]


class TestIterables:
    @pytest.mark.wire("element: iterable of bytes")
    @pytest.mark.parametrize(
        "make",
        [
            lambda: [b"on", b"", bytearray(b"e"), memoryview(b"two")],
            lambda: (b"one", b"two"),
            lambda: iter([b"one", b"two"]),
            lambda: (bytes([byte]) for byte in b"onetwo"),
            lambda: deque([b"one", b"two"]),
            lambda: {1: b"one", 2: b"two"}.values(),
            lambda: map(bytes, [b"one", b"two"]),
            lambda: iter([b"one", array.array("B", b"two"), np.zeros(0)]),
            lambda: iter([b"one", np.frombuffer(b"two", np.uint8)]),
        ],
    )
    async def test_are_sent_as_they_are_produced(self, make: Callable[[], Any]) -> None:
        assert bytes_of(make()) == b"onetwo"
        ready = prepared(make())
        sent = await streamed(ready)
        elements = [("application/binary", b"onetwo")]
        assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))
        assert sent.content_length in (None, len(sent.body))

    def test_a_list_has_a_known_size(self) -> None:
        for value, size in (([b"12", bytearray(b"3")], 3), ((), 0), ([], 0), (iter([b"1"]), None)):
            [(_, element)] = prepared(value).elements
            assert element.size == size

    def test_the_model_works_on_only_where_elements_are_produced(self) -> None:
        assert prepared(b"x", iter([b"y"])).needs_model
        assert not prepared(b"x", np.zeros(3), io.BytesIO()).needs_model

    async def test_run_on_the_models_thread_and_the_rest_beside(self) -> None:
        jobs: list[str] = []

        def runner(name: str) -> Callable[..., Any]:
            async def run(function: Callable[..., Any], *args: Any) -> Any:
                jobs.append(name)
                return await asyncio.to_thread(function, *args)

            return run

        ready = prepared(iter([b"one", b"two"]), io.BytesIO(LARGE))
        stream = ResponseStream(ready, TOKEN, INPUT_HASH, runner("beside"), runner("model"))
        async for _ in stream.body():
            pass
        assert jobs == ["model"] * 3 + ["beside"] * 3

    async def test_at_most_one_block_is_read_ahead(self) -> None:
        produced = 0

        def produce() -> Iterator[bytes]:
            nonlocal produced
            for produced in range(1, 20):
                yield b"%03d" % produced

        stream = ResponseStream(prepared(produce()), TOKEN, INPUT_HASH, asyncio.to_thread, asyncio.to_thread)
        seen = 0
        async for block, _ in stream.body():
            if len(block) == 3:
                seen += 1
                assert bytes(block) == b"%03d" % seen
                assert produced <= seen + 1
        assert seen == 19

    async def test_the_next_block_is_asked_for_before_one_is_sent(self) -> None:
        asked = 0

        async def run(function: Callable[..., Any], *args: Any) -> Any:
            nonlocal asked
            asked += 1
            return await asyncio.to_thread(function, *args)

        blocks = [b"%03d" % number for number in range(9)]
        stream = ResponseStream(prepared(iter(blocks)), TOKEN, INPUT_HASH, run, run)
        seen = 0
        async for block, _ in stream.body():
            if len(block) == 3:
                seen += 1
                assert asked == seen + 1
        assert seen == 9

    async def test_a_producer_may_use_its_buffer_again(self) -> None:
        def produce() -> Iterator[memoryview]:
            buffer = bytearray(4)
            for number in range(5):
                buffer[:] = b"%04d" % number
                yield memoryview(buffer)

        async def at_once(function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

        stream = ResponseStream(prepared(produce()), TOKEN, INPUT_HASH, at_once, at_once)
        body = b""
        async for block, _ in stream.body():
            # A client that is slow: the next block is produced before this one is written.
            for _ in range(3):
                await asyncio.sleep(0)
            body += block
        elements = [("application/binary", b"00000001000200030004")]
        assert_same(body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))

    @pytest.mark.wire("response: failing iterable cuts the connection")
    async def test_one_that_fails_is_an_error_and_never_a_whole_answer(self) -> None:
        def produce() -> Iterator[bytes]:
            yield b"one"
            raise KeyError("k")

        sent = Streamed(prepared(produce()))
        with pytest.raises(ModelFailed) as failed:
            await sent.run()
        assert isinstance(failed.value.__cause__, KeyError)
        assert sent.body.endswith(b"one")
        assert not sent.ended
        assert sent.stream.output_hash is None

    @pytest.mark.wire("element: first item of an iterable")
    @pytest.mark.parametrize("item", NOT_BYTES)
    @pytest.mark.parametrize(
        "make", [lambda item: iter([item]), lambda item: (each for each in [item, b"x"])]
    )
    def test_one_whose_first_item_is_no_bytes_is_refused(self, make: Callable[[Any], Any], item: Any) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepared(b"first", make(item))
        assert caught.value.reason.startswith("element 1 ")
        assert type(item).__name__ in caught.value.reason

    def test_nothing_is_asked_for_after_a_refusal_and_generators_are_ended(self) -> None:
        ended = []

        def produce() -> Iterator[bytes]:
            try:
                yield b"one"
                yield b"two"
            finally:
                ended.append(True)

        with pytest.raises(InvalidModelOutput):
            prepared(produce(), iter([1]))
        assert ended == [True]

    def test_the_first_item_is_asked_for_before_anything_is_sent(self) -> None:
        def produce() -> Iterator[bytes]:
            raise KeyError("k")
            yield b"one"

        with pytest.raises(KeyError):
            prepared(produce())

    @pytest.mark.parametrize("item", NOT_BYTES)
    async def test_one_that_gives_no_bytes_later(self, item: Any) -> None:
        sent = Streamed(prepared(iter([b"one", item])))
        with pytest.raises(InvalidModelOutput) as caught:
            await sent.run()
        assert "bytes" in caught.value.reason
        assert not sent.ended

    @pytest.mark.parametrize("change", [lambda items: items.append(b"x" * 9999), lambda items: items.pop()])
    async def test_a_list_that_changes_after_its_size_was_told(self, change: Callable[[Any], Any]) -> None:
        items = [b"one", b"two"]
        sent = Streamed(prepared(items))
        change(items)
        with pytest.raises(InvalidModelOutput, match="log") as caught:
            await sent.run()
        assert "another size" in caught.value.reason
        assert not sent.ended
        assert sent.content_length is not None
        assert len(sent.body) < sent.content_length

    async def test_given_up_in_the_middle_it_is_not_asked_again(self) -> None:
        asked = 0

        def produce() -> Iterator[bytes]:
            nonlocal asked
            while True:
                asked += 1
                yield b"x" * 100_000

        stream = ResponseStream(prepared(produce()), TOKEN, INPUT_HASH, asyncio.to_thread, asyncio.to_thread)
        body = stream.body()
        await anext(body)
        await anext(body)
        await body.aclose()
        assert asked <= 2

    @pytest.mark.wire("element: refused kinds")
    @pytest.mark.parametrize(
        "value",
        [
            *["text", 3, 1.5, None, [1, 2, 3], [b"x", 3], (b"x", "y"), [[b"x"]], {"a": b"x"}, UserDict()],
            *[{b"x"}, frozenset([b"x"]), object(), len, int, Exception("x"), Ellipsis],
        ],
    )
    def test_other_kinds_are_refused(self, value: Any) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepared(b"first", value)
        assert caught.value.reason.startswith("element 1 ")


def dataset(size: int = 10) -> pydicom.Dataset:
    """A data set that pydicom has to complete while it writes it."""
    made = pydicom.Dataset()
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = "1.2.3"
    made.PatientName = "SECRET"
    made.PixelRepresentation = 1
    made.BitsAllocated = 16
    made.SmallestImagePixelValue = -5
    made.PixelData = bytes(size)
    made["PixelData"].VR = "OW"
    return made


@pytest.mark.wire("element: pydicom Dataset")
class TestDatasets:
    def test_without_file_meta(self) -> None:
        read = pydicom.dcmread(io.BytesIO(bytes_of(dataset())))
        assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
        assert read.PatientName == "SECRET"
        assert read.SmallestImagePixelValue == -5

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_with_the_file_meta_it_has(self, syntax: pydicom.uid.UID) -> None:
        made = dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = syntax
        made.file_meta.ImplementationVersionName = "MINE"
        data = bytes_of(made)
        assert data[128:132] == b"DICM"
        read = pydicom.dcmread(io.BytesIO(data))
        assert read.file_meta.TransferSyntaxUID == syntax
        assert read.file_meta.ImplementationVersionName == "MINE"
        assert read.PixelData == made.PixelData

    def test_file_meta_without_a_transfer_syntax(self) -> None:
        made = dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.ImplementationVersionName = "MINE"
        read = pydicom.dcmread(io.BytesIO(bytes_of(made)))
        assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert read.file_meta.ImplementationVersionName == "MINE"

    @pytest.mark.parametrize("meta", [False, True])
    def test_the_models_own_is_not_changed(self, meta: bool) -> None:
        made = dataset()
        if meta:
            made.file_meta = FileMetaDataset()
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        before = copy.deepcopy(made)
        kinds = [(element.tag, element.VR) for element in made]
        bytes_of(made)
        assert made == before
        assert [(element.tag, element.VR) for element in made] == kinds
        assert hasattr(made, "file_meta") == meta
        if meta:
            assert made.file_meta == before.file_meta
            assert list(made.file_meta.keys()) == list(before.file_meta.keys())

    def test_one_that_was_read(self) -> None:
        first = bytes_of(dataset())
        read = pydicom.dcmread(io.BytesIO(first))
        assert bytes_of(read) == first

    async def test_is_sent_with_its_length(self) -> None:
        expected = bytes_of(dataset(200_000))
        sent = await streamed(prepared(dataset(200_000)))
        elements = [("application/binary", expected)]
        assert_same(sent.body, reply_bytes(TOKEN, described("heatmap"), elements, INPUT_HASH))
        assert sent.content_length == len(sent.body)

    def test_a_large_one_rests_in_the_spool_folder(self, spool_dir: Path) -> None:
        large = dataset(9 << 20)
        ready = prepare((described("dicom"), [large]), Contract(TYPES, spool_dir))
        [(media_type, element)] = ready.elements
        assert media_type == "application/dicom"
        assert list(spool_dir.iterdir()) == []
        assert element.size is not None
        assert element.size > 9 << 20
        ready.close()
        with pytest.raises(ValueError, match="closed"):
            next(element.blocks())

    def test_closing_a_response_leaves_the_models_files_open(self) -> None:
        file = io.BytesIO(b"x")
        ready = prepared(file, dataset())
        ready.close()
        assert not file.closed

    def test_a_refused_response_leaves_no_file_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Any] = []
        real = tempfile.SpooledTemporaryFile

        def record(*args: Any, **options: Any) -> Any:
            made.append(real(*args, **options))
            return made[-1]

        monkeypatch.setattr(tempfile, "SpooledTemporaryFile", record)
        with pytest.raises(InvalidModelOutput):
            prepared(dataset(), dataset(), "text")
        left_open = [file for file in made if not file.closed]
        for file in left_open:
            file.close()
        assert len(made) == 2
        assert left_open == []

    @pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID"])
    def test_one_that_cannot_be_a_file_is_refused(self, missing: str) -> None:
        made = dataset()
        delattr(made, missing)
        with pytest.raises(InvalidModelOutput) as caught:
            prepared(made)
        assert "SECRET" not in caught.value.reason
        assert "Dataset" in caught.value.reason

    def test_elements_that_are_a_dataset_are_no_list_of_elements(self) -> None:
        with pytest.raises(InvalidModelOutput):
            prepare((described("dicom"), dataset()), CONTRACT)


class TestKept:
    """What is read to its end at once."""

    @pytest.mark.parametrize("size", [0, 10, 5000])
    def test_has_all_the_bytes(self, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(element, "_MEMORY", 1000)
        body = os.urandom(size)
        source = element.IterableElement(body[at : at + 999] for at in range(0, size, 999))
        found = element.kept(source, tmp_path)
        assert found.size == size
        for _ in range(2):
            assert b"".join(map(bytes, found.blocks())) == body
        assert isinstance(found, element.FileElement) == (size > 1000)
        if isinstance(found, element.FileElement):
            assert found.own
            found.file.close()
        assert list(tmp_path.iterdir()) == []

    def test_what_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(element, "_MEMORY", 10)

        def blocks() -> Iterator[bytes]:
            yield bytes(100)
            raise KeyError("the model's own")

        with pytest.raises(KeyError):
            element.kept(element.IterableElement(blocks()), tmp_path)
        assert list(tmp_path.iterdir()) == []
