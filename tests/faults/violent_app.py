"""Two routes whose models share one device, for `serve`."""

from inference_gateway import Gateway, Slots

app = Gateway()
device = Slots(devices=["cuda:0"])
for path in ("/", "/other"):
    app.add_inference_route(path, "tests.faults.violent:model", isolation="process", slots=device)
