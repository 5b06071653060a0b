"""The form of a line: what is told apart, and what any change of a byte does."""

import json

import pytest

from inference_gateway.audit.chain import NOTHING, link_of, sealed

LINE, HASH = sealed('{"event":"inference","route":"/\\u00e4\\n","status":200}', 7, NOTHING)


def test_a_line_is_ascii_json_with_its_place_first_and_its_hash_last() -> None:
    assert LINE.endswith(b'"}\n')
    assert LINE.isascii()
    told = json.loads(LINE)
    assert list(told) == ["number", "previous", "event", "route", "status", "hash"]
    assert (told["number"], told["previous"], told["hash"]) == (7, NOTHING, HASH)
    assert told["route"] == "/\u00e4\n"


def test_a_line_is_read_as_it_was_written() -> None:
    link = link_of(LINE[:-1])
    assert link is not None
    assert (link.number, link.previous, link.event, link.hash) == (7, NOTHING, "inference", HASH)
    assert link.fields() == json.loads(LINE)


@pytest.mark.parametrize("at", range(len(LINE) - 1))
def test_any_byte_that_changes_shows(at: int) -> None:
    changed = bytearray(LINE[:-1])
    changed[at] ^= 1
    assert link_of(bytes(changed)) is None


@pytest.mark.parametrize("line", [b"", b"{}", LINE, LINE[:-2], b" " + LINE[:-1], LINE[1:-1]])
def test_what_is_no_line(line: bytes) -> None:
    assert link_of(line) is None
