"""The model on a made study, as the gateway calls it: `pytest`."""

from model import Model


def test_what_is_dense_is_found(run_model, sample_study):
    (mask,) = run_model(Model, sample_study).elements
    assert mask.part["label"] == "dense"
    assert mask.array().shape == (1, 12, 64, 64)
    assert 0 < (mask.array() > 127).mean() < 0.5
