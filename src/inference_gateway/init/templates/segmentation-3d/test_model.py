"""The model on a made study, as the gateway calls it: `pytest`."""

import numpy as np
import pytest
from model import model, segment

from inference_gateway.study import StudyError, read_study


def test_the_lungs_are_found(run_model, sample_study):
    result = run_model(model, sample_study)
    (mask,) = result.elements
    assert mask.part["label"] == "lung"
    expected = segment(read_study(sorted(sample_study.iterdir())).volume().values)
    assert expected.any()
    assert np.array_equal(mask.array()[0] > 0, expected)


def test_what_is_no_ct_is_refused(run_model):
    with pytest.raises(StudyError, match="no CT images"):
        run_model(model, b"a note")
