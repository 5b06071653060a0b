"""The model on a made study, as the gateway calls it: `pytest`."""

from model import model


def test_bone_is_found(run_model, sample_study):
    (labels,) = run_model(model, sample_study).json["series_ml_json"].values()
    assert labels["images"] == 12
    assert 0 < labels["bone"] < 0.5


def test_where_no_image_is_there_is_no_label(run_model):
    assert not run_model(model, b"a note").json.get("series_ml_json")
