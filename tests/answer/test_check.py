"""From what a model returned to the bytes of the answer."""

import datetime
import decimal
import io
import json
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.answer.check import prepare
from inference_gateway.errors import InvalidModelOutput
from tests.harness.results import TEMP, TYPES, described

"""More than is sent in one piece, and more than a block."""


class TestJson:
    @pytest.mark.wire("response: JSON as json.dumps writes it", "response: only json returned")
    @pytest.mark.parametrize(
        "value",
        [
            {"b": 1, "a": [1, 2.5, None, True, {"é": "\ud800\U0001f9e0\n\x7f"}]},
            {"float": [0.1, 1e300, 1e-7, float("nan"), float("inf"), -0.0], "int": 10**30},
            {1: 2, None: 3, 1.5: 5},
            {True: 4, False: 5},
            OrderedDict(b=1, a=2),
            {"tuple": (1, 2)},
            [1, {"parts": "not at the top"}],
            "text",
            3,
            None,
            {},
            [],
        ],
    )
    def test_as_json_dumps_writes_it(self, value: Any) -> None:
        results: list[Any] = [value, (value, None), (value, [])]
        for result in results:
            assert prepare(result, TYPES, TEMP).json == json.dumps(value).encode()

    @pytest.mark.wire("response: NumPy values in the JSON")
    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (np.int64(3), 3),
            (np.uint8(255), 255),
            (np.float64(0.1), 0.1),
            (np.float32(0.5), 0.5),
            (np.float16(0.5), 0.5),
            (np.bool_(True), True),
            (np.str_("x"), "x"),
            (np.array(7), 7),
            (np.array([[1, 2], [3, 4]], order="F"), [[1, 2], [3, 4]]),
            (np.array([True, False]), [True, False]),
            (np.array([0.5, np.nan]), [0.5, float("nan")]),
            (np.array([], np.int8), []),
            (np.array(["a", "b"]), ["a", "b"]),
            (np.array([1, "a", None], object), [1, "a", None]),
            (np.arange(4, dtype=">i2")[::-2], [3, 1]),
        ],
    )
    def test_numpy_values_are_numbers_and_lists(self, value: Any, plain: Any) -> None:
        ready = prepare({"k": value, "l": [value]}, TYPES, TEMP)
        assert ready.json == json.dumps({"k": plain, "l": [plain]}).encode()

    @pytest.mark.wire("refused: model returned what does not fit")
    @pytest.mark.parametrize(
        "value",
        [
            {"k": b"SECRET"},
            {"k": {1, 2}},
            {"k": object()},
            {"k": datetime.datetime(2020, 1, 1)},
            {"k": decimal.Decimal(1)},
            {"k": 1j},
            {"k": np.complex64(1j)},
            {"k": np.datetime64("2020-01-01")},
            {"k": np.array([b"x"])},
            {("a", "b"): 1},
            {"k": Path("SECRET")},
            b"SECRET",
            object(),
        ],
    )
    def test_what_json_cannot_hold_is_refused(self, value: Any) -> None:
        with pytest.raises(InvalidModelOutput, match="log") as caught:
            prepare(value, TYPES, TEMP)
        assert "SECRET" not in caught.value.reason + caught.value.detail

    def test_a_circle_or_too_deep_a_nesting_is_refused(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for value in (circle, deep):
            with pytest.raises(InvalidModelOutput):
                prepare(value, TYPES, TEMP)
        while deep:  # taken apart level by level: freeing it at once would overflow the stack
            deep = deep[0]


class TestResult:
    @pytest.mark.wire("response: parts absent", "response: elements any iterable or None")
    @pytest.mark.parametrize(
        ("result", "count"),
        [
            (({"k": 1}, []), 0),
            (({"k": 1}, None), 0),
            (({"k": 1}, ()), 0),
            (({"parts": []}, iter([])), 0),
            ({"parts": []}, 0),
            ((described("dicom", "mine"), [b"1", b"2"]), 2),
            ((described("dicom", "mine"), (b"1", b"2")), 2),
            ((described("dicom", "mine"), iter([b"1", b"2"])), 2),
            ((described("dicom", "mine"), (each for each in [b"1", b"2"])), 2),
            ((described("dicom", "mine"), deque([b"1", b"2"])), 2),
            ((described("dicom", "mine"), {1: b"1", 2: b"2"}.values()), 2),
            ((described("dicom", "mine"), np.zeros((2, 3, 4))), 2),
            ((described("dicom", "mine"), np.zeros(2)), 2),
            (({"parts": ({"binary_type": "mine"},)}, [b"1"]), 1),
        ],
    )
    def test_json_and_any_iterable_of_elements(self, result: Any, count: int) -> None:
        assert len(prepare(result, TYPES, TEMP).elements) == count

    def test_an_array_is_taken_along_its_first_axis(self) -> None:
        stack = np.arange(24, dtype=">i2").reshape(2, 3, 4)
        ready = prepare((described("mine", "mine"), stack), TYPES, TEMP)
        sent = [b"".join(map(bytes, element.blocks())) for _, element in ready.elements]
        assert sent == [stack[0].tobytes(), stack[1].tobytes()]

    @pytest.mark.wire(
        "response: one element for each entry of parts",
        "response: binary_type missing or unknown",
        "refused: model returned what does not fit",
    )
    @pytest.mark.parametrize(
        "result",
        [
            pytest.param((described("mine"), []), id="fewer"),
            pytest.param((described("mine"), None), id="none"),
            pytest.param(described("mine"), id="only json"),
            pytest.param((described(), [b"x"]), id="more, empty parts"),
            pytest.param(({}, [b"x"]), id="more, parts absent"),
            pytest.param((described("mine"), [b"x", b"y"]), id="more"),
            pytest.param(("json", [b"x"]), id="elements, and JSON without parts"),
            pytest.param(([{"binary_type": "mine"}], [b"x"]), id="JSON that is a list"),
            pytest.param(({"parts": [{}]}, [b"x"]), id="binary_type missing"),
            pytest.param(({"parts": [{"binary_type": None}]}, [b"x"]), id="binary_type None"),
            pytest.param(({"parts": [{"binary_type": "Mine"}]}, [b"x"]), id="binary_type in other case"),
            pytest.param(({"parts": [{"binary_type": "other"}]}, [b"x"]), id="binary_type unknown"),
            pytest.param(({"parts": [{"binary_type": ["mine"]}]}, [b"x"]), id="binary_type a list"),
            pytest.param(({"parts": ["mine"]}, [b"x"]), id="entry a text"),
            pytest.param(({"parts": [None]}, [b"x"]), id="entry None"),
            pytest.param(({"parts": {"binary_type": "mine"}}, [b"x"]), id="parts a dict"),
            pytest.param(({"parts": "m"}, [b"x"]), id="parts a text"),
            pytest.param(({"parts": 1}, None), id="parts a number"),
            pytest.param((described("mine"), b"x"), id="elements bytes"),
            pytest.param((described("mine"), "x"), id="elements a text"),
            pytest.param((described("mine"), bytearray(b"x")), id="elements a bytearray"),
            pytest.param((described("mine"), memoryview(b"x")), id="elements a memoryview"),
            pytest.param((described("mine"), {"x": b"x"}), id="elements a dict"),
            pytest.param((described("mine"), UserDict(x=b"x")), id="elements a mapping"),
            pytest.param((described("mine"), io.BytesIO(b"x")), id="elements a file"),
            pytest.param((described("mine"), 1), id="elements a number"),
            pytest.param((described("mine"), np.float64(1)), id="elements a scalar"),
            pytest.param((described("mine"), np.array(1)), id="elements a 0-d array"),
            pytest.param((described("mine"), object()), id="elements an object"),
            pytest.param((described("mine"), [b"x"], "more"), id="tuple of three"),
            pytest.param((described("mine"),), id="tuple of one"),
            pytest.param((), id="empty tuple"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, result: Any) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepare(result, TYPES, TEMP)
        assert caught.value.reason
        assert caught.value.reason not in caught.value.detail

    def test_an_error_of_lazy_elements_is_the_models_own(self) -> None:
        def lazy() -> Iterator[bytes]:
            yield b"x"
            raise KeyError("k")

        with pytest.raises(KeyError):
            prepare((described("mine"), lazy()), TYPES, TEMP)

    def test_lazy_elements_may_fill_the_json(self) -> None:
        value = described("mine")

        def lazy() -> Iterator[bytes]:
            value["seen"] = 1
            yield b"x"

        assert json.loads(prepare((value, lazy()), TYPES, TEMP).json)["seen"] == 1
