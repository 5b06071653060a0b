"""The model on a made study, as the gateway calls it: `pytest`."""

from model import model


def test_each_image_has_its_box(run_model, sample_study):
    boxes = run_model(model, sample_study).json["bounding_boxes_2d"]
    assert len({box["SOPInstanceUID"] for box in boxes}) == 12
    for box in boxes:
        (left, top), (right, bottom) = box["top_left"], box["bottom_right"]
        assert 0 <= left <= right < 64
        assert 0 <= top <= bottom < 64
