"""A trained nnU-Net: `inference-gateway serve --dev model:Model`, with its folder here, by the name `nnunet`.

It is the one with `dataset.json`, `plans.json` and the folders of the folds.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from inference_gateway.results import Answer
from inference_gateway.study import read_study

TRAINED = Path(__file__).with_name("nnunet")


class Model:
    def setup(self):
        device = torch.device(os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
        self.predictor = nnUNetPredictor(device=device, perform_everything_on_device=device.type == "cuda")
        folds = tuple(path.name.removeprefix("fold_") for path in sorted(TRAINED.glob("fold_*")))
        self.predictor.initialize_from_trained_model_folder(str(TRAINED), folds, "checkpoint_final.pth")
        labels = json.loads((TRAINED / "dataset.json").read_text())["labels"]
        self.names = {number: name for name, number in labels.items() if number}

    def __call__(self, json_input, inputs, input_hash):
        volume = read_study(inputs).volume()
        properties = {"spacing": list(volume.spacing)}
        found = self.predictor.predict_single_npy_array(volume.values[None], properties, None, None, False)
        answer = Answer()
        answer.label_mask(np.asarray(found).astype(np.uint8), volume, self.names)
        return answer
