"""What the model is called with: the request's Content-Type, its JSON, its parts as files."""

import array
import encodings
import gzip
import hashlib
import io
import json
import math
import random
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from PIL import Image

from inference_gateway import Part, Settings
from inference_gateway.errors import (
    InsufficientStorage,
    InvalidContentType,
    InvalidRootPart,
    LimitExceeded,
    MalformedMultipart,
    RequestError,
    UnsupportedEncoding,
)
from inference_gateway.request import InferenceRequest, RequestAssembler, RequestType, parse_json
from inference_gateway.spool import Spool, SpoolBudget
from tests.harness.wire import digest, message, part
from tests.multipart.reading import bytewise, cut, two_way_cuts

TEMP = Path(tempfile.gettempdir())
RELATED = "multipart/related; boundary=bnd"
ROOT = b'{"k": 1}'

in_both = pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])


def assembler(
    content_type: str = RELATED, *, in_file: bool = False, budget: SpoolBudget | None = None, **options: Any
) -> RequestAssembler:
    spool = Spool(TEMP, 0 if in_file else 64 << 20, budget)
    return RequestAssembler(RequestType.parse([content_type]), spool, Settings(**options))


@contextmanager
def assembled(wire: bytes, content_type: str = RELATED, **options: Any) -> Iterator[InferenceRequest]:
    """The request that a body makes, until the end of the block."""
    whole = assembler(content_type, **options)
    try:
        yield whole.finish(wire)
    finally:
        whole.spool.release()


@contextmanager
def opened(body: bytes, *headers: bytes, in_file: bool = False) -> Iterator[Part]:
    """A part with this body."""
    with assembled(message(part(ROOT), part(body, *headers), part(b"after")), in_file=in_file) as request:
        yield request.inputs[0]


class TestContentType:
    @pytest.mark.wire(
        "request: media type without regard to case",
        "request: parameters quoted or not",
        "request: parameters in any order",
        "request: backslash pair undone",
        "request: type not needed",
        "tolerated: boundary quoted or not",
    )
    @pytest.mark.parametrize(
        ("value", "boundary", "charset", "start"),
        [
            ("multipart/related; boundary=bnd", b"bnd", "utf-8", None),
            ("multipart/related;boundary=bnd", b"bnd", "utf-8", None),
            ("MULTIPART/Related; BOUNDARY=bnd", b"bnd", "utf-8", None),
            (" multipart/related \t; \tboundary=bnd \t;  charset=utf-8\t", b"bnd", "utf-8", None),
            ("multipart/related; boundary=bnd;", b"bnd", "utf-8", None),
            ('multipart/related; boundary="bnd"', b"bnd", "utf-8", None),
            ('multipart/related; boundary="two words"', b"two words", "utf-8", None),
            (r'multipart/related; boundary="b\n\d"', b"bnd", "utf-8", None),
            ("multipart/related; boundary='bnd'", b"'bnd'", "utf-8", None),
            ("multipart/related; boundary=a=z", b"a=z", "utf-8", None),
            ("multipart/related; boundary=a:b/c?", b"a:b/c?", "utf-8", None),
            ("multipart/related; boundary=--", b"--", "utf-8", None),
            (f"multipart/related; boundary={'b' * 200}", b"b" * 200, "utf-8", None),
            ('multipart/related; type="x; boundary=evil"; boundary=bnd', b"bnd", "utf-8", None),
            ("multipart/related; type=application/dicom; boundary=bnd", b"bnd", "utf-8", None),
            ('multipart/related; charset=latin-1; start="<a@b>"; boundary=bnd', b"bnd", "iso8859-1", "<a@b>"),
            ("multipart/related; boundary=bnd; start=a", b"bnd", "utf-8", "a"),
            (r'multipart/related; boundary=bnd; start="<\"a\\>"', b"bnd", "utf-8", '<"a\\>'),
            ('multipart/related; boundary=bnd; start-info="x"; q=1', b"bnd", "utf-8", None),
        ],
    )
    def test_is_read(self, value: str, boundary: bytes, charset: str, start: str | None) -> None:
        assert RequestType.parse([value]) == RequestType(boundary, charset, start)

    @pytest.mark.wire(
        "refused: no Content-Type",
        "refused: two Content-Types",
        "refused: another media type",
        "refused: multipart/related-more",
        "refused: boundary absent",
        "refused: boundary empty",
        "refused: boundary over 200 characters",
        "refused: boundary character outside RFC 2046",
        "refused: boundary that ends in a space",
        "refused: parameter twice",
        "refused: parameter without a name or a value",
        "refused: blanks around the = of a parameter",
        "refused: unterminated quotes or text after them",
        "refused: boundary*",
        "refused: start empty or naming no part",
    )
    @pytest.mark.parametrize(
        "values",
        [
            [],
            [""],
            [RELATED, RELATED],
            ["multipart/form-data; boundary=SECRET"],
            ["multipart/mixed; boundary=bnd"],
            ["multipart/related-more; boundary=bnd"],
            ["multipart/relate; boundary=bnd"],
            ["multipart/; boundary=bnd"],
            ["multipart; boundary=bnd"],
            ["multipart/related boundary=bnd"],
            ["multipart/related, boundary=bnd"],
            ["multipart/related x; boundary=bnd"],
            ["multipart /related; boundary=bnd"],
            ["application/SECRET"],
            ["text/plain; boundary=bnd"],
            ["; boundary=bnd"],
            ["multipart/related"],
            ["multipart/related;"],
            ["multipart/related; charset=utf-8"],
            ["multipart/related; boundary"],
            ["multipart/related; boundary="],
            ['multipart/related; boundary=""'],
            [f"multipart/related; boundary={'b' * 201}"],
            ["multipart/related; boundary=SECRET*"],
            ['multipart/related; boundary="bnd "'],
            ['multipart/related; boundary="b\tnd"'],
            ["multipart/related; boundary=bnd; boundary=bnd"],
            ["multipart/related; boundary=bnd; BOUNDARY=SECRET"],
            ["multipart/related; boundary=bnd; x=1; X=2"],
            ["multipart/related; boundary=bnd; =SECRET"],
            ["multipart/related; boundary =bnd"],
            ["multipart/related; boundary= bnd"],
            ['multipart/related; boundary="bnd'],
            ['multipart/related; boundary="bnd"SECRET'],
            ["multipart/related; boundary*=UTF-8''bnd"],
            ["multipart/related; boundary=bnd; boundary*=UTF-8''bnd"],
            ["multipart/related; boundary*0=b; boundary*1=nd"],
            ["multipart/related; boundary=bnd; start="],
            ['multipart/related; boundary=bnd; start=""'],
            ["multipart/related; boundary=bnd; charset="],
            ['multipart/related; boundary=bnd; charset=""'],
            ["multipart/related; boundary=bnd; charset=SECRET"],
        ],
    )
    def test_is_refused_and_not_repeated(self, values: list[str]) -> None:
        with pytest.raises(InvalidContentType) as caught:
            RequestType.parse(values)
        assert caught.value.detail.startswith("invalid content-type")
        assert "SECRET" not in caught.value.detail


class TestCharset:
    @pytest.mark.wire("request: charset decodes the JSON")
    @pytest.mark.parametrize(
        ("name", "charset"),
        [
            *[(name, "utf-8") for name in ("utf-8", "UTF-8", "utf8", "U8", '"utf-8"')],
            *[(name, "ascii") for name in ("ascii", "us-ascii", "ANSI_X3.4-1968")],
            *[(name, "iso8859-1") for name in ("latin-1", "ISO-8859-1", "iso_8859-1:1987", "l1")],
            ("windows-1252", "cp1252"),
            ("utf-16", "utf-16"),
            ("UTF-16LE", "utf-16-le"),
            ("utf-32", "utf-32"),
            ("Shift_JIS", "shift_jis"),
            ("gb18030", "gb18030"),
            ("koi8-r", "koi8-r"),
        ],
    )
    def test_known(self, name: str, charset: str) -> None:
        assert RequestType.parse([f"{RELATED}; charset={name}"]).charset == charset

    @pytest.mark.wire("refused: charset empty or unknown", "refused: charset that is a codec and no charset")
    @pytest.mark.parametrize(
        "name",
        [
            *["klingon", "-", "_", "utf-9", "utf-8.", ".utf-8", "../utf-8", "encodings.utf-8", "x" * 1000],
            *["hex", "rot13", "rot_13", "base64", "zlib", "zip", "bz2", "uu", "quopri", "quoted-printable"],
            *["idna", "punycode", "unicode_escape", "unicode-escape", "raw-unicode-escape", "undefined"],
            *["mbcs", "oem", "aliases", "charmap", "string-escape", "unicode_internal", "__init__"],
        ],
    )
    def test_unknown_or_no_charset(self, name: str) -> None:
        with pytest.raises(InvalidContentType, match="charset is unknown"):
            RequestType.parse([f'{RELATED}; charset="{name}"'])

    def test_names_that_nobody_knows_are_not_remembered(self) -> None:
        names = [f"klingon-{number}" for number in range(100)]
        before = len(encodings._cache)  # where Python remembers them
        for name in names:
            with pytest.raises(InvalidContentType):
                RequestType.parse([f"{RELATED}; charset={name}"])
        assert len(encodings._cache) == before

    @pytest.mark.parametrize("charset", ["utf-8", "latin-1", "utf-16", "utf-16-be", "utf-32", "cp1252"])
    def test_decodes_the_json(self, charset: str) -> None:
        wire = message(part('{"k": "café"}'.encode(charset)))
        with assembled(wire, f"{RELATED}; charset={charset}") as request:
            assert request.json_input == {"k": "café"}

    def test_of_the_root_part_does_not_count(self) -> None:
        wire = message(part('{"k": "é"}'.encode(), b"Content-Type: application/json; charset=latin-1"))
        with assembled(wire) as request:
            assert request.json_input == {"k": "é"}


NESTED = 500


class TestJson:
    @pytest.mark.wire("tolerated: NaN, Infinity and repeated keys")
    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b'{"k": 1}', {"k": 1}),
            (b' \r\n\t{"k": 1}\r\n ', {"k": 1}),
            (b"3", 3),
            (b"null", None),
            (b'"\xc3\xa9\xf0\x9f\xa7\xa0"', "é🧠"),
            (b'"\\u00e9\\ud83e\\udde0"', "é🧠"),
            (b'{"k": 1, "k": 2}', {"k": 2}),
            (b"[Infinity, -Infinity, 1e999]", [math.inf, -math.inf, math.inf]),
            (b"[" + b"7" * 4000 + b"]", [int("7" * 4000)]),
            (b"[1, [2, {}]]", [1, [2, {}]]),
            (b'{"a": {}, "b": [[], {}]}', {"a": {}, "b": [[], {}]}),
        ],
    )
    def test_is_read_as_python_does(self, data: bytes, value: Any) -> None:
        assert parse_json(data, "utf-8") == value == json.loads(data)

    def test_not_a_number(self) -> None:
        assert math.isnan(parse_json(b"NaN", "utf-8"))

    @pytest.mark.wire(
        "refused: root not JSON in the charset", "refused: byte order mark", "refused: integer too long"
    )
    @pytest.mark.parametrize(
        ("data", "charset"),
        [
            (b"", "utf-8"),
            (b" ", "utf-8"),
            (b'{"k": ', "utf-8"),
            (b"{} {}", "utf-8"),
            (b"{} x", "utf-8"),
            (b"{'k': 1}", "utf-8"),
            (b'{"k": 1,}', "utf-8"),
            (b'{"k": 01}', "utf-8"),
            (b"SECRET", "utf-8"),
            (b'{"k": "a\tb"}', "utf-8"),
            (b'{"k": "\xff"}', "utf-8"),
            (b'{"k": "caf\xe9"}', "utf-8"),
            (b'{"k": "caf\xc3\xa9"}', "ascii"),
            (b"{}", "utf-16"),
            (b"{}\0", "utf-8"),
            ('{"k": 1}'.encode("utf-16"), "utf-8"),
            (b"\xef\xbb\xbf{}", "utf-8"),
            ("\ufeff{}".encode("utf-16-le"), "utf-16-le"),
            (b"\0" * 128 + b"DICM", "utf-8"),
            (b"[" + b"7" * 10_000 + b"]", "utf-8"),
        ],
    )
    def test_is_refused(self, data: bytes, charset: str) -> None:
        with pytest.raises(InvalidRootPart) as caught:
            parse_json(data, charset)
        assert "SECRET" not in caught.value.detail
        assert caught.value.__cause__ is None

    @pytest.mark.wire("refused: JSON nested too deep")
    @pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"k": ', b"}"), (b'[1, {"k": ', b"}, 2]")])
    def test_nesting(self, left: bytes, right: bytes) -> None:
        levels = left.count(b"[") + left.count(b"{")
        times = NESTED // levels
        inside = b"[]" if levels == 1 else b"[{}]"
        fits = left * (times - 1) + inside + right * (times - 1)
        assert parse_json(fits, "utf-8") == json.loads(fits)
        with pytest.raises(InvalidRootPart, match="deep"):
            parse_json(left * times + inside + right * times, "utf-8")

    def test_nesting_does_not_count_brackets_side_by_side(self) -> None:
        data = b"[" + b",".join([b"[{}]"] * 1000) + b"]"
        assert parse_json(data, "utf-8") == json.loads(data)
        in_text = json.dumps("[" * 1000).encode()
        assert parse_json(in_text, "utf-8") == "[" * 1000

    @pytest.mark.parametrize("depth", [1000, 100_000])
    @pytest.mark.parametrize("left", [b"[", b'{"k":'])
    def test_nesting_far_beyond(self, left: bytes, depth: int) -> None:
        right = b"]" if left == b"[" else b"}"
        with pytest.raises(InvalidRootPart):
            parse_json(left * depth + b"1" + right * depth, "utf-8")

    def test_nesting_that_is_allowed_fits_deep_in_the_stack(self) -> None:
        """The verdict does not depend on how deep the caller happens to be."""

        def deeper(levels: int) -> Any:
            return deeper(levels - 1) if levels else parse_json(b"[" * NESTED + b"]" * NESTED, "utf-8")

        assert deeper(sys.getrecursionlimit() // 4) == json.loads("[" * NESTED + "]" * NESTED)


LINES = random.Random(2)
TEXT = b"".join(
    LINES.randbytes(size).replace(b"\n", b" ") + b"\n" for size in (0, 1, 50, 8191, 8192, 8193, 20_000)
)
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

    sizes = st.none() | st.integers(-2, 30) | st.sampled_from([8191, 8192, 8193, 16_384, 200_000])

    @initialize(body=st.sampled_from(BODIES) | st.binary(max_size=50), in_file=st.booleans())
    def open(self, body: bytes, in_file: bool) -> None:
        self.context = opened(body, in_file=in_file)
        self.part = self.context.__enter__()
        self.model = io.BytesIO(body)

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

    @rule()
    def questions(self) -> None:
        self.same(lambda file: (file.readable(), file.seekable(), file.isatty(), file.closed))

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)


PartBesideBytesIO.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=25)
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
            together.wait(10)
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


def outcome(pieces: list[bytes], content_type: str = RELATED, **options: Any) -> Any:
    """All that a body comes to: what the model would get, or the error's class and sentence."""
    one = assembler(content_type, **options)
    try:
        for piece in pieces[:-1]:
            one.feed(bytearray(piece))
        request = one.finish(pieces[-1])
        parts = [(each.headers.fields, each.read()) for each in request.inputs]
        return request.json_input, parts, request.input_hash
    except RequestError as error:
        return type(error), error.detail
    finally:
        one.spool.release()


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

    @settings(deadline=None, max_examples=60)
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
        one.feed(wire[:100])
        with pytest.raises(InsufficientStorage):
            one.feed(wire[100:])
        one.spool.release()
        assert one.spool.closed
        assert budget.used == 0

    @pytest.mark.parametrize("wire", [message(part(b"{")), message(part(ROOT))[:-3], b"x"])
    def test_an_error_leaves_the_spool_to_its_holder(self, wire: bytes) -> None:
        one = assembler(in_file=True)
        with pytest.raises(RequestError):
            one.finish(wire)
        assert not one.spool.closed
        one.spool.release()
        assert one.spool.closed

    def test_a_closed_spool_is_an_error(self) -> None:
        one = assembler()
        one.spool.release()
        with pytest.raises(ValueError, match="closed"):
            one.finish(message(part(ROOT)))

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
        request = one.finish(wire[last:])
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
