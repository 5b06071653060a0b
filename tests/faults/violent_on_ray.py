"""The violent model in two Ray actors, on the node that is not the gateway's."""

import os

from inference_gateway import Gateway
from inference_gateway.integrations.ray import RayModel

app = Gateway()
app.add_inference_route(
    "/",
    RayModel(
        "tests.faults.violent:model",
        actors=2,
        num_cpus=0,
        resources={"far": 1},
        transport="network",
        runtime_env={"env_vars": {"CLOCKS": os.environ["CLOCKS"]}},
    ),
)
