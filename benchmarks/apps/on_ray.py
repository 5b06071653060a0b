"""The model of `isolated` on Ray, on the node whose resource the environment names."""

import os

from inference_gateway import Gateway
from inference_gateway.integrations.ray import RayModel

place = os.environ["PLACE"]
app = Gateway()
app.add_inference_route(
    "/",
    RayModel(
        "isolated:model",
        num_cpus=0,
        resources={place: 1},
        transport="auto" if place == "near" else "network",
    ),
)
