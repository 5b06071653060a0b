"""A gateway with a model of `traced` on another node of a Ray cluster."""

from inference_gateway import Gateway
from inference_gateway.integrations.ray import RayModel

app = Gateway()
model = RayModel("tests.faults.traced:model", resources={"far": 1}, num_cpus=0, transport="network")
app.add_inference_route("/ray", model)
