"""A long loop that ends when nobody waits for it any more: `inference-gateway serve cancellation:model`.

A thread cannot be killed: without this a model goes on for a client that has left, and the next one waits.
A process can (`--isolation process`, docs/isolation.md).
"""

import numpy as np

from inference_gateway import current_request
from inference_gateway.study import mask_part, read_study


def segment(plane):
    """Your model, one plane at a time."""
    return (plane > 100).astype(np.uint8) * 255


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume()
    request = current_request()
    mask = np.zeros(volume.shape, np.uint8)
    for at, plane in enumerate(volume.values):
        request.raise_if_cancelled()  # the client has left, or the time is up
        mask[at] = segment(plane)
    return {"protocol_version": "1.0", "parts": [mask_part(volume, mask, label="dense")]}, [mask]
