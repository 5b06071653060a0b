"""A model that says who it is and what it may do; it is copied into an image, and answers a study."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

_PLACES = ("/", "/app", "/opt/venv", "/usr/share/sbom", "/tmp")
_STATUS = ("NoNewPrivs", "CapEff", "CapBnd")


def model(json_input: Any, inputs: Any, input_hash: str) -> Any:
    """Answer with a mask of the first image, its size, and what this process is."""
    pixels = pydicom.dcmread(io.BytesIO(inputs[0].read())).pixel_array
    status = dict(
        line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
    )
    rows, columns = pixels.shape
    part = {
        "label": "bright",
        "binary_type": "probability_mask",
        "binary_data_shape": {"timepoints": 1, "depth": 1, "width": columns, "height": rows},
    }
    told = {
        "images": len(inputs),
        "user": [os.getuid(), os.getgid()],
        "writable": [place for place in _PLACES if os.access(place, os.W_OK)],
        **{name: status[name] for name in _STATUS},
    }
    mask = np.where(pixels > pixels.mean(), 255, 0).astype(np.uint8)
    return {"protocol_version": "1.0", "parts": [part], "told": told}, [mask]
