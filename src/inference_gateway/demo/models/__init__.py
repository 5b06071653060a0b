"""The embedded models by name. Each is a callback `model(json_input, inputs, input_hash)`.

They take DICOM images, in any order and of any number of series, and skip what is none; without images they
answer with no parts. What they left out of a study, and why, is in `dicomConformance` of the answer.
"""

from __future__ import annotations

from inference_gateway.demo.models.answer import Model
from inference_gateway.demo.models.bounding_box import bounding_box
from inference_gateway.demo.models.classification import classification
from inference_gateway.demo.models.secondary_capture import secondary_capture
from inference_gateway.demo.models.segmentation_2d import segmentation_2d
from inference_gateway.demo.models.segmentation_3d import segmentation_3d

MODELS: dict[str, Model] = {
    "segmentation-2d": segmentation_2d,
    "segmentation-3d": segmentation_3d,
    "bounding-box": bounding_box,
    "classification": classification,
    "secondary-capture": secondary_capture,
}


def get_model(name: str) -> Model:
    """Return the embedded model `name`. Raises `LookupError`, which lists the names, where there is none."""
    if name not in MODELS:
        raise LookupError(f"there is no demo model {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]
