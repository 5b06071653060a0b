"""One image → its decoded frames, and arrays to make images of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.data import get_testdata_file

from inference_gateway.dicom.pixels import (
    Pixels,
    read_frames,
)
from inference_gateway.dicom.series import Source, read_study
from tests.dicom.objects import as_file


def pixels_of(source: Dataset | Source) -> list[Pixels]:
    study = read_study([as_file(source) if isinstance(source, Dataset) else source])
    ((stack,),) = (series.stacks for series in study.series)
    return list(read_frames(stack.frames))


def pixels(source: Dataset | Source) -> Pixels:
    (only,) = pixels_of(source)
    return only


def array(*rows: list[int], dtype: Any = np.int16) -> NDArray[Any]:
    return np.array(rows, dtype=dtype)


def real(name: str) -> str:
    return str(get_testdata_file(name, download=False))
