"""A PyTorch network on the device of your choice: `DEVICE=cuda:0 inference-gateway serve --dev model:Model`.

`setup` runs once, while the port is open already: /healthcheck says 503 until it is done.
"""

import os

import numpy as np
import torch

from inference_gateway import current_request
from inference_gateway.results import Answer
from inference_gateway.study import read_study


class Model:
    def setup(self):
        self.device = torch.device(os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
        self.network = torch.nn.Conv3d(1, 1, 3, padding=1)  # yours, with torch.load(..., weights_only=True)
        torch.nn.init.constant_(self.network.weight, 1 / 27)
        torch.nn.init.zeros_(self.network.bias)
        self.network.to(self.device).eval()

    def warm_up(self):
        self.segment(np.zeros((8, 64, 64), np.float32))

    def segment(self, values):
        """Your model: return a probability for each voxel of (depth, rows, columns), uint8."""
        with torch.inference_mode():
            voxels = torch.from_numpy(values).to(self.device)[None, None]
            found = torch.sigmoid((self.network(voxels)[0, 0] - 150) / 20)
            return (found * 255).round().to(torch.uint8).cpu().numpy()

    def __call__(self, json_input, inputs, input_hash):
        volume = read_study(inputs).volume()
        current_request().raise_if_cancelled()  # before the device is kept busy for nobody
        answer = Answer()
        answer.probability(self.segment(volume.values), volume, label="dense", threshold=0.5)
        return answer
