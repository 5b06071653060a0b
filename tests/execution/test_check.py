"""From what a model returned to the bytes of the answer."""

import io
import itertools
import json
from collections import UserDict, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.check import prepare
from tests.harness.results import CONTRACT, described

AT_REST = replace(CONTRACT, at_rest=True)

"""More than is sent in one piece, and more than a block."""


NOT_OBJECTS: list[Any] = [
    [1, {"parts": "not at the top"}],
    [{}, []],
    "{}",
    3,
    0.5,
    True,
    None,
    [],
    b"{}",
    {1},
]


class TestObject:
    @pytest.mark.wire("refused: model returned what does not fit", "response: JSON is an object")
    @pytest.mark.parametrize("value", [*NOT_OBJECTS, object(), iter([{}]), np.zeros(3), UserDict()])
    def test_what_is_no_object_is_refused_with_what_to_write(self, value: Any) -> None:
        results: list[Any] = [value, (value, None), (value, [])]
        for result in results:
            with pytest.raises(InvalidModelOutput) as caught:
                prepare(result, CONTRACT)
            assert type(value).__name__.removesuffix("Type") in caught.value.reason
            assert 'return {"protocol_version": "1.0", "parts": [...]}, elements' in caught.value.reason

    def test_a_forgotten_return_is_asked_for(self) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepare(None, CONTRACT)
        assert "is a return missing?" in caught.value.reason


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
        assert len(prepare(result, CONTRACT).elements) == count

    def test_an_array_is_taken_along_its_first_axis(self) -> None:
        stack = np.arange(24, dtype=">i2").reshape(2, 3, 4)
        ready = prepare((described("mine", "mine"), stack), CONTRACT)
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
            pytest.param(([{"binary_type": "mine"}], [b"x"]), id="JSON that is a list"),
            pytest.param((described("mine"), itertools.repeat(b"x")), id="elements without end"),
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
            prepare(result, CONTRACT)
        assert caught.value.reason
        assert caught.value.reason not in caught.value.detail

    def test_an_error_of_lazy_elements_is_the_models_own(self) -> None:
        def lazy() -> Iterator[bytes]:
            yield b"x"
            raise KeyError("k")

        with pytest.raises(KeyError):
            prepare((described("mine"), lazy()), CONTRACT)

    def test_lazy_elements_may_fill_the_json(self) -> None:
        value = described("mine")

        def lazy() -> Iterator[bytes]:
            value["seen"] = 1
            yield b"x"

        assert json.loads(prepare((value, lazy()), CONTRACT).json)["seen"] == 1


PROTOCOLS = ["__array__", "__array_interface__", "__array_struct__", "__dlpack__"]


class Library:
    """An array as another library has it: no buffer, but iterable, and read by one of the protocols."""

    def __init__(self, array: Any, *protocols: str) -> None:
        self.array = array
        for protocol in protocols:
            setattr(self, protocol, getattr(array, protocol))

    def __iter__(self) -> Iterator[Any]:
        return (Library(row) if np.ndim(row) else float(row) for row in self.array)


class OnDevice(Library):
    """An array whose values are not to be had: on a GPU, with a gradient, in a type that NumPy has not."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("SECRET")


class TestElementsOfOtherLibraries:
    @pytest.mark.parametrize(
        "protocol", ["__array__", "__array_interface__", "__array_struct__", "__dlpack__"]
    )
    def test_elements_are_taken_along_the_first_axis(self, protocol: str) -> None:
        stack = np.arange(24, dtype="<i2").reshape(2, 3, 4)
        protocols = (protocol, "__dlpack_device__")
        result = (described("mine", "mine"), Library(stack, *protocols))
        sent = [b"".join(map(bytes, each.blocks())) for _, each in prepare(result, CONTRACT).elements]
        assert sent == [stack[0].tobytes(), stack[1].tobytes()]

    def test_one_array_too_many_is_told_how_to_be_one_element(self) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepare((described("mine"), np.zeros((2, 3))), CONTRACT)
        assert "[array]" in caught.value.reason

    def test_what_cannot_be_had_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(InvalidModelOutput) as caught:
            prepare((described("mine"), OnDevice(np.zeros((1, 3)))), CONTRACT)
        assert "OnDevice" in caught.value.reason
        assert ".cpu().numpy()" in caught.value.reason
        assert "SECRET" not in caught.value.reason


class TestAtRest:
    def test_what_is_still_to_be_made_is_read_to_its_end(self) -> None:
        class Reader:
            def read(self, size: int = -1) -> bytes:
                return source.read(size)

        source = io.BytesIO(b"from a reader")
        elements: list[Any] = [(half for half in (b"ab", b"cd")), [b"e", b"f"], Reader(), b"bytes"]
        given = (described(*["mine"] * 4), elements)
        found = prepare(given, AT_REST)
        assert not found.needs_model
        assert [each.size for _, each in found.elements] == [4, 2, 13, 5]
        sent = [b"".join(map(bytes, each.blocks())) for _, each in found.elements]
        assert sent == [b"abcd", b"ef", b"from a reader", b"bytes"]

    def test_what_fails_then_fails_the_result(self) -> None:
        def fails() -> Iterator[bytes]:
            yield b"first"
            raise KeyError("the model's own")

        with pytest.raises(KeyError):
            prepare((described("mine"), [fails()]), AT_REST)
