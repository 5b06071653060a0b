"""A MONAI bundle: `inference-gateway serve --dev model:Model`, with the bundle in the folder `bundle`.

`python -m monai.bundle download spleen_ct_segmentation --bundle_dir .`, for example, and give the folder that
it makes this name. The network and the inferer are the bundle's own; what it does to the intensities before
is yours to repeat in `prepare`.
"""

import os
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser

from inference_gateway.results import Answer
from inference_gateway.study import read_study

BUNDLE = Path(__file__).with_name("bundle")


def prepare(values):
    """Return values as the network was trained on: here soft tissue as 0.0 to 1.0."""
    return np.clip((values + 160) / 400, 0, 1).astype(np.float32)


class Model:
    def setup(self):
        self.device = torch.device(os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
        parser = ConfigParser()
        parser.read_config(BUNDLE / "configs" / "inference.json")
        parser["bundle_root"], parser["device"] = str(BUNDLE), self.device
        self.network = parser.get_parsed_content("network_def").to(self.device).eval()
        weights = torch.load(BUNDLE / "models" / "model.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(weights)
        self.inferer = parser.get_parsed_content("inferer")

    def segment(self, values):
        """Return the number of a class for each voxel of (depth, rows, columns), uint8."""
        voxels = torch.from_numpy(prepare(values)).to(self.device)[None, None]
        with torch.inference_mode():
            labels = self.inferer(voxels, self.network)[0].argmax(0)
        return labels.to(torch.uint8).cpu().numpy()

    def __call__(self, json_input, inputs, input_hash):
        volume = read_study(inputs).volume()
        mask = self.segment(volume.values)
        answer = Answer()
        names = {number: f"class {number}" for number in range(1, max(1, int(mask.max())) + 1)}
        answer.label_mask(mask, volume, names)
        return answer
