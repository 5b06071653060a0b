"""The bundle on a made study, as the gateway calls it: `pytest`."""

import pytest
from model import BUNDLE, Model

pytestmark = pytest.mark.skipif(not BUNDLE.is_dir(), reason="put a MONAI bundle into the folder 'bundle'")


def test_each_voxel_has_a_class(run_model, sample_study):
    (mask,) = run_model(Model, sample_study).elements
    assert mask.array().shape == (1, 12, 64, 64)
    assert mask.array().max() <= len(mask.part["label_map"])
