"""Where a volume changes most, as heat: `inference-gateway serve heatmap:model`."""

import numpy as np

from inference_gateway.study import mask_part, read_study

PALETTE = {
    "type": "anchorpoints",
    "data": [
        {"threshold": 0.0, "color": [0, 0, 0, 0]},
        {"threshold": 0.5, "color": [255, 140, 0, 120]},
        {"threshold": 1.0, "color": [255, 255, 255, 255]},
    ],
}


def attend(values):
    """Your model: return heat, 0.0 to 1.0, for each voxel."""
    steepness = np.hypot(*np.gradient(values, axis=(1, 2)))
    return steepness / max(float(steepness.max()), 1e-6)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume()
    heat = np.rint(attend(volume.values) * 255).astype(np.uint8)
    part = mask_part(volume, heat, binary_type="heatmap", label="change", palette="heat")
    return {"protocol_version": "1.0", "palettes": {"heat": PALETTE}, "parts": [part]}, [heat]
