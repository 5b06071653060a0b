"""The decoder: a table of messages read under every cut, its limits, and what holds for any bytes at all."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Decoder, Encoder, Limits, PartData
from tests.multipart.reading import (
    CRLF,
    Begin,
    Data,
    End,
    Message,
    Part,
    Reading,
    bytewise,
    cut,
    messages,
    mutations,
    read,
    read_every_way,
)

thorough = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])

LINE = b"--bnd\r\n"
NEXT = b"\r\n--bnd\r\n"
CLOSE = b"\r\n--bnd--\r\n"


@dataclass(frozen=True)
class Row:
    """A message and its parts. `canonical`: the encoder writes these parts so."""

    id: str
    wire: bytes
    parts: list[Part]
    canonical: bool = False
    boundary: bytes = b"bnd"


A = (("X-A", "b"),)
ONE: list[Part] = [(A, b"one")]

ROWS = [
    Row("one part", LINE + b"X-A: b\r\n\r\none" + CLOSE, ONE, True),
    Row("no headers", LINE + b"\r\none" + CLOSE, [((), b"one")], True),
    Row(
        "two parts",
        LINE + b"X-A: b\r\nX-C: d\r\n\r\none" + NEXT + b"X-A: b\r\n\r\n\0\xff" + CLOSE,
        [((("X-A", "b"), ("X-C", "d")), b"one"), (A, b"\0\xff")],
        True,
    ),
    Row("empty body", LINE + b"X-A: b\r\n\r\n" + NEXT + b"\r\n2" + CLOSE, [(A, b""), ((), b"2")], True),
    Row("headers and no body", LINE + b"X-A: b\r\n" + NEXT + b"\r\n2" + CLOSE, [(A, b""), ((), b"2")]),
    Row("nothing at all in a part", LINE + b"\r\n--bnd--", [((), b"")]),
    Row("last part without a body", LINE + b"\r\n1" + NEXT + b"X-A: b\r\n" + CLOSE, [((), b"1"), (A, b"")]),
    Row("empty lines first", b"\r\n\r\n\r\n" + LINE + b"X-A: b\r\n\r\none" + CLOSE, ONE),
    Row("no CRLF at the end", LINE + b"X-A: b\r\n\r\none\r\n--bnd--", ONE),
    Row("blanks and CRLFs at the end", LINE + b"X-A: b\r\n\r\none\r\n--bnd-- \t\r\n \r\n\t\r\n\r\n", ONE),
    Row("blank at the end", LINE + b"X-A: b\r\n\r\none\r\n--bnd--\r\n ", ONE),
    Row(
        "blanks after delimiters",
        b"--bnd \t\r\nX-A: b\r\n\r\none\r\n--bnd\t \r\n\r\n2\r\n--bnd--",
        [*ONE, ((), b"2")],
    ),
    Row("blanks around a value", LINE + b"X-A:\t b \t\r\n\r\none" + CLOSE, ONE),
    Row("no blank before a value", LINE + b"X-A:b\r\n\r\none" + CLOSE, ONE),
    Row("empty value", LINE + b"X-A: \r\n\r\none" + CLOSE, [((("X-A", ""),), b"one")], True),
    Row(
        "raw UTF-8",
        LINE + "X-A: Ä日本".encode() + b"\r\n\r\none" + CLOSE,
        [((("X-A", "Ä日本"),), b"one")],
        True,
    ),
    Row(
        "a field twice",
        LINE + b"X-A: b\r\nx-a: c\r\n\r\none" + CLOSE,
        [((("X-A", "b"), ("x-a", "c")), b"one")],
        True,
    ),
    *[
        Row(
            f"transfer encoding {encoding}",
            LINE + f"Content-Transfer-Encoding: {encoding}\r\n\r\none".encode() + CLOSE,
            [((("Content-Transfer-Encoding", encoding),), b"one")],
            True,
        )
        for encoding in ("binary", "8bit", "7bit", "BINARY", "8Bit", "7BIT")
    ],
    *[
        Row(
            f"Content-Length {length!r}",
            LINE + f"Content-Length: {length}\r\n\r\n".encode() + body + CLOSE,
            [((("Content-Length", length),), body)],
            True,
        )
        for length, body in [
            ("3", b"one"),
            ("0003", b"one"),
            ("0", b""),
            ("0" * 4000, b""),
            ("6", b"\r\n--bn"),
        ]
    ],
    Row(
        "Content-Length 0 and no body",
        LINE + b"Content-Length: 0\r\n" + CLOSE,
        [((("Content-Length", "0"),), b"")],
    ),
    *[
        Row(f"body {body!r}", LINE + b"X-A: b\r\n\r\n" + body + CLOSE, [(A, body)], True)
        for body in [
            *[b"\r", b"\n", b"-", b"--", b"\0", b":", b" ", b"\t", CRLF, b"\r\r", b"\r\r\n", b"\n\r"],
            b"\r\n\r\n",
            *[b"--\r\n", b"\r\n--", b"\r\n--\r\n", b"-\r\n-", b"--bn", b"\r\n--bn", b"bnd", b"-bnd"],
            b"x--bnd",
            *[b"x--bnd--\r\n", b"\n--bnd\r\n", b"\r--bnd--", b"\r\n-\r\n--\r\n--b\r\n--bn\r\nd", b"--bn--bn"],
            *[b"\r\n--b\r\n--bn\r", b"\r\n--BND\r\n", b"\r\n --bnd\r\n", b"\r\n-- bnd", bytes(range(256))],
            b"--inner\r\nX-A: b\r\n\r\none\r\n--inner--\r\n",
        ]
    ],
    *[
        Row(
            f"boundary {boundary!r}",
            b"--%s\r\n\r\n\r\n--\r\n--%s--\r\n" % (boundary, boundary),
            [((), b"\r\n--")],
            True,
            boundary,
        )
        for boundary in [b"-", b"--", b"a--", b":", b"a b", b" a", b"===_1?", b"'()+_,-./:=?", b"b" * 200]
    ],
]
rows = pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])


class TestTable:
    @pytest.mark.wire(
        "tolerated: empty lines before the first delimiter",
        "tolerated: no CRLF after the close delimiter",
        "tolerated: blanks after a delimiter",
        "tolerated: part without headers",
        "tolerated: part with headers and no body",
        "tolerated: Content-Transfer-Encoding binary, 8bit, 7bit in any case",
        "tolerated: true part Content-Length",
        "tolerated: delimiter stuff in a body",
        "tolerated: raw UTF-8 in header values",
        "aftermath: the same however the bytes are cut",
    )
    @rows
    def test_decodes(self, row: Row) -> None:
        reading = read_every_way(row.wire, row.boundary)
        assert reading.error is None
        assert reading.parts == row.parts

    @pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS if row.canonical])
    def test_encodes(self, row: Row) -> None:
        encoder = Encoder(row.boundary.decode())
        wire = b"".join(encoder.begin_part(fields) + body + encoder.end_part() for fields, body in row.parts)
        assert wire + encoder.finish() == row.wire

    @rows
    def test_offsets_point_into_the_message(self, row: Row) -> None:
        check_offsets(row.wire, read([row.wire], row.boundary))

    @rows
    def test_every_prefix_is_truncated(self, row: Row) -> None:
        """Up to the last byte of the close delimiter, after which blanks and CRLFs may stop anywhere."""
        closed = row.wire.rindex(b"--" + row.boundary + b"--") + len(row.boundary) + 4
        for end in range(1, closed):
            error = read([row.wire[:end]], row.boundary).error
            assert error is not None
            assert error[0] == 400
            assert "truncated" in error[1], row.wire[:end]
        for end in range(closed, len(row.wire)):
            assert (read([row.wire[:end]], row.boundary).error is None) == (row.wire[end - 1 : end] != b"\r")


def check_offsets(wire: bytes, reading: Reading) -> None:
    """The offsets of a whole message say where its parts' headers and bodies are."""
    events = iter(reading.events)
    for begin in events:
        assert isinstance(begin, Begin)
        event = next(events)
        body = event.data if isinstance(event, Data) else b""
        end = next(events) if isinstance(event, Data) else event
        assert isinstance(end, End)
        assert begin.header_offset < begin.body_offset <= end.body_end <= len(wire)
        assert wire[begin.body_offset : end.body_end] == body
        head = wire[begin.header_offset : begin.body_offset]
        assert head.endswith(CRLF)
        names = [line.partition(b":")[0].decode() for line in head.split(CRLF) if line]
        assert names == [name for name, _ in begin.fields]
        before = wire[: begin.header_offset].rstrip(b" \t")
        assert before.endswith(CRLF)


def refused(id: str, wire: bytes, sentence: str, status: int = 400) -> Any:
    return pytest.param(wire, sentence, status, id=id)


def headed(*lines: bytes) -> bytes:
    """A message whose second part has these header lines."""
    return LINE + b"\r\n1" + NEXT + b"".join(line + CRLF for line in lines) + b"\r\n12345" + CLOSE


LENGTH = "Content-Length"
REFUSED = [
    refused("empty", b"", "body is empty"),
    refused("no part", b"--bnd--\r\n", "no part"),
    refused("no part, after empty lines", b"\r\n--bnd--", "no part"),
    refused("text", b"hello", "text before"),
    refused("preamble", b"preamble" + NEXT + b"\r\n1" + CLOSE, "text before"),
    refused("preamble after an empty line", CRLF + b"preamble" + NEXT + b"\r\n1" + CLOSE, "text before"),
    refused("one letter", b"x" + LINE + b"\r\n1" + CLOSE, "text before"),
    refused("blank", b" " + LINE + b"\r\n1" + CLOSE, "text before"),
    refused("one dash", b"-bnd\r\n\r\n1" + CLOSE, "text before"),
    refused("bare CR first", b"\r" + LINE + b"\r\n1" + CLOSE, "text before"),
    refused("bare LF first", b"\n" + LINE + b"\r\n1" + CLOSE, "CRLF"),
    refused("bare LF after an empty line", b"\r\n\n" + LINE + b"\r\n1" + CLOSE, "CRLF"),
    refused("only empty lines", b"\r\n\r\n", "truncated"),
    refused("another boundary", b"--other\r\n\r\n1\r\n--other--\r\n", "boundary of the Content-Type"),
    refused("a shorter boundary", b"--bn\r\n\r\n1\r\n--bn--\r\n", "boundary of the Content-Type"),
    refused("a boundary in other case", b"--BND\r\n\r\n1\r\n--BND--\r\n", "boundary of the Content-Type"),
    refused("close delimiter missing", LINE + b"\r\n1\r\n", "truncated"),
    refused("close delimiter with one dash", LINE + b"\r\n1\r\n--bnd-\r\n", "well-formed"),
    refused("close delimiter with one dash at the end", LINE + b"\r\n1\r\n--bnd-", "truncated"),
    refused("epilogue", LINE + b"\r\n1" + CLOSE + b"epilogue", "after the close delimiter"),
    refused("epilogue on the line", LINE + b"\r\n1\r\n--bnd--x", "after the close delimiter"),
    refused("third dash", LINE + b"\r\n1\r\n--bnd---", "after the close delimiter"),
    refused("LF after the close delimiter", LINE + b"\r\n1\r\n--bnd--\n", "after the close delimiter"),
    refused("CR after the close delimiter", LINE + b"\r\n1\r\n--bnd--\rx", "after the close delimiter"),
    refused("CR and nothing after it", LINE + b"\r\n1\r\n--bnd--\r", ""),
    refused("second message", (LINE + b"\r\n1" + CLOSE) * 2, "after the close delimiter"),
    refused("letter glued to the first delimiter", b"--bndX\r\n\r\n1" + CLOSE, "well-formed"),
    *[
        refused(
            f"delimiter with {tail!r} behind it", LINE + b"\r\n1\r\n--bnd" + tail + b"2" + CLOSE, sentence
        )
        for tail, sentence in [
            (b"X\r\n", "well-formed"),
            (b"-\r\n", "well-formed"),
            (b"-x-\r\n", "well-formed"),
            (b" X\r\n", "well-formed"),
            (b" --\r\n", "well-formed"),
            (b"\t\0\r\n", "well-formed"),
            (b"\rX\r\n", "well-formed"),
            (b"\r\r\n", "well-formed"),
            (b"\n", "CRLF"),
            (b" \n", "CRLF"),
            (b"\nX\r\n", "CRLF"),
        ]
    ],
    refused("glued, right behind the headers", LINE + b"X-A: b\r\n\r\n--bndX" + CLOSE, "well-formed"),
    refused("LF for every line end", b"--bnd\nX-A: b\n\n1\n--bnd--\n", "CRLF"),
    refused("LF after a header line", headed(b"X-A: b\nX-C: d"), "CRLF"),
    refused("LF for the empty line", LINE + b"X-A: b\r\n\n1" + CLOSE, "CRLF"),
    refused("LF for the empty line of no headers", LINE + b"\n1" + CLOSE, "CRLF"),
    refused("no colon", headed(b"garbage"), "colon"),
    refused("no empty line", LINE + b'X-A: b\r\n{"k": 1}' + CLOSE, "name"),
    refused("body for headers", LINE + b"one\r\n\r\n" + CLOSE, "colon"),
    refused("empty name", headed(b": b"), "name"),
    refused("blank before the colon", headed(b"X-A : b"), "name"),
    refused("folded", headed(b"X-A: b", b" c"), "folded"),
    refused("folded with a tab", headed(b"X-A: b", b"\tc"), "folded"),
    refused("not UTF-8", headed(b"X-A: caf\xe9"), "UTF-8"),
    refused("NUL", headed(b"X-A: a\0b"), "control"),
    refused("bare CR", headed(b"X-A: a\rb"), "control"),
    refused("bare CR at the end of a line", headed(b"X-A: a\r"), "control"),
    refused("bare CR for the empty line", LINE + b"X-A: b\r\n\rx\r\n\r\n" + CLOSE, "colon"),
    refused("headers run into a delimiter", LINE + b"X-A: b" + NEXT + b"\r\n1" + CLOSE, "delimiter"),
    refused("headers run into the close delimiter", LINE + b"X-A: b" + CLOSE, "delimiter"),
    refused("a delimiter for headers", LINE + LINE + b"\r\n1" + CLOSE, "delimiter"),
    *[
        refused(
            f"{name.decode()} twice", headed(name + b": 5", b"X-A: b", name.lower() + b": 5"), "only once"
        )
        for name in (
            b"Content-Type",
            b"Content-Disposition",
            b"Content-ID",
            b"Content-Length",
            b"Content-Transfer-Encoding",
        )
    ],
    *[
        refused(f"{LENGTH} {value!r}", headed(b"Content-Length: " + value), "not a number")
        for value in (
            *[
                b"-5",
                b"+5",
                b"",
                b"x",
                b"0x5",
                b"5.0",
                b"5, 5",
                b"5;",
                b'"5"',
                b"5e0",
                b"1 2",
                b"nan",
                b"5_0",
            ],
            *["\u0665".encode(), "\u00b2".encode(), b"0" * 4000 + b"5"],
        )
    ],
    refused("Content-Length too small", headed(b"Content-Length: 4"), "smaller"),
    refused("Content-Length 0 of a body", headed(b"Content-Length: 0"), "smaller"),
    refused("Content-Length too large", headed(b"Content-Length: 6"), "larger"),
    refused("Content-Length of 4000 digits", headed(b"Content-Length: " + b"9" * 4000), "larger"),
    refused("Content-Length and no body", LINE + b"Content-Length: 1\r\n" + CLOSE, "larger"),
    refused(
        "Content-Length over a delimiter",
        LINE + b"Content-Length: 15\r\n\r\n1" + NEXT + b"\r\n2" + CLOSE,
        "larger",
    ),
    refused("Content-Length and a malformed delimiter", headed(b"Content-Length: 4") + b"x", "smaller"),
    refused("content encoding", headed(b"Content-Encoding: gzip"), "Content-Encoding", 415),
    refused("no encoding", headed(b"content-encoding: identity"), "Content-Encoding", 415),
    *[
        refused(
            f"transfer encoding {value!r}",
            headed(b"Content-Transfer-Encoding: " + value),
            "Content-Transfer-Encoding",
            415,
        )
        for value in (b"base64", b"quoted-printable", b"x", b"", b"binary, 8bit", b"16bit")
    ],
]


class TestRefused:
    @pytest.mark.wire(
        "refused: empty body",
        "refused: no part",
        "refused: text before the first delimiter",
        "refused: delimiter is not the header's boundary",
        "refused: close delimiter missing",
        "refused: body cut anywhere",
        "refused: anything after the close delimiter",
        "refused: malformed delimiter line",
        "refused: LF-only line ends",
        "refused: repeated part header",
        "refused: part Content-Length not true",
        "refused: Content-Encoding",
        "refused: another Content-Transfer-Encoding",
        "aftermath: the same however the bytes are cut",
    )
    @pytest.mark.parametrize(("wire", "sentence", "status"), REFUSED)
    def test_with_one_sentence(self, wire: bytes, sentence: str, status: int) -> None:
        # Four thousand digits at every two-way cut would take a minute.
        reading = read_every_way(wire) if len(wire) < 1000 else read([wire])
        assert reading == read(bytewise(wire))
        assert reading.error is not None
        assert reading.error[0] == status
        assert sentence in reading.error[1]

    def test_events_come_up_to_the_byte_that_decides(self) -> None:
        wire = LINE + b"\r\n1" + NEXT + b"X-A: b\r\n\r\n2\r\n--bndX"
        decoder = Decoder(b"bnd")
        names = []

        def receive() -> None:
            for event in decoder.receive(wire):
                names.append(type(event).__name__)  # noqa: PERF401 - the names before the error are asked for

        with pytest.raises(MultipartError):
            receive()
        assert names == ["PartBegin", "PartData", "PartEnd", "PartBegin", "PartData"]
        list(Decoder(b"bnd").receive(wire[:-1]))

    def test_a_part_ends_only_where_its_delimiter_is_well_formed(self) -> None:
        decoder = Decoder(b"bnd")
        list(decoder.receive(LINE + b"\r\n1"))
        assert list(decoder.receive(b"\r\n--bnd \t\r")) == []
        assert len(list(decoder.receive(b"\n"))) == 1


class TestLimits:
    @pytest.mark.wire("refused: part count over its limit", "aftermath: exactly at a limit is fine")
    def test_parts(self) -> None:
        wire = LINE + NEXT.join([b"\r\n1"] * 3) + CLOSE
        assert len(read_every_way(wire, limits=Limits(parts=3)).parts) == 3
        reading = read_every_way(wire, limits=Limits(parts=2))
        assert reading.error == (413, "there are more parts than the limit of 2")
        # Known as soon as the third one's delimiter is whole.
        decoder = Decoder(b"bnd", Limits(parts=2))
        list(decoder.receive(LINE + NEXT.join([b"\r\n1"] * 2) + NEXT[:-1]))
        with pytest.raises(MultipartError):
            list(decoder.receive(b"\n"))

    @pytest.mark.wire("refused: part over its limit")
    @pytest.mark.parametrize(
        "body", [b"12345678", b"\r\n\r\n\r\n\r\n", b"\r\n--bn\r\n", b"--bn--bn", b"\r" * 8]
    )
    def test_part_bytes(self, body: bytes) -> None:
        wire = LINE + b"\r\n" + body + CLOSE
        assert read_every_way(wire, limits=Limits(part_bytes=8)).parts == [((), body)]
        for room in range(8):
            reading = read_every_way(wire, limits=Limits(part_bytes=room))
            assert reading.error == (413, f"a part is larger than the limit of {room} bytes")
            assert b"".join(event.data for event in reading.events if isinstance(event, Data)) == body[:room]

    def test_part_bytes_count_for_each_part_anew(self) -> None:
        wire = LINE + b"\r\n123" + NEXT + b"\r\n456" + CLOSE
        assert len(read([wire], limits=Limits(part_bytes=3)).parts) == 2

    def test_no_bytes_at_all(self) -> None:
        assert read_every_way(LINE + CRLF + CLOSE, limits=Limits(part_bytes=0)).parts == [((), b"")]

    @pytest.mark.parametrize("declared", [4, 5, 6])
    def test_part_bytes_under_a_content_length(self, declared: int) -> None:
        wire = LINE + f"Content-Length: {declared}\r\n\r\n12345".encode() + CLOSE
        reading = read_every_way(wire, limits=Limits(part_bytes=3))
        assert reading.error == (413, "a part is larger than the limit of 3 bytes")

    @pytest.mark.wire("refused: header count over its limit")
    def test_headers(self) -> None:
        wire = LINE + b"X: y\r\n" * 3 + b"\r\n1" + CLOSE
        assert len(read_every_way(wire, limits=Limits(headers=3)).parts) == 1
        reading = read_every_way(wire, limits=Limits(headers=2))
        assert reading.error == (413, "a part has more headers than the limit of 2")

    def test_headers_count_for_each_part_anew(self) -> None:
        wire = LINE + b"X: y\r\n\r\n1" + NEXT + b"X: y\r\n\r\n2" + CLOSE
        assert len(read([wire], limits=Limits(headers=1, header_bytes=6)).parts) == 2

    @pytest.mark.wire("refused: header bytes over their limit")
    @pytest.mark.parametrize("lines", [b"X-A: 12345\r\n", b"X: y\r\nX: z\r\n"])
    def test_header_bytes(self, lines: bytes) -> None:
        wire = LINE + lines + b"\r\n1" + CLOSE
        assert len(lines) == 12
        assert len(read_every_way(wire, limits=Limits(header_bytes=12)).parts) == 1
        for room in range(12):
            reading = read_every_way(wire, limits=Limits(header_bytes=room))
            assert reading.error == (
                413,
                f"a part has more bytes of headers than the limit of {room}",
            )

    def test_no_headers_at_all(self) -> None:
        wire = LINE + b"\r\n1" + CLOSE
        assert len(read_every_way(wire, limits=Limits(headers=0, header_bytes=0)).parts) == 1

    def test_a_header_line_that_does_not_end(self) -> None:
        decoder = Decoder(b"bnd", Limits(header_bytes=100))
        list(decoder.receive(LINE + b"x" * 100))
        with pytest.raises(MultipartError):
            list(decoder.receive(b"x"))

    def test_defaults(self) -> None:
        assert Limits() == Limits(parts=10_000, part_bytes=4 << 30, headers=16, header_bytes=8 << 10)


class TestAnyMessage:
    @thorough
    @given(messages(), st.data())
    def test_is_the_same_under_every_cut(self, message: Message, data: st.DataObject) -> None:
        whole = read([message.wire], message.boundary)
        assert whole.error is None
        assert whole.parts == message.parts
        check_offsets(message.wire, whole)
        assert read(bytewise(message.wire), message.boundary) == whole
        assert read(data.draw(cut(message.wire)), message.boundary) == whole

    @pytest.mark.wire("aftermath: the same however the bytes are cut")
    @settings(thorough, max_examples=300)
    @given(
        mutations(),
        st.builds(
            Limits,
            parts=st.integers(1, 5),
            part_bytes=st.integers(0, 40),
            headers=st.integers(0, 6),
            header_bytes=st.integers(0, 80),
        )
        | st.none(),
        st.data(),
    )
    def test_changed_is_the_same_under_every_cut(
        self, mutation: tuple[bytes, bytes], limits: Limits | None, data: st.DataObject
    ) -> None:
        boundary, wire = mutation
        whole = read([wire], boundary, limits)
        assert read(bytewise(wire), boundary, limits) == whole
        assert read(data.draw(cut(wire)), boundary, limits) == whole
        if whole.error is None:
            check_offsets(wire, whole)
        else:
            assert whole.error[0] in (400, 413, 415)

    @settings(thorough, max_examples=200)
    @given(
        st.lists(st.sampled_from([b"--b", b"--", b"-", CRLF, b"\r", b"\n", b" ", b"X:y", b"x"])).map(b"".join)
    )
    def test_any_bytes_are_a_message_or_the_documented_error(self, wire: bytes) -> None:
        reading = read_every_way(wire, b"b")
        if reading.error is None:
            check_offsets(wire, reading)
            assert reading.parts
        else:
            assert reading.error[0] in (400, 413, 415)


class Looked(bytes):
    """Bytes that count how many of them each operation looks at, at the most."""

    looks = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start, end)
        Looked.looks += (len(self) if found < 0 else found) - start
        return found

    def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().rfind(sub, start, end)
        Looked.looks += len(self) - max(start, found)
        return found

    def startswith(self, prefix: Any, start: Any = 0, end: Any = None) -> bool:
        Looked.looks += min(len(prefix), len(self) - start)
        return super().startswith(prefix, start, end)

    def __getitem__(self, index: Any) -> Any:
        taken = super().__getitem__(index)
        Looked.looks += len(taken) if isinstance(taken, bytes) else 1
        return taken


NEAR = [
    b"x",
    b"\r",
    CRLF,
    b"\r\n--",
    b"\r\n--bn",
    b"\r\n--bn\r",
    b"--bnd",
    b"\0",
    b"\r\n--bnd"[:-1] * 3 + b"x",
]


class TestCost:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 61, 4096, 1 << 20])
    @pytest.mark.parametrize("stuff", NEAR)
    def test_each_byte_of_a_body_is_looked_at_a_few_times(self, stuff: bytes, size: int) -> None:
        body = b"x" + stuff * (4096 // len(stuff))
        decoder = Decoder(b"bnd")
        list(decoder.receive(LINE + CRLF))
        Looked.looks = got = 0
        for start in range(0, len(body), size):
            for event in decoder.receive(Looked(body[start : start + size])):
                assert isinstance(event, PartData)
                got += len(event.data)
        assert len(body) - len(CLOSE) <= got <= len(body)
        assert len(body) <= Looked.looks <= 4 * len(body)

    @pytest.mark.parametrize("stuff", NEAR)
    def test_body_data_is_a_view_of_the_chunk(self, stuff: bytes) -> None:
        chunk = b"x" + stuff * 1000
        decoder = Decoder(b"bnd")
        list(decoder.receive(LINE + CRLF))
        [event] = decoder.receive(chunk)
        assert isinstance(event, PartData)
        assert event.data.obj is chunk

    def test_a_bytearray_can_be_used_again(self) -> None:
        wire = LINE + b"X-A: b\r\n\r\none\r\n--bn two" + CLOSE
        for size in range(1, len(wire) + 1):
            window = bytearray(size)
            bodies = b""
            decoder = Decoder(b"bnd")
            for start in range(0, len(wire), size):
                window[:] = wire[start : start + size]
                for event in decoder.receive(window):
                    if isinstance(event, PartData):
                        bodies += event.data
                        event.data.release()
            decoder.finish()
            assert bodies == b"one\r\n--bn two"

    @thorough
    @given(mutations(), st.data())
    def test_what_is_held_between_chunks_is_one_line(
        self, mutation: tuple[bytes, bytes], data: st.DataObject
    ) -> None:
        boundary, wire = mutation
        limits = Limits(header_bytes=60)
        decoder = Decoder(boundary, limits)
        try:
            for piece in data.draw(cut(wire)):
                list(decoder.receive(piece))
                assert len(decoder._pending) <= max(limits.header_bytes, len(boundary) + 4)
        except MultipartError:
            pass

    @pytest.mark.parametrize(
        ("before", "stuff", "after"),
        [
            pytest.param(b"", CRLF, b"", id="empty lines"),
            pytest.param(b"", CRLF, b"\r", id="empty lines and a CR"),
            pytest.param(b"--bnd", b" ", b"", id="blanks after a delimiter"),
            pytest.param(b"--bnd", b" ", b"\r", id="blanks and a CR after a delimiter"),
            pytest.param(LINE + CRLF, b"x", b"", id="body"),
            pytest.param(LINE + CRLF, CRLF, b"\r\n--bn", id="body and half a delimiter"),
            pytest.param(LINE + CRLF + b"\r\n--bnd", b"\t", b"\r", id="blanks and a CR after the next one"),
            pytest.param(LINE + b"\r\n\r\n--bnd--", b" \r\n", b"\r", id="after the close delimiter"),
        ],
    )
    def test_a_large_chunk_leaves_next_to_nothing_behind(
        self, before: bytes, stuff: bytes, after: bytes
    ) -> None:
        decoder = Decoder(b"bnd")
        list(decoder.receive(before + stuff * 50_000 + after))
        assert len(decoder._pending) <= len("\r\n--bnd--\r\n")

    def test_a_large_header_line_is_held_up_to_the_limit(self) -> None:
        decoder = Decoder(b"bnd", Limits(header_bytes=1000))
        list(decoder.receive(LINE + b"X: y\r\n" + b"x" * 994))
        assert len(decoder._pending) == 994
