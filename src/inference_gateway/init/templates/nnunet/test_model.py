"""The nnU-Net on a made study, as the gateway calls it: `pytest`."""

import pytest
from model import TRAINED, Model

pytestmark = pytest.mark.skipif(not TRAINED.is_dir(), reason="put a trained nnU-Net into the folder 'nnunet'")


def test_each_voxel_has_a_class(run_model, sample_study):
    (mask,) = run_model(Model, sample_study).elements
    assert mask.array().shape == (1, 12, 64, 64)
    assert {*map(int, set(mask.array().flat))} <= {0, *map(int, mask.part["label_map"])}
