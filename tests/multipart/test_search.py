"""`find` gives what `bytes.find` gives, whichever way it looks."""

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


def test_without_the_c_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_memmem", None)
    data = bytearray(stuff(3 * LARGE) + DELIMITER)
    assert search.find(data, DELIMITER, 0) == 3 * LARGE


def test_the_buffer_is_free_afterwards() -> None:
    """A window that is searched can be resized again: nothing holds it."""
    data = bytearray(2 * LARGE)
    assert search.find(data, DELIMITER, 0) == -1
    data += b"x"
