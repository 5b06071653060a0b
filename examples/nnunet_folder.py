"""The folder of a trained nnU-Net: `NNUNET=path/to/it inference-gateway serve nnunet_folder:Model`.

It is the one with `dataset.json`, `plans.json` and the folders of the folds.

Needs nnunetv2 and torch.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from inference_gateway.study import mask_part, read_study


class Model:
    def setup(self):
        folder = Path(os.environ["NNUNET"])
        device = torch.device(os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
        self.predictor = nnUNetPredictor(device=device, perform_everything_on_device=device.type == "cuda")
        folds = tuple(path.name.removeprefix("fold_") for path in sorted(folder.glob("fold_*")))
        self.predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
        labels = json.loads((folder / "dataset.json").read_text())["labels"]
        self.names = {str(number): name for name, number in labels.items() if number}

    def __call__(self, json_input, inputs, input_hash):
        volume = read_study(inputs).volume()
        properties = {"spacing": list(volume.spacing)}
        found = self.predictor.predict_single_npy_array(volume.values[None], properties, None, None, False)
        mask = np.asarray(found).astype(np.uint8)
        part = mask_part(volume, mask, binary_type="numeric_label_mask", label_map=self.names)
        return {"protocol_version": "1.0", "parts": [part]}, [mask]
