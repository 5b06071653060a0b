"""The root part's JSON."""

import json
import math
import sys
from typing import Any

import pytest

from inference_gateway.errors import InvalidRootPart
from inference_gateway.payload.root_part import parse_json

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
