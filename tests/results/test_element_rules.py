"""What is looked at of an element, whatever kind it is."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.execution.check import Contract, prepare
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.payload.element import IterableElement, element_of
from inference_gateway.results.element_rules import head_of, stretches_of, values_of

DATA = bytes(range(200)) * 50


@pytest.fixture(params=["array", "strided", "bytes", "file", "path"])
def element(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    (tmp_path / "file").write_bytes(DATA)
    file = io.BytesIO(DATA)
    file.seek(77)
    values: dict[str, Any] = {
        "array": np.frombuffer(DATA, np.uint8).reshape(100, 100),
        "strided": np.frombuffer(DATA, np.uint8).reshape(100, 100).T.copy().T,
        "bytes": DATA,
        "file": file,
        "path": tmp_path / "file",
    }
    return element_of(values[request.param], tmp_path)


def test_all_of_a_small_element_is_looked_at(element: Any) -> None:
    assert values_of(stretches_of(element, len(DATA))) == frozenset(range(200))


@pytest.mark.parametrize("most", [64, 640, 6400])
def test_of_a_large_one_not_more_than_that(element: Any, most: int) -> None:
    looked = [len(block) for block in stretches_of(element, most)]
    assert 0 < sum(looked) <= most


def test_its_bytes_are_as_before(element: Any) -> None:
    list(stretches_of(element, 100))
    head = head_of(element)
    assert head is None or head(150) == DATA[:150]
    assert b"".join(map(bytes, element.blocks())) == DATA


def test_what_is_made_as_it_is_sent_is_not_looked_at(spool_dir: Path) -> None:
    streamed = IterableElement([DATA])
    streamed.begin()
    assert head_of(streamed) is None
    assert list(stretches_of(streamed, 99)) == []
    answer = {"protocol_version": "1.0", "parts": [{"binary_type": "dicom"}]}
    assert prepare((answer, [iter([DATA])]), Contract(BINARY_TYPES, spool_dir, "strict")).faults == 0


def test_many_values_and_none() -> None:
    assert values_of([]) == values_of([b""]) == frozenset()
    assert values_of([bytes(range(256)), b"\x00"]) == frozenset(range(256))


def test_a_mask_that_is_made_as_it_is_sent_has_the_size_of_its_shape(spool_dir: Path) -> None:
    """Its length goes out with it, and another one cuts the answer: nobody else would see it."""

    def made() -> Iterator[bytes]:
        yield b"1" * 6

    part = {
        "binary_type": "heatmap",
        "SeriesInstanceUID": "1",
        "binary_data_shape": {"height": 2, "width": 3},
    }
    answer = {"protocol_version": "1.0", "parts": [part]}
    for mode, size in (("warn", 6), ("off", None)):
        response = prepare((answer, [made()]), Contract(BINARY_TYPES, spool_dir, mode))  # type: ignore[arg-type]
        assert response.elements[0][1].size == size
