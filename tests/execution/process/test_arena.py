"""The memory that a result crosses in."""

import gc
import os
from typing import Any

import numpy as np
import pytest

from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.process.arena import Arena, Arenas, Borrowed, map_sealed
from inference_gateway.execution.process.frames import Frame
from inference_gateway.execution.process.messages import Packed, unpack
from inference_gateway.payload.element import BufferElement


def content(arena: Arena, offset: int, size: int) -> bytes:
    mapping = map_sealed(arena.seal())
    return bytes(memoryview(mapping)[offset : offset + size])


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i8", "?"])
@pytest.mark.parametrize("shape", [5, (3, 4), (0,), (2, 0, 3), (1000, 1000)])
def test_an_array_of_zeros(shape: int | tuple[int, ...], dtype: str) -> None:
    array = Arena().empty(shape, dtype)
    expected = np.zeros(shape, dtype)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert (array == expected).all()
    assert array.flags.writeable
    assert array.flags.c_contiguous


@pytest.mark.parametrize(
    "shape", [np.int64(5), np.array([512, 512], "int16"), (np.uint8(200), np.uint8(200)), [3, np.int8(4)], ()]
)
def test_dimensions_of_numpy_are_no_smaller_than_they_are(shape: Any) -> None:
    """Multiplied in their own type they overflow: an array of no size would have anybody's memory."""
    arena = Arena()
    array = arena.empty(shape, "int16")
    assert array.shape == np.zeros(shape).shape
    assert arena.offset_of(array.data.cast("B")) == 0
    assert not array.any()


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (-1, ValueError),
        ((-900,), ValueError),
        ((2, -3), ValueError),
        ((-2, -3), ValueError),
        (1.5, TypeError),
        ("12", TypeError),
        (None, TypeError),
        (1 << 50, MemoryError),
        ((1 << 40, 1 << 40), MemoryError),
        (np.array([1 << 62, 4]), MemoryError),
    ],
)
def test_what_is_no_shape_is_refused(shape: Any, error: type[Exception]) -> None:
    arena = Arena()
    with pytest.raises(error):
        arena.empty(shape)
    assert arena.offset_of(arena.empty(3).data) == 0


def test_arrays_lie_where_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from inference_gateway.execution.process import arena as module

    monkeypatch.setattr(module, "_CHUNK", 100_000)
    arena = Arena()
    arrays = [arena.empty(size) for size in (10, 70_000, 4096, 200_000, 1)]
    for number, array in enumerate(arrays):
        array[:] = number + 1
    written, size = arena.write([b"abc", memoryview(b"def")])
    last = arena.empty(3)
    last[:] = 9
    for number, array in enumerate(arrays):
        offset = arena.offset_of(array.data)
        assert offset is not None
        assert content(arena, offset, len(array)) == bytes([number + 1]) * len(array)
    assert content(arena, written, size) == b"abcdef"
    offset = arena.offset_of(last.data)
    assert offset is not None
    assert content(arena, offset, 3) == b"\t\t\t"


def test_other_memory_does_not_lie_in_it() -> None:
    arena = Arena()
    arena.empty(10)
    assert arena.offset_of(memoryview(bytearray(10))) is None


def test_a_slice_of_an_array_lies_in_it() -> None:
    arena = Arena()
    array = arena.empty((10, 100))
    array[3] = 3
    offset = arena.offset_of(array[3].data)
    assert offset is not None
    assert content(arena, offset, 100) == b"\3" * 100


def test_it_cannot_shrink_under_the_reader() -> None:
    arena = Arena()
    arena.write(iter([b"x" * 5000]))
    descriptor = arena.seal()
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 10)


def test_memory_that_might_shrink_is_not_mapped() -> None:
    descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="not sealed"):
        map_sealed(descriptor)
    os.close(descriptor)


def test_an_array_outlives_the_arena_and_then_nothing_is_left() -> None:
    before = len(os.listdir("/proc/self/fd"))
    arena = Arena()
    array = arena.empty(1000)
    arena.close()
    array[:] = 5
    assert array.sum() == 5000
    del array, arena
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_objects_are_not_shared() -> None:
    with pytest.raises(TypeError, match="objects"):
        Arena().empty(3, object)


# Used again


class Sides:
    """A process's arenas, and the gateway's views of them."""

    def __init__(self) -> None:
        self.arenas = Arenas()
        self.borrowed = Borrowed(self.arenas.returned)

    def crosses(self, array: Any, arena: Arena) -> memoryview:
        """What the gateway sees of the array."""
        response = InferenceResponse(b"{}", [("a/b", BufferElement(memoryview(array).cast("B")))], ())
        packed = Packed(response, arena)
        frame = Frame(
            packed.head, memoryview(b"".join(packed.payload)), list(map(os.dup, packed.descriptors))
        )
        ((_, element),) = unpack(frame, self.borrowed, never).elements
        assert isinstance(element, BufferElement)
        return element.view


def never(index: int, size: int | None) -> Any:
    raise AssertionError("no element is still to come")


SIZE = 300_000


@pytest.fixture
def sides() -> Sides:
    return Sides()


def called(sides: Sides, value: int, size: int = SIZE) -> tuple[memoryview, Arena]:
    """One call whose model fills an array: what the gateway sees, and the arena."""
    arena = sides.arenas.take()
    array = arena.empty(size)
    array[:] = value
    view = sides.crosses(array, arena)
    del array
    sides.arenas.give_back()
    return view, arena


def test_an_arena_is_used_again_when_the_gateway_has_let_go(sides: Sides) -> None:
    view, first = called(sides, 1)
    other_view, second = called(sides, 2)
    assert second is not first
    assert bytes(view) == b"\1" * SIZE
    del view
    view, third = called(sides, 3)
    assert third is first
    assert bytes(view) == b"\3" * SIZE
    assert bytes(other_view) == b"\2" * SIZE


def test_where_all_are_in_use_a_call_has_one_of_its_own(sides: Sides) -> None:
    views = [called(sides, number)[0] for number in range(5)]
    assert [bytes(view) for view in views] == [bytes([number]) * SIZE for number in range(5)]


def test_nothing_of_a_call_before_is_in_an_array(sides: Sides) -> None:
    called(sides, 7)
    arena = sides.arenas.take()
    arena.write([b"secret"])
    sides.arenas.give_back()
    arena = sides.arenas.take()
    arrays = [arena.empty(SIZE // 2), arena.empty((3, 5), np.int64), arena.empty(SIZE)]
    assert not any(array.any() for array in arrays)


def test_an_array_that_the_model_keeps_is_not_used_again(sides: Sides) -> None:
    arena = sides.arenas.take()
    kept = arena.empty((2, 3), np.float32)[0]  # a view of a view
    kept[:] = 5
    sides.arenas.give_back()
    for _ in range(3):
        _, another = called(sides, 1)
        assert another is not arena
    assert (kept == 5).all()
    del kept
    assert arena.is_free


def test_a_call_that_needs_more_makes_the_next_one_larger(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference_gateway.execution.process import arena as module

    monkeypatch.setattr(module, "_CHUNK", 100_000)
    first = called(sides, 1, 10)[1]
    view, grown = called(sides, 2, SIZE)
    assert grown is first
    assert bytes(view) == b"\2" * SIZE
    del view
    found = [called(sides, number, SIZE)[1] for number in range(3)]
    assert grown not in found
    assert len({id(arena) for arena in found}) == 1


def test_what_is_idle_gives_its_memory_back(sides: Sides) -> None:
    def resident(arena: Arena) -> int:
        return os.fstat(arena.seal()).st_blocks * 512

    view, arena = called(sides, 1)
    assert not sides.arenas.hold_memory  # the gateway still sends it
    del view
    assert sides.arenas.hold_memory
    assert resident(arena) >= SIZE
    sides.arenas.forget()
    assert resident(arena) == 0
    assert not sides.arenas.hold_memory
    view, again = called(sides, 2)
    assert again is arena
    assert bytes(view) == b"\2" * SIZE


def test_what_did_not_go_to_the_gateway_is_forgotten_at_once(sides: Sides) -> None:
    arena = sides.arenas.take()
    arena.empty(SIZE)[:] = 1
    sides.arenas.give_back()
    assert os.fstat(arena.seal()).st_blocks == 0
