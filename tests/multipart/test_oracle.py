"""python-multipart beside our decoder: the same on well-formed messages, and why it alone is not enough."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Limits, check_boundary
from tests.multipart.oracle import Oracle
from tests.multipart.reading import Message, Part, bytewise, cut, encode, messages, read

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    pass


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """It warns of every refusal; thousands of refusals would make the report unreadable."""
    logger = logging.getLogger("python_multipart.multipart")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(messages(), st.data())
def test_well_formed_messages_have_the_same_parts(message: Message, data: st.DataObject) -> None:
    wire = encode(message)
    pieces = data.draw(cut(wire))
    for way in ([wire], pieces):
        oracle = Oracle(way, message.boundary)
        assert oracle.ended
        ours = read(way, message.boundary)
        assert ours.error is None
        assert ours.parts == oracle.parts


BODY = b"--b\r\nA: b\r\n\r\nbody\r\n--b--\r\n"
PARTS: list[Part] = [((("A", "b"),), b"body")]


class TestGaps:
    """What python-multipart takes and a gate must not: each is why the decoder is our own."""

    def test_a_whole_message_for_comparison(self) -> None:
        oracle = Oracle([BODY], b"b")
        assert oracle.parts == PARTS == read([BODY], b"b").parts
        assert oracle.ended

    @pytest.mark.parametrize("end", range(len(b"--b\r\nA: b\r\n\r\n"), len(BODY) - 2))
    def test_a_missing_close_delimiter_is_no_error(self, end: int) -> None:
        Oracle([BODY[:end]], b"b")
        error = read([BODY[:end]], b"b").error
        assert error is not None
        assert (error[0] == 400) == (end < len(BODY) - 2)

    def test_what_follows_the_close_delimiter_is_dropped(self) -> None:
        wire = BODY + b"--b\r\nA: b\r\n\r\nlost\r\n--b--\r\n"
        assert Oracle([wire], b"b").parts == PARTS
        assert read([wire], b"b").error == (
            400,
            "there is something after the close delimiter",
        )

    def test_over_its_size_limit_the_message_is_cut_without_a_word(self) -> None:
        assert Oracle([BODY], b"b", max_size=20).parts == []
        error = read([BODY], b"b", Limits(part_bytes=3)).error
        assert error is not None
        assert error[0] == 413

    @pytest.mark.parametrize("boundary", [b"", b"\0", b"\n", b"\r\n", b" "])
    def test_any_boundary_is_taken(self, boundary: bytes) -> None:
        wire = BODY.replace(b"--b", b"--" + boundary)
        assert Oracle([wire], boundary).parts == PARTS
        with pytest.raises(MultipartError):
            check_boundary(boundary.decode())

    def test_text_before_the_first_delimiter_depends_on_the_cut(self) -> None:
        wire = b"\r\npreamble\r\n" + BODY
        assert Oracle([wire], b"b").parts == PARTS
        with pytest.raises(ValueError, match="boundary character"):
            Oracle(bytewise(wire), b"b")
        ours = read([wire], b"b")
        assert ours.error == (400, "there is text before the first delimiter")
        assert read(bytewise(wire), b"b") == ours

    def test_a_part_without_a_body_swallows_the_next(self) -> None:
        wire = b"--b\r\nA: b\r\n\r\n" + BODY
        assert Oracle([wire], b"b").parts == [((("A", "b"),), BODY.removesuffix(b"\r\n--b--\r\n"))]
        assert read([wire], b"b").parts == [((("A", "b"),), b""), *PARTS]

    @pytest.mark.parametrize("tail", [b"X\r\n", b"-\r\n", b"\n", b"\rX"])
    def test_a_malformed_delimiter_is_data(self, tail: bytes) -> None:
        wire = b"--b\r\nA: b\r\n\r\nbody\r\n--b" + tail + BODY[BODY.index(b"body") :]
        assert Oracle([wire], b"b").parts == [((("A", "b"),), b"body\r\n--b" + tail + b"body")]
        error = read([wire], b"b").error
        assert error is not None
        assert error[0] == 400

    @pytest.mark.parametrize("value", [b"b\nC: d", b"b\0", b"b\x1bc"])
    def test_control_characters_are_let_through_in_header_values(self, value: bytes) -> None:
        wire = BODY.replace(b"A: b", b"A: " + value)
        assert Oracle([wire], b"b").parts == [((("A", value.decode()),), b"body")]
        error = read([wire], b"b").error
        assert error is not None
        assert error[0] == 400
