"""What a caller does with an element."""

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from inference_gateway.client.result import InferenceResult, ResultElement
from inference_gateway.client.temporary import TemporarySpool
from inference_gateway.payload.part import Part
from tests.dicom.objects import as_file, image

PIXELS = np.arange(120, dtype=np.uint8)


def element(part: Mapping[str, Any], body: bytes, content_type: str = "application/binary") -> ResultElement:
    spool = TemporarySpool()
    header = f"Content-Type: {content_type}\r\n\r\n".encode()
    spool.append(header + body)
    return ResultElement(part, Part(spool, 0, len(header), spool.size))


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        ({"width": 5, "height": 24}, (24, 5)),
        ({"height": 3, "width": 8, "depth": 5}, (5, 3, 8)),
        ({"width": 5, "timepoints": 2, "height": 4, "depth": 3}, (2, 3, 4, 5)),
        ({"width": 120, "more": "of it"}, (120,)),
    ],
)
def test_the_order_of_axes_is_the_contracts(told: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Whatever the order of the keys."""
    array = element({"binary_data_shape": told}, PIXELS.tobytes()).array()
    assert (array.shape, array.dtype) == (shape, np.dtype(np.uint8))
    np.testing.assert_array_equal(array, PIXELS.reshape(shape))
    array[...] = 0  # the caller's own


@pytest.mark.parametrize("dtype", ["<i2", ">f4", np.float64, bool])
def test_another_dtype_must_be_given(dtype: Any) -> None:
    values = np.array([[0, 1], [1, 0], [1, 1]], dtype)
    one = element({"binary_data_shape": {"width": 2, "height": 3}}, values.tobytes())
    array = one.array(dtype)
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)
    if values.itemsize > 1:
        with pytest.raises(ValueError, match="give the dtype"):
            one.array()


@pytest.mark.parametrize(
    "part",
    [
        {},
        *({"binary_data_shape": told} for told in (None, {}, [120], "120", {"rows": 120})),
        *({"binary_data_shape": {"width": width}} for width in ("120", 120.0, -120, None, [120])),
        {"binary_data_shape": {"width": 120, "height": 2}},
        {"binary_data_shape": {"width": -1, "height": -120}},
    ],
)
def test_a_shape_that_is_none(part: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="binary_data_shape"):
        element(part, PIXELS.tobytes()).array()


def test_an_empty_array() -> None:
    shape = {"width": 0, "height": 3}
    assert element({"binary_data_shape": shape}, b"").array().shape == (3, 0)


def test_a_large_array_is_mapped_and_outlives_the_result() -> None:
    pixels = np.arange(9 << 20, dtype=np.uint8)
    one = element({"binary_data_shape": {"width": 1 << 20, "height": 9}}, pixels.tobytes())
    array = one.array()
    result = InferenceResult({}, [one], "", "", {}, one._body._spool)  # type: ignore[arg-type]  # it is one
    with result:
        pass
    np.testing.assert_array_equal(array.reshape(-1), pixels)
    with pytest.raises(ValueError, match="closed"):
        one.read()


def test_a_dicom_object() -> None:
    dataset = image(np.arange(6, dtype=np.int16).reshape(2, 3))
    one = element({"binary_type": "dicom"}, as_file(dataset).read(), "application/dicom")
    assert one.content_type == "application/dicom"
    for _ in range(2):
        np.testing.assert_array_equal(one.dataset().pixel_array, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(InvalidDicomError):
        element({}, b"no DICOM").dataset()


def test_a_dicom_object_without_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'dicom-inference-gateway\[dicom\]'"):
        element({}, b"").dataset()


def test_saving(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    one = element({}, data)
    for path in (tmp_path / "a", str(tmp_path / "b"), tmp_path / "a"):
        one.save(path)
        assert Path(path).read_bytes() == data == one.read()
    assert one.size == len(data)


def test_an_element_without_a_media_type() -> None:
    spool = TemporarySpool()
    spool.append(b"\r\nbody")
    assert ResultElement({}, Part(spool, 0, 2, 6)).content_type == ""


def test_what_it_shows_has_nothing_of_the_patient() -> None:
    dataset = image(np.zeros((2, 3), np.int16), PatientName="Doe^John")
    one = element({"label": "Doe"}, as_file(dataset).read())
    result = InferenceResult({"label": "Doe"}, [one], "in", "out", {"model": 1.0}, TemporarySpool())
    assert "Doe" not in repr(one) + repr(result)
    assert "'model': 1.0" in repr(result)
    assert pydicom.dcmread(io.BytesIO(one.read())).PatientName == "Doe^John"
    assert json.dumps(one.part)
