"""What a gateway tells its metrics of."""

from typing import Any

from inference_gateway import Gateway
from inference_gateway.execution.slots import Slots
from tests.conftest import Serve
from tests.harness.asking import call, post
from tests.harness.model import Staged, empty
from tests.harness.waiting import until


def scraped(address: Any) -> dict[str, float]:
    lines = call(address, b"/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def test_load_stands_beside_its_limits(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty, concurrency=3)
    app.add_inference_route("/batch", lambda requests: [{} for _ in requests], max_batch_size=4)
    address = serve(app).address
    post(address, b"/batch")
    found = scraped(address)
    assert found["gateway_uploads"] == 0
    assert found["gateway_uploads_limit"] == app.settings.max_uploads
    assert found['gateway_queue_limit{route="/"}'] == app.settings.max_queue
    assert found['gateway_slots{route="/"}'] == 3
    assert found['gateway_slots{route="/batch"}'] == 1
    assert found['gateway_batch_size_count{route="/batch"}'] == 1


def test_routes_that_share_slots_tell_of_all_of_them(app: Gateway, serve: Serve) -> None:
    slots = Slots(2)
    for route in ("/a", "/b"):
        app.add_inference_route(route, empty, slots=slots)
    found = scraped(serve(app).address)
    assert found['gateway_slots{route="/a"}'] == found['gateway_slots{route="/b"}'] == 2


def test_a_worker_is_ready_when_its_models_are(app: Gateway, serve: Serve, staged: Staged) -> None:
    app.add_inference_route("/", staged)
    address = serve(app).address
    assert scraped(address)["gateway_workers"] == 1
    assert scraped(address)["gateway_workers_ready"] == 0
    staged.go.set()
    until(lambda: scraped(address)["gateway_workers_ready"] == 1, "a ready worker")
