"""A gateway with the models of `traced`, on threads and in a process."""

from inference_gateway import Gateway
from tests.faults import traced

app = Gateway()
app.add_inference_route("/thread", traced.model)
app.add_inference_route("/async", traced.asynchronous)
app.add_inference_route("/batch", traced.batches, max_batch_size=4)
app.add_inference_route("/failing", traced.failing)
app.add_inference_route("/process", "tests.faults.traced:model", isolation="process")
