"""All rules for an answer, in one go: what the gateway asks before it sends.

Runs where the model runs, after it has returned. Costs some ten microseconds for an answer of JSON only, and
for one with masks the headers of the images that it names and a look at its values, whatever its size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from inference_gateway.payload.contract import DICOM_TYPES, MASK_TYPES
from inference_gateway.payload.element import Element, IterableElement
from inference_gateway.results.element_rules import (
    LOOK,
    dicom_faults,
    head_of,
    order_fault,
    size_fault,
    value_fault,
)
from inference_gateway.results.faults import Fault, shape_text
from inference_gateway.results.headers import Head
from inference_gateway.results.json_rules import read_answer
from inference_gateway.results.study_rules import Study, axes_of, faults_of

_NOT_FINITE = "NaN or Infinity came, null is sent"


def faults_in(
    text: bytes,
    values: Sequence[Any],
    elements: Sequence[Element],
    heads: Sequence[Head],
    nulls: Sequence[str] = (),
    look: int = LOOK,
) -> list[Fault]:
    """Return what is wrong with an answer.

    `text`: its JSON, an object. `values`: its elements as the model returned them, `elements` what is sent of
    them. `heads`: of the request's inputs. `nulls`: paths where null stands for NaN. `look`: bytes of masks
    whose values are looked at. Blocks: it may read files.
    """
    answer, faults = read_answer(text)
    if nulls:
        faults = _of_nulls(nulls, faults)
    if answer is not None and not (
        answer.parts or answer.bounding_boxes_2d or answer.linear_measurements_2d or answer.series_ml_json
    ):
        return faults
    document = json.loads(text)
    if not isinstance(document.get("parts", []), list):
        document["parts"] = []
    of_elements = list(_of_elements(document, values, elements, look // max(1, len(elements))))
    # Of a mask whose size and shape disagree nobody knows which of them is wrong.
    unknown = {
        fault.path.replace("element ", "parts[") + "].binary_data_shape"
        for fault in of_elements
        if fault.refused
    }
    of_study = [fault for fault in faults_of(document, Study(heads)) if fault.path not in unknown]
    return faults + of_elements + of_study


def _of_nulls(nulls: Sequence[str], faults: list[Fault]) -> list[Fault]:
    """Return faults, and one of the nulls that stand for NaN; where null is no good that is told of it."""
    told = [fault._replace(came=_NOT_FINITE) if fault.path in nulls else fault for fault in faults]
    if told == faults:
        more = f" and {len(nulls) - 1} more places" if len(nulls) > 1 else ""
        told.append(Fault("findings", f"{nulls[0]}{more}", _NOT_FINITE, "null or a number"))
    return told


def _of_elements(
    document: Any, values: Sequence[Any], elements: Sequence[Element], look: int
) -> Iterator[Fault]:
    for index, (part, value, element) in enumerate(
        zip(document.get("parts", []), values, elements, strict=False)
    ):
        kind = part.get("binary_type")
        head = head_of(element) if kind in DICOM_TYPES else None
        if head is not None:
            yield from dicom_faults(index, part, head, element.size or 0)
        if kind not in MASK_TYPES:
            continue
        fault = size_fault(index, part, element.size, _told_as(value))
        if fault is None:
            _expect(element, part)
            fault = order_fault(index, part, value)
            if axes_of(part) is not None:
                wrong = value_fault(index, part, element, look)
                if wrong is not None:
                    yield wrong
        if fault is not None:
            yield fault


def _expect(element: Element, part: Any) -> None:
    """Have a mask that is made as it is sent come to the size of its shape, or the answer is cut."""
    shape = axes_of(part)
    if isinstance(element, IterableElement) and element.size is None and shape is not None:
        element.size = prod(shape)


def _told_as(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{value.dtype} of {shape_text(shape)}" if isinstance(value, np.ndarray) and shape else ""
