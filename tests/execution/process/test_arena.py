"""The memory that a result crosses in."""

import gc
import os

import numpy as np
import pytest

from inference_gateway.execution.process.arena import Arena, map_sealed


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
