"""What the model is called with: the request's Content-Type, its JSON, its parts as files."""

import hashlib
import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_gateway.errors import (
    InsufficientStorage,
    InvalidRootPart,
    LimitExceeded,
    MalformedMultipart,
    RequestError,
    UnsupportedEncoding,
)
from inference_gateway.payload.spool_budget import SpoolBudget
from tests.harness.assembling import RELATED, ROOT, TEXT, assembled, assembler, in_both, outcome
from tests.harness.wire import digest, message, part
from tests.multipart.reading import bytewise, cut, two_way_cuts


def check_every_way(wire: bytes, content_type: str = RELATED, **options: Any) -> Any:
    """The outcome of a body, which must be the same however it is cut."""
    whole = outcome([wire], content_type, **options)
    for pieces in (bytewise(wire) or [b""], *two_way_cuts(wire)):
        assert outcome(pieces, content_type, **options) == whole
    return whole


THREE = message(
    part(b"one", b"Content-ID: <a>"), part(b"\r\n--bn", b"Content-ID: <b>"), part(ROOT, b"Content-ID: <c>")
)


class TestAssembler:
    @pytest.mark.wire(
        "request: input_hash",
        "request: inputs in the order of arrival",
        "request: first part is the root without start",
    )
    @in_both
    def test_first_part_is_the_root_and_the_others_come_in_order(self, in_file: bool) -> None:
        bodies = [b"one", b"", b"one", TEXT]
        wire = message(part(ROOT, b"Content-Type: image/png"), *(part(body, b"X: y") for body in bodies))
        with assembled(wire, in_file=in_file) as request:
            assert request.json_input == {"k": 1}
            assert [file.read() for file in request.inputs] == bodies
            assert request.input_hash == digest(ROOT, *bodies)
            assert request.spool.read(0, request.spool.size) == wire
            assert request.spool.in_memory != in_file

    @pytest.mark.wire("request: start names the root part")
    @pytest.mark.parametrize("start", ['"<c>"', "<c>", r'"<\c>"'])
    def test_start_names_the_root(self, start: str) -> None:
        json_input, parts, input_hash = check_every_way(THREE, f"{RELATED}; start={start}")
        assert json_input == {"k": 1}
        assert [body for _, body in parts] == [b"one", b"\r\n--bn"]
        assert input_hash == digest(b"one", b"\r\n--bn", ROOT)

    @pytest.mark.parametrize("header", [b"content-id:<c>", b"CONTENT-ID: \t<c> "])
    def test_content_ids_without_regard_to_case_and_blanks_of_the_header(self, header: bytes) -> None:
        wire = message(part(b"one"), part(ROOT, header))
        assert outcome([wire], f'{RELATED}; start="<c>"')[0] == {"k": 1}

    @pytest.mark.wire("refused: start empty or naming no part")
    @pytest.mark.parametrize("start", ["<d>", "c", "<C>", "<c> ", "<c"])
    def test_start_that_names_no_part(self, start: str) -> None:
        error, sentence = check_every_way(THREE, f'{RELATED}; start="{start}"')
        assert error is InvalidRootPart
        assert "start" in sentence

    def test_start_where_no_part_has_an_id(self) -> None:
        assert outcome([message(part(ROOT))], f"{RELATED}; start=a")[0] is InvalidRootPart

    @pytest.mark.wire("refused: Content-ID used twice")
    @pytest.mark.parametrize("content_type", [RELATED, f'{RELATED}; start="<a>"', f'{RELATED}; start="<b>"'])
    def test_content_id_used_twice(self, content_type: str) -> None:
        wire = message(*(part(ROOT, b"Content-ID: <%s>" % name) for name in (b"a", b"b", b"a")))
        assert check_every_way(wire, content_type) == (
            MalformedMultipart,
            "two parts have the same Content-ID",
        )

    def test_content_ids_that_differ_or_are_empty(self) -> None:
        lines = [b"Content-ID: a", b"Content-ID: A", b"Content-ID: <a>", b"Content-ID:", b"Content-ID: "]
        wire = message(*(part(ROOT, line) for line in lines))
        with assembled(wire) as request:
            assert len(request.inputs) == 4

    @pytest.mark.wire("refused: root over its limit", "aftermath: exactly at a limit is fine")
    @pytest.mark.parametrize(
        ("wire", "content_type"),
        [
            (message(part(ROOT), part(b"larger than the root")), RELATED),
            (message(part(b"larger than the root"), part(ROOT, b"Content-ID: c")), f"{RELATED}; start=c"),
        ],
    )
    def test_root_limit(self, wire: bytes, content_type: str) -> None:
        size = len(ROOT)
        assert check_every_way(wire, content_type, max_root_bytes=size)[0] == {"k": 1}
        error = check_every_way(wire, content_type, max_root_bytes=size - 1)
        assert error == (LimitExceeded, f"the root part is larger than the limit of {size - 1} bytes")

    @pytest.mark.wire(
        "refused: part count over its limit",
        "refused: part over its limit",
        "refused: header count over its limit",
        "refused: header bytes over their limit",
    )
    @pytest.mark.parametrize(
        ("setting", "exactly"),
        [("max_parts", 3), ("max_part_bytes", 9), ("max_part_headers", 2), ("max_part_header_bytes", 12)],
    )
    def test_limits_of_the_settings(self, setting: str, exactly: int) -> None:
        wire = message(part(ROOT), part(b"123456789", b"X: y", b"X: z"), part(b""))
        fits: dict[str, Any] = {setting: exactly}
        assert outcome([wire], **fits)[0] == {"k": 1}
        too_much: dict[str, Any] = {setting: exactly - 1}
        assert check_every_way(wire, **too_much)[0] is LimitExceeded

    @pytest.mark.parametrize(
        ("wire", "error"),
        [
            (b"", MalformedMultipart),
            (b"--bnd--", MalformedMultipart),
            (message(part(ROOT))[:-4], MalformedMultipart),
            (message(part(ROOT)) + b"x", MalformedMultipart),
            (message(part(ROOT), part(b"x", b"Content-Encoding: gzip")), UnsupportedEncoding),
            (message(part(b"{")), InvalidRootPart),
            (message(part(b"one", b"Content-ID: <a>"), part(ROOT)), InvalidRootPart),
        ],
    )
    def test_refusals(self, wire: bytes, error: type[RequestError]) -> None:
        assert check_every_way(wire)[0] is error

    def test_a_truncated_body_is_called_so_before_its_json_is(self) -> None:
        assert outcome([message(part(b"{"))[:-6]])[0] is MalformedMultipart

    @settings(max_examples=60)
    @given(
        st.sampled_from([THREE, message(part(ROOT), part(TEXT), part(b"", b"X: y"))]),
        st.sampled_from([RELATED, f'{RELATED}; start="<c>"']),
        st.booleans(),
        st.data(),
    )
    def test_is_the_same_under_every_cut(
        self, wire: bytes, content_type: str, in_file: bool, data: st.DataObject
    ) -> None:
        pieces = data.draw(cut(wire))
        assert outcome(pieces, content_type, in_file=in_file) == outcome([wire], content_type)

    @pytest.mark.wire("refused: disk budget spent")
    def test_the_disk_budget_ends_it(self) -> None:
        budget = SpoolBudget(100)
        one = assembler(in_file=True, budget=budget)
        wire = message(part(ROOT), part(bytes(1000)))
        one.feed(bytearray(wire[:100]))
        with pytest.raises(InsufficientStorage):
            one.feed(bytearray(wire[100:]))
        one.spool.release()
        assert one.spool.closed
        assert budget.used == 0

    @pytest.mark.parametrize("wire", [message(part(b"{")), message(part(ROOT))[:-3], b"x"])
    def test_an_error_leaves_the_spool_to_its_holder(self, wire: bytes) -> None:
        one = assembler(in_file=True)
        with pytest.raises(RequestError):  # noqa: PT012 - whichever finds it
            one.feed(bytearray(wire))
            one.finish()
        assert not one.spool.closed
        one.spool.release()
        assert one.spool.closed

    def test_a_closed_spool_is_an_error(self) -> None:
        one = assembler()
        one.spool.release()
        with pytest.raises(ValueError, match="closed"):
            one.feed(bytearray(message(part(ROOT))))

    def test_the_hash_counts_every_byte_once_whatever_the_windows(self) -> None:
        body = random.Random(3).randbytes(3 << 20)
        wire = message(part(ROOT), part(body))
        window = bytearray(1 << 20)
        one = assembler(in_file=True)
        for start in range(0, len(wire) - len(window), len(window)):
            window[:] = wire[start : start + len(window)]
            one.feed(window)
            last = start + len(window)
        window[:] = bytes(len(window))
        one.feed(bytearray(wire[last:]))
        request = one.finish()
        assert request.input_hash == hashlib.sha256(ROOT + body).hexdigest()
        assert request.inputs[0].read() == body
        one.spool.release()

    def test_a_part_costs_little_memory(self) -> None:
        """Parts are kept as offsets, whatever their headers and bodies are."""
        headers = [b"X-%d: " % number + b"v" * 400 for number in range(10)]
        with assembled(message(part(ROOT), *[part(b"x" * 1000, *headers)] * 50), in_file=True) as request:
            for each in request.inputs:
                held = [value for value in vars(each).values() if value is not request.spool]
                assert sum(map(sys.getsizeof, held)) < 400
