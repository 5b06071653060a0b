"""What a request's Content-Type says."""

import encodings

import pytest

from inference_gateway.errors import InvalidContentType
from inference_gateway.intake.header import RequestType
from tests.harness.assembling import RELATED, assembled
from tests.harness.wire import message, part


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
