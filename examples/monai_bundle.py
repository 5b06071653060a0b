"""A MONAI bundle as it is downloaded: `BUNDLE=spleen_ct inference-gateway serve monai_bundle:Model`.

The network and the inferer are the bundle's own; what it does to the intensities before is yours to repeat in
`prepare`. Needs monai and torch.
"""

import os
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser

from inference_gateway.study import mask_part, read_study


def prepare(values):
    """Return values as the network was trained on: here soft tissue as 0.0 to 1.0."""
    return np.clip((values + 160) / 400, 0, 1).astype(np.float32)


class Model:
    def setup(self):
        folder = Path(os.environ["BUNDLE"])
        self.device = torch.device(os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
        parser = ConfigParser()
        parser.read_config(folder / "configs" / "inference.json")
        parser["bundle_root"], parser["device"] = str(folder), self.device
        self.network = parser.get_parsed_content("network_def").to(self.device).eval()
        weights = torch.load(folder / "models" / "model.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(weights)
        self.inferer = parser.get_parsed_content("inferer")

    def __call__(self, json_input, inputs, input_hash):
        volume = read_study(inputs).volume()
        voxels = torch.from_numpy(prepare(volume.values)).to(self.device)[None, None]
        with torch.inference_mode():
            labels = self.inferer(voxels, self.network)[0].argmax(0)
        mask = labels.to(torch.uint8).cpu().numpy()
        names = {str(number): f"class {number}" for number in range(1, int(mask.max()) + 1)}
        part = mask_part(volume, mask, binary_type="numeric_label_mask", label_map=names or {"1": "class 1"})
        return {"protocol_version": "1.0", "parts": [part]}, [mask]
