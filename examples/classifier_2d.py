"""A label for each series, by its images one by one: `inference-gateway serve classifier_2d:model`."""

from inference_gateway.study import read_study


def classify(values):
    """Your model: return how sure it is, 0.0 to 1.0, that a plane of (rows, columns) shows bone."""
    return float((values > 300).mean())


def model(json_input, inputs, input_hash):
    labels = {}
    for series in read_study(inputs).series:
        scores = [classify(image.values()) for image in series.images]
        labels[series.series_instance_uid] = {"bone": max(scores), "images": len(scores)}
    return {"protocol_version": "1.0", "series_ml_json": labels}
