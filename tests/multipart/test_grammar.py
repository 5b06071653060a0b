"""Header fields, media types, boundaries and filenames."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_gateway.errors import MultipartError
from inference_gateway.multipart import (
    Headers,
    MediaType,
    check_boundary,
    filename_of,
    parse_header_line,
    parse_media_type,
)
from inference_gateway.multipart.grammar import check_repeated
from tests.multipart.reading import BOUNDARY_CHARACTERS, TOKEN_CHARACTERS


class TestHeaders:
    headers = Headers([("X-B", "1"), ("Content-Type", "a/b"), ("x-b", "2"), ("X-A", "")])

    @pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
    def test_names_have_no_case(self, name: str) -> None:
        assert self.headers[name] == "a/b"
        assert self.headers.get(name) == "a/b"
        assert name in self.headers

    def test_what_is_not_there(self) -> None:
        assert "X-C" not in self.headers
        assert self.headers.get("X-C") is None
        with pytest.raises(KeyError):
            self.headers["X-C"]
        assert object() not in self.headers

    def test_a_repeated_field_reads_as_its_values_joined(self) -> None:
        assert self.headers["X-B"] == "1, 2"
        assert self.headers.fields == (("X-B", "1"), ("Content-Type", "a/b"), ("x-b", "2"), ("X-A", ""))

    def test_names_come_once_in_the_order_of_arrival(self) -> None:
        assert [name.lower() for name in self.headers] == ["x-b", "content-type", "x-a"]
        assert len(self.headers) == 3
        assert dict(self.headers.items()) == {name: self.headers[name] for name in self.headers}

    def test_equality_is_that_of_the_fields(self) -> None:
        assert Headers([("A", "1")]) == Headers([("A", "1")])
        assert hash(Headers([("A", "1")])) == hash(Headers([("A", "1")]))
        assert Headers([("A", "1")]) != Headers([("A", "2")])
        assert Headers([("A", "1")]) != {"A": "1"}
        assert Headers() == Headers([])

    def test_shows_no_value(self) -> None:
        assert repr(Headers([("Content-Disposition", 'form-data; filename="Mr X"')])) == "<Headers: 1 fields>"


class TestHeaderLine:
    @pytest.mark.parametrize(
        ("line", "field"),
        [
            (b"X-A: b", ("X-A", "b")),
            (b"X-A:b", ("X-A", "b")),
            (b"X-A:", ("X-A", "")),
            (b"X-A: \t ", ("X-A", "")),
            (b"X-A: \t b\tc d \t ", ("X-A", "b\tc d")),
            (b"X-A: b: c", ("X-A", "b: c")),
            (b"x: \xc3\x84\xe6\x97\xa5", ("x", "Ä日")),
            (TOKEN_CHARACTERS.encode() + b": b", (TOKEN_CHARACTERS, "b")),
            # Neither printable nor a control character: a no-break space and a format character.
            ("X: a\xa0b\u200bc".encode(), ("X", "a\xa0b\u200bc")),
        ],
    )
    def test_is_read(self, line: bytes, field: tuple[str, str]) -> None:
        assert parse_header_line(line) == field

    @pytest.mark.wire(
        "refused: header without colon",
        "refused: header name empty or no token",
        "refused: folded line",
        "refused: header value not UTF-8",
        "refused: control character in a header value",
    )
    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            (b" X-A: b", "folded"),
            (b"\tb", "folded"),
            (b"garbage", "colon"),
            (b'{"k"', "colon"),
            (b": b", "name"),
            (b"X-A : b", "name"),
            (b"X A: b", "name"),
            (b"X-\xc3\x84: b", "name"),
            (b"X-\xff: b", "name"),
            (b"X\0: b", "name"),
            (b"X-A\n: b", "name"),
            (b"(X): b", "name"),
            (b"X-A: caf\xe9", "UTF-8"),
            (b"X-A: \xc3", "UTF-8"),
            (b"X-A: \xed\xa0\x80", "UTF-8"),
            *[
                (b"X-A: a" + bytes([code]) + b"b", "control")
                for code in range(0x20)
                if bytes([code]) != b"\t"
            ],
            (b"X-A: a\x7fb", "control"),
            ("X-A: a\x85b".encode(), "control"),
            (b"X-A: \0", "control"),
        ],
    )
    def test_is_refused(self, line: bytes, sentence: str) -> None:
        with pytest.raises(MultipartError, match=sentence):
            parse_header_line(line)

    @given(st.binary(max_size=40))
    def test_any_bytes_are_a_field_or_the_documented_error(self, line: bytes) -> None:
        try:
            name, value = parse_header_line(line)
        except MultipartError:
            return
        assert set(name) <= set(TOKEN_CHARACTERS)
        assert name
        assert line.startswith(name.encode() + b":")
        assert value.strip(" \t") == value
        assert line.endswith(value.encode() + line[len(line.rstrip(b" \t")) :])


FIELDS = [
    "Content-Type",
    "Content-Disposition",
    "Content-ID",
    "Content-Length",
    "Content-Transfer-Encoding",
    "Content-Encoding",
    "Content-Description",
    "Content-Location",
    "MIME-Version",
]
PARAMETERS = ["boundary", "start", "charset", "type", "start-info"]
OTHER_FIELDS = ["SECRET", "X-SECRET", "Content-SECRET", "SECRET-Content-Type", "Content-Type-SECRET", ""]
MALFORMED_LINES: list[bytes] = [
    b"%s",
    b"%s : x",
    b"%s x: y",
    b"%s:\0",
    b"%s: \x85\xff",
    b"%s: a\x7f",
    b"%s x",
]


class TestNamesInErrors:
    """A name of the standards is said; any other name that came is not."""

    def detail(self, line: bytes, *before: tuple[str, str]) -> str:
        with pytest.raises(MultipartError) as caught:
            parse_header_line(line, before)
        assert "SECRET" not in caught.value.detail
        return caught.value.detail

    @pytest.mark.parametrize("change", [str, str.lower, str.upper])
    @pytest.mark.parametrize("name", FIELDS)
    def test_of_fields(self, name: str, change: Callable[[str], str]) -> None:
        for line in MALFORMED_LINES:
            assert f"the {name} header" in self.detail(line.replace(b"%s", change(name).encode()))
        assert f"the {name} header" in self.detail(b" SECRET", ("SECRET", ""), (change(name), "SECRET"))

    @pytest.mark.parametrize("name", OTHER_FIELDS)
    def test_of_other_fields(self, name: str) -> None:
        for line in MALFORMED_LINES:
            assert self.detail(line.replace(b"%s", name.encode())).startswith("a part header ")
        assert self.detail(b" SECRET", (name, "SECRET")).startswith("a part header ")
        assert self.detail(b" SECRET").startswith("a part header ")

    MALFORMED_PARAMETERS = (
        *("%s", "%s=", '%s=""', "%s =x", "%s= x", '%s="x', '%s="x"y', "%s=x y", "%s=\xe9", "%s=x\0"),
        *("%s=x; %s=y", "a=b; %s", "%s=x; a=b; %s=x", " \t%s", "%s SECRET", "%s\t;a=b"),
    )

    @pytest.mark.parametrize("change", [str, str.upper])
    @pytest.mark.parametrize("name", PARAMETERS)
    def test_of_parameters(self, name: str, change: Callable[[str], str]) -> None:
        for text in self.MALFORMED_PARAMETERS:
            with pytest.raises(MultipartError) as caught:
                parse_media_type("a/b; " + text.replace("%s", change(name)))
            assert f"the {name} parameter" in caught.value.detail
            assert "SECRET" not in caught.value.detail

    @pytest.mark.parametrize("name", ["SECRET", "x-boundary", "boundaries", "boundary.SECRET"])
    def test_of_other_parameters(self, name: str) -> None:
        for text in self.MALFORMED_PARAMETERS:
            with pytest.raises(MultipartError) as caught:
                parse_media_type("a/b; " + text.replace("%s", name))
            assert caught.value.detail.startswith("a parameter ")
            assert name not in caught.value.detail

    @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=30))
    def test_nothing_that_came_is_repeated(self, text: str) -> None:
        details = set()
        for line in (text, f"{text} : x", f"{text}: \0", f"{text}: \xff", f" {text}"):
            try:
                parse_header_line(line.encode("latin-1"), [(text, text)])
            except MultipartError as error:
                details.add(
                    re.sub(f"the ({'|'.join(FIELDS)}) header of a part", "a part header", error.detail)
                )
        for value in (f"a/b; {text}", f"a/b; {text}; {text}", f"a/b; {text}=", f"a/b; x={text}"):
            try:
                parse_media_type(value)
            except MultipartError as error:
                details.add(re.sub(f"the ({'|'.join(PARAMETERS)}) parameter", "a parameter", error.detail))
        assert details <= {
            "a part header is folded: send each header on one line",
            "a part header has no colon, or the empty line after the headers is missing",
            "a part header has an empty or malformed name",
            "a part header has a value that is not UTF-8",
            "a part header has a control character in its value",
            'a parameter is malformed, write name=value or name="value"',
            "a parameter is not accepted in its extended form (name*)",
            "a parameter is given twice",
            "a parameter has no value",
        }


class TestRepeatedFields:
    @pytest.mark.wire("refused: repeated part header")
    @pytest.mark.parametrize(
        "name",
        ["Content-Type", "Content-Disposition", "Content-ID", "Content-Length", "Content-Transfer-Encoding"],
    )
    def test_the_five_are_refused(self, name: str) -> None:
        check_repeated(Headers([(name, "1"), ("X-A", "2")]))
        with pytest.raises(MultipartError, match=f"its {name} header, which may occur only once"):
            check_repeated(Headers([(name, "1"), ("X-A", "2"), (name.lower(), "1")]))

    def test_others_are_not(self) -> None:
        check_repeated(Headers([("X-A", "1"), ("x-a", "2"), ("Content-Description", "3")] * 2))


class TestMediaType:
    @pytest.mark.wire(
        "request: media type without regard to case",
        "request: parameters quoted or not",
        "request: parameters in any order",
        "request: backslash pair undone",
    )
    @pytest.mark.parametrize(
        ("text", "essence", "parameters"),
        [
            ("a/b", "a/b", {}),
            (" \tA/B\t ", "a/b", {}),
            ("a/b;", "a/b", {}),
            ("a/b;;  ; x=y;;", "a/b", {"x": "y"}),
            ("a/b; x=y", "a/b", {"x": "y"}),
            ("a/b \t; \tX=Y \t;  z=W\t", "a/b", {"x": "Y", "z": "W"}),
            ('a/b; x="y"; z=w', "a/b", {"x": "y", "z": "w"}),
            ("a/b; z=w; x=y", "a/b", {"z": "w", "x": "y"}),
            ('a/b; x="y; z=evil"; z=w', "a/b", {"x": "y; z=evil", "z": "w"}),
            (r'a/b; x="\y\"\\\;"', "a/b", {"x": 'y"\\;'}),
            ('a/b; x=" y\tz "', "a/b", {"x": " y\tz "}),
            ("a/b; x=c/d; y=e=f:g,h(i)@[j]?<k>", "a/b", {"x": "c/d", "y": "e=f:g,h(i)@[j]?<k>"}),
            ("a/b; x='y'", "a/b", {"x": "'y'"}),
            ('a/b; x="\xe9"', "a/b", {"x": "\xe9"}),
            ("a/b; type*=UTF-8''x", "a/b", {"type*": "UTF-8''x"}),
            ("", "", {}),
            (";x=y", "", {"x": "y"}),
        ],
    )
    def test_is_read(self, text: str, essence: str, parameters: dict[str, str]) -> None:
        assert parse_media_type(text) == MediaType(essence, parameters)

    @pytest.mark.wire(
        "refused: parameter twice",
        "refused: parameter without a name or a value",
        "refused: blanks around the = of a parameter",
        "refused: unterminated quotes or text after them",
        "refused: boundary*",
    )
    @pytest.mark.parametrize(
        ("parameters", "sentence"),
        [
            ("x=y; x=y", "twice"),
            ("x=y; X=z", "twice"),
            ("x", "malformed"),
            ("x; y=z", "malformed"),
            ("=y", "malformed"),
            ("x=", "malformed"),
            ("x=;y=z", "malformed"),
            ('x=""', "no value"),
            ("x =y", "malformed"),
            ("x= y", "malformed"),
            ("x\t=y", "malformed"),
            ("x=y z", "malformed"),
            ("x=y z=w", "malformed"),
            ('x="y', "malformed"),
            ('x="y\\"', "malformed"),
            ('x="y"z', "malformed"),
            ('x="y" z', "malformed"),
            ('x=y"z"', "malformed"),
            ('x="y\0"', "malformed"),
            ('x="y\x7f"', "malformed"),
            ('x="\\\x01"', "malformed"),
            ("x=\xe9", "malformed"),
            ("\xe9=x", "malformed"),
            ("x y=z", "malformed"),
            ("boundary*=UTF-8''b", "extended"),
            ("boundary*0=b", "extended"),
            ("BOUNDARY*=UTF-8''b", "extended"),
            ("charset*=UTF-8''b", "extended"),
            ("start*=UTF-8''b", "extended"),
        ],
    )
    def test_is_refused(self, parameters: str, sentence: str) -> None:
        with pytest.raises(MultipartError, match=sentence):
            parse_media_type(f"a/b; {parameters}")

    @given(st.text(st.characters(max_codepoint=0xFF), max_size=40).map("a/b;".__add__))
    def test_any_text_is_a_media_type_or_the_documented_error(self, text: str) -> None:
        try:
            media_type = parse_media_type(text)
        except MultipartError:
            return
        assert all(media_type.parameters)
        assert all(media_type.parameters.values())

    @given(
        st.dictionaries(
            st.text(string.ascii_lowercase, min_size=1, max_size=5),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12),
            max_size=4,
        )
    )
    def test_quoted_values_come_back(self, parameters: dict[str, str]) -> None:
        quoted = (
            f'; {name}="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for name, value in parameters.items()
        )
        assert parse_media_type("a/b" + "".join(quoted)).parameters == parameters


class TestBoundary:
    @pytest.mark.wire(
        "tolerated: boundary of 1 to 200 characters", "tolerated: every boundary character of RFC 2046"
    )
    @pytest.mark.parametrize("length", [1, 70, 73, 200])
    def test_of_1_to_200_characters(self, length: int) -> None:
        assert check_boundary("b" * length) == b"b" * length

    def test_every_character_anywhere(self) -> None:
        for character in BOUNDARY_CHARACTERS:
            assert check_boundary(character) == character.encode()
            assert check_boundary(f"a{character}b") == f"a{character}b".encode()
        assert check_boundary(" b") == b" b"

    @pytest.mark.wire(
        "refused: boundary empty",
        "refused: boundary over 200 characters",
        "refused: boundary character outside RFC 2046",
        "refused: boundary that ends in a space",
    )
    @pytest.mark.parametrize("boundary", ["", "b" * 201, "b ", " ", "b\n", "é", "b\0", "b\tc", "\uff42"])
    def test_is_refused(self, boundary: str) -> None:
        with pytest.raises(MultipartError, match="boundary"):
            check_boundary(boundary)

    def test_no_other_character(self) -> None:
        others = set(map(chr, range(256))) - set(BOUNDARY_CHARACTERS) - {" "}
        for character in others:
            with pytest.raises(MultipartError):
                check_boundary(f"a{character}b")


class TestFilename:
    @pytest.mark.wire("request: input metadata", "request: names are metadata, never paths")
    @pytest.mark.parametrize(
        ("disposition", "filename"),
        [
            ('form-data; name="a"; filename="x.dcm"', "x.dcm"),
            ("form-data; name=a; filename=x.dcm", "x.dcm"),
            ("form-data; filename = x.dcm ; name=a", "x.dcm"),
            ('attachment;FILENAME="x.dcm"', "x.dcm"),
            ('filename="x.dcm"', "x.dcm"),
            ('form-data; filename="a b;c=d.dcm"', "a b;c=d.dcm"),
            (r'form-data; filename="a\"b.dcm"', 'a"b.dcm'),
            ('form-data; filename="ä日.dcm"', "ä日.dcm"),
            ('form-data; filename="one"; filename="two"', "one"),
            # The last component only, of either system's paths.
            ('form-data; filename="../../../tmp/x.dcm"', "x.dcm"),
            ('form-data; filename="/etc/passwd"', "passwd"),
            (r'form-data; filename="C:\study\x.dcm"', "x.dcm"),
            (r'form-data; filename="C:\\study\\x.dcm"', "x.dcm"),
            ("form-data; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
            # RFC 5987 goes before the plain one, in either order.
            ("attachment; filename*=UTF-8''x%C3%A4.dcm", "xä.dcm"),
            ("attachment; filename=plain; filename*=utf-8'en'x%20y", "x y"),
            ("attachment; filename*=iso-8859-1''caf%e9; filename=plain", "café"),
            ("attachment; filename*=UTF-8''%FF.dcm", "\ufffd.dcm"),
            ("attachment; filename*=klingon''x; filename=plain", "plain"),
            ("attachment; filename*=x; filename=plain", "plain"),
            # What is no name.
            (None, None),
            ("", None),
            ("form-data", None),
            ('form-data; name="filename"', None),
            ('form-data; filename=""', None),
            ("form-data; filename=", None),
            ('form-data; filename="."', None),
            ('form-data; filename=".."', None),
            ('form-data; filename="../.."', None),
            ('form-data; filename=" "', None),
            ('form-data; filename="folder/"', None),
            ("form-data; filename*=UTF-8''a%00b", None),
            ("form-data; filename*=UTF-8''a%0Ab", None),
            ('form-data; filename="a\tb"', None),
            (';;==";', None),
            ('form-data; notfilename="x"', None),
        ],
    )
    def test_is_the_last_component_or_none(self, disposition: str | None, filename: str | None) -> None:
        fields = [] if disposition is None else [("Content-Disposition", disposition)]
        assert filename_of(Headers(fields)) == filename

    @pytest.mark.parametrize(
        "disposition",
        [
            'form-data; name="a; filename=evil"; filename="x.dcm"',
            r'form-data; name="a\"; filename=evil"; filename="x.dcm"',
        ],
    )
    def test_a_quoted_value_has_no_parameters(self, disposition: str) -> None:
        assert filename_of(Headers([("Content-Disposition", disposition)])) == "x.dcm"

    @pytest.mark.wire("tolerated: any Content-Disposition")
    @given(
        st.lists(
            st.sampled_from(
                ["form-data", ";", " ", "filename", "*", "=", '"', "\\", "/", "..", "UTF-8''", "%"]
            )
            | st.text(max_size=4)
        ).map("".join)
    )
    def test_no_value_makes_it_fail(self, disposition: str) -> None:
        name = filename_of(Headers([("Content-Disposition", disposition)]))
        assert name is None or (name.isprintable() and not set(name) & set("/\\") and name not in (".", ".."))
