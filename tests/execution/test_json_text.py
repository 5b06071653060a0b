"""The JSON of an answer: what `json.dumps` writes, what scientific code adds, what cannot be written."""

import datetime
import decimal
import enum
import json
import uuid
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, IS, DSdecimal, DSfloat, PersonName

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.json_text import json_text


class Colour(enum.Enum):
    RED = "red"
    SIZE = np.int64(3)


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


def text_of(value: dict[Any, Any]) -> str:
    text, not_finite = json_text(value)
    assert not not_finite
    return text


def reason_of(value: dict[Any, Any]) -> str:
    with pytest.raises(InvalidModelOutput, match="log") as caught:
        json_text(value)
    return caught.value.reason


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
KEYS = st.text() | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner, inner),
    max_leaves=8,
)


class TestPlain:
    @pytest.mark.wire("response: JSON as json.dumps writes it", "response: only json returned")
    @given(st.dictionaries(KEYS, VALUES))
    def test_is_what_json_dumps_writes(self, value: dict[Any, Any]) -> None:
        assert text_of(value) == json.dumps(value)

    @given(st.dictionaries(st.text(), VALUES))
    def test_so_it_is_beside_a_key_of_numpy(self, value: dict[Any, Any]) -> None:
        odd: dict[Any, Any] = {**value, np.int64(-7): "odd"}
        assert text_of(odd) == json.dumps({**value, -7: "odd"})

    @pytest.mark.parametrize(
        "value",
        [
            {"b": 1, "a": [1, 2.5, None, True, {"é": "\ud800\U0001f9e0\n\x7f"}]},
            {"float": [0.1, 1e300, 1e-7, -0.0], "int": 10**30},
            {1: 2, None: 3, 1.5: 5, "1": 4},
            {True: 4, False: 5},
            OrderedDict(b=1, a=2),
            {"tuple": (1, 2)},
            {},
        ],
    )
    def test_examples(self, value: dict[Any, Any]) -> None:
        assert text_of(value) == json.dumps(value)


@pytest.mark.wire("response: dates, enums, pydicom's values and keys of NumPy in the JSON")
class TestScientific:
    @pytest.mark.wire("response: NumPy values in the JSON")
    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (np.int64(3), 3),
            (np.uint8(255), 255),
            (np.float64(0.1), 0.1),
            (np.float32(0.5), 0.5),
            (np.float16(0.5), 0.5),
            (np.longdouble(0.5), 0.5),
            (np.bool_(True), True),
            (np.str_("x"), "x"),
            (np.array(7), 7),
            (np.array([[1, 2], [3, 4]], order="F"), [[1, 2], [3, 4]]),
            (np.array([True, False]), [True, False]),
            (np.array([0.5], np.longdouble), [0.5]),
            (np.array([], np.int8), []),
            (np.array(["a", "b"]), ["a", "b"]),
            (np.array([1, "a", None], object), [1, "a", None]),
            (np.arange(4, dtype=">i2")[::-2], [3, 1]),
            (np.datetime64("2020-01-31"), "2020-01-31"),
            (np.array(["2020-01-31T10"], "M8[ns]"), ["2020-01-31T10:00:00.000000000"]),
            (datetime.date(2020, 1, 31), "2020-01-31"),
            (datetime.datetime(2020, 1, 31, 10, tzinfo=datetime.UTC), "2020-01-31T10:00:00+00:00"),
            (datetime.time(10, 30), "10:30:00"),
            (decimal.Decimal("1.5"), 1.5),
            (Colour.RED, "red"),
            (Colour.SIZE, 3),
            (Number.ONE, 1),
            (Word.A, "a"),
            (DSfloat("1.50"), 1.5),
            (DSdecimal("1.50"), 1.5),
            (IS("7"), 7),
            (pydicom.uid.UID("1.2.3"), "1.2.3"),
            (PersonName("A^B"), "A^B"),
            (DA("20200131"), "2020-01-31"),
            (MultiValue(DSfloat, ["1", "2.5"]), [1.0, 2.5]),
            (MultiValue(DSdecimal, ["1", "2.5"]), [1.0, 2.5]),
            (MultiValue(IS, ["1", "2"]), [1, 2]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_values_are_written_as_one_expects(self, value: Any, plain: Any) -> None:
        expected = json.dumps({"k": plain, "l": [plain]})
        assert text_of({"k": value, "l": [value]}) == expected
        # The same where something else in it has to be walked to.
        assert text_of({"k": value, "l": [value], np.int8(1): 0}) == expected[:-1] + ', "1": 0}'

    @pytest.mark.parametrize(
        ("key", "plain"),
        [
            (np.int64(3), 3),
            (np.float32(0.5), 0.5),
            (np.bool_(True), True),
            (np.str_("x"), "x"),
            (datetime.date(2020, 1, 31), "2020-01-31"),
            (Colour.RED, "red"),
            (Colour.SIZE, 3),
            (Number.ONE, 1),
            (IS("7"), 7),
            (pydicom.uid.UID("1.2.3"), "1.2.3"),
            (PersonName("A^B"), "A^B"),
            (decimal.Decimal("1.5"), 1.5),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_keys_too(self, key: Any, plain: Any) -> None:
        assert text_of({"a": {key: 1}}) == json.dumps({"a": {plain: 1}})

    def test_an_array_of_another_library(self) -> None:
        class Tensor:
            __dlpack__ = np.arange(3).__dlpack__
            __dlpack_device__ = np.arange(3).__dlpack_device__

        assert text_of({"k": Tensor()}) == '{"k": [0, 1, 2]}'

    def test_keys_that_become_the_same_are_refused(self) -> None:
        value = {"a": {datetime.date(2020, 1, 31): 1, "2020-01-31": 2}}
        assert "a has the same key twice" in reason_of(value)


class NoValues:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("SECRET")


@pytest.mark.wire("refused: model returned what does not fit")
class TestRefused:
    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (b"SECRET", "bytes"),
            ({1, 2}, "set"),
            (object(), "object"),
            (1j, "complex"),
            (np.complex64(1j), "complex64"),
            (np.clongdouble(1j), "clongdouble"),
            (np.timedelta64(1, "ns"), "timedelta64"),
            (datetime.timedelta(1), "timedelta"),
            (np.array([b"x"]), "bytes"),
            (Path("SECRET"), "PosixPath"),
            (uuid.UUID(int=1), "UUID"),
            (deque([1]), "deque"),
            (pydicom.Dataset(), "Dataset"),
            (NoValues(), "NoValues"),
            (10**5000, "an integer of over 4300"),
            (decimal.Decimal("sNaN"), "Decimal"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_the_log_says_where_and_what(self, value: Any, kind: str) -> None:
        reason = reason_of({"parts": [{"ok": 1}, {"spacing": value, "SECRET": 1}]})
        assert f"parts[1].spacing{'[0]' if isinstance(value, np.ndarray) else ''}: {kind} " in reason
        assert "SECRET" not in reason

    @pytest.mark.parametrize(
        "key", [("a", "b"), b"SECRET", object(), frozenset(), 1j, np.datetime64("NaT", "s")]
    )
    def test_keys(self, key: Any) -> None:
        if isinstance(key, np.datetime64):
            assert text_of({"a": {key: 1}}) == '{"a": {"NaT": 1}}'
        else:
            reason = reason_of({"a": {"b": {key: 2.0}}})
            assert f"a.b has a key of type {type(key).__name__}" in reason
            assert "SECRET" not in reason
            assert f"its outermost object has a key of type {type(key).__name__}" in reason_of({key: 1})

    @pytest.mark.parametrize("key", ["MÜLLER", "Doe^John", "1.2.840.1", "a b", "x" * 41, 5, ""])
    def test_a_key_that_may_be_data_is_not_shown(self, key: Any) -> None:
        assert "a.*[0]: bytes " in reason_of({"a": {key: [b""]}})

    def test_a_circle_or_too_deep_a_nesting(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for value in (circle, deep):
            assert "nested too deep" in reason_of({"k": value})
        while deep:  # taken apart level by level: freeing it at once would overflow the stack
            deep = deep[0]


@pytest.mark.wire("response: NaN in the JSON")
class TestNotFinite:
    @pytest.mark.parametrize(
        "number", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), DSfloat("nan")]
    )
    def test_becomes_null_and_its_path_is_told(self, number: Any) -> None:
        value = {"score": 1.0, "parts": [{"score": number}, {"scores": [2, number]}]}
        text, not_finite = json_text(value)
        assert text == json.dumps({"score": 1.0, "parts": [{"score": None}, {"scores": [2, None]}]})
        assert not_finite == ["parts[0].score", "parts[1].scores[1]"]

    def test_in_an_array(self) -> None:
        text, not_finite = json_text({"a": np.array([[0.5, np.nan]])})
        assert (text, not_finite) == ('{"a": [[0.5, null]]}', ["a[0][1]"])
