"""Files with and without preamble are read from paths and from memory."""

import io

import numpy as np
import pytest

from inference_gateway.dicom.pixels import (
    modality_values,
    read_frames,
)
from inference_gateway.dicom.series import read_study
from tests.dicom.objects import image


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble_is_read(implicit: bool) -> None:
    dataset = image(np.arange(6, dtype=np.int16).reshape(2, 3))
    file = io.BytesIO()
    del dataset.file_meta
    dataset.save_as(file, implicit_vr=implicit, little_endian=True)
    study = read_study([io.BytesIO(file.getvalue())])
    assert not study.skipped
    (pixels,) = read_frames(study.series[0].stacks[0].frames)
    assert modality_values(pixels).tolist() == [[0, 1, 2], [3, 4, 5]]
