"""A mask of what is denser than soft tissue, not than bone: `inference-gateway serve lesion_3d:model`."""

import numpy as np

from inference_gateway.study import mask_part, read_study


def segment(values):
    """Your model: return a probability, 0.0 to 1.0, for each voxel of (depth, rows, columns)."""
    return np.clip(1 - abs(values - 170) / 80, 0, 1)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume("CT")
    mask = np.rint(segment(volume.values) * 255).astype(np.uint8)
    part = mask_part(volume, mask, label="lesion", probability_threshold=0.5)
    return {"protocol_version": "1.0", "parts": [part]}, [mask]
