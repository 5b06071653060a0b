"""`find` gives what `bytes.find` gives, whichever way it looks."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_gateway.multipart import search

DELIMITER = b"\r\n--bnd"
LARGE = search._FROM


def stuff(size: int) -> bytes:
    """Bytes that begin a delimiter again and again."""
    return (DELIMITER[:-1] * (size // 6 + 1))[:size]


@given(st.integers(0, LARGE + 100), st.integers(0, LARGE + 200), st.integers(0, 100), st.booleans())
def test_it_finds_what_bytes_find_finds(before: int, start: int, after: int, writable: bool) -> None:
    data: bytes | bytearray = stuff(before) + DELIMITER + stuff(after) + DELIMITER
    if writable:
        data = bytearray(data)
    assert search.find(data, DELIMITER, start) == bytes(data).find(DELIMITER, start)


@pytest.mark.parametrize("at", [0, 1, search._AHEAD - 1, search._AHEAD, LARGE, 3 * LARGE])
def test_near_and_far(at: int) -> None:
    data = bytearray(stuff(at) + DELIMITER + stuff(LARGE))
    assert search.find(data, DELIMITER, 0) == at
    assert search.find(data, DELIMITER, at + 1) == -1


@given(st.integers(0, search._PIECE), st.integers(-2 * len(DELIMITER), 2 * len(DELIMITER)), st.integers(0, 4))
def test_across_pieces(start: int, off: int, pieces: int) -> None:
    """Where one piece ends and the next begins, and also where each piece is left to the other way."""
    at = max(start, start + pieces * search._PIECE + off)
    data = bytearray(at) + DELIMITER + bytes(LARGE)
    with pytest.MonkeyPatch.context() as patch:
        for slow in (search._SLOW, 0.0):
            patch.setattr(search, "_SLOW", slow)
            assert search.find(data, DELIMITER, start) == at
            assert search.find(data, DELIMITER, at + 1) == -1


@pytest.mark.skipif(search._memmem is None, reason="needs memmem")
@pytest.mark.parametrize(
    "boundary", [b"a" * 35, b"ab" * 18, b"0f6a3c9e5d7b4812", b"----WebKitFormBoundary7MA4YWxk"]
)
@pytest.mark.parametrize("kind", ["tail", "tail of one", "all", "CR"])
def test_no_bytes_are_much_slower_than_others(boundary: bytes, kind: str) -> None:
    """In processor time of this thread: what else the machine does is not in it. `memmem` alone: 1 to 200."""
    size = 4 << 20
    unit = {"tail": boundary[-8:], "tail of one": boundary[-1:], "all": boundary, "CR": b"\r"}[kind]
    hostile = bytearray((unit * (size // len(unit) + 1))[:size])
    random_bytes = bytearray(random.Random(1).randbytes(size))

    def seconds(data: bytearray) -> float:
        begin = time.thread_time()
        assert search.find(data, b"\r\n--" + boundary, 0) == -1
        return time.thread_time() - begin

    ratios = [seconds(hostile) / seconds(random_bytes) for _ in range(7)]
    assert min(ratios) < 60


def test_without_the_c_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_memmem", None)
    data = bytearray(stuff(3 * LARGE) + DELIMITER)
    assert search.find(data, DELIMITER, 0) == 3 * LARGE


def test_the_buffer_is_free_afterwards() -> None:
    """A window that is searched can be resized again: nothing holds it."""
    data = bytearray(2 * LARGE)
    assert search.find(data, DELIMITER, 0) == -1
    data += b"x"
