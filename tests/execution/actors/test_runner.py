"""Models on Ray behind a real server: deadlines, crashes, growth, and gateways that share the slots."""

import json
import os
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.integrations.ray import RayModel
from tests.conftest import Serve
from tests.execution.requests import is_ready, post
from tests.harness.clusters import STORE, RayCluster
from tests.harness.log import LogCapture
from tests.harness.process import Process, alive, serve_command
from tests.harness.raw import Address, Answer, Connection, exchange, head
from tests.harness.waiting import until
from tests.harness.wire import check_problem, decoded

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("cluster")]

LIMIT = 60.0
PROJECT = Path(__file__).parents[3]
OURS = "tests.execution.actors.models"
THEIRS = "tests.execution.process.models"


def on(node: str, model: str, **options: Any) -> RayModel:
    return RayModel(model, num_cpus=0, resources={node: 1}, **options)


def gateway(folder: Path, model: RayModel, **settings: Any) -> Gateway:
    given: dict[str, Any] = {"model_timeout": LIMIT, "cancel_grace": 0.2, "spool_memory_bytes": 100_000}
    app = Gateway(settings=Settings(spool_dir=folder, **(given | settings)))
    app.add_inference_route("/", model)
    return app


def send(address: Address, asked: Any, *inputs: bytes) -> Answer:
    answer = exchange(address, post(asked, *inputs), limit=LIMIT)
    assert answer is not None
    return answer


def result(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:300]
    return json.loads(decoded(answer)[0][2])


def pid_of(address: Address) -> int:
    found: int = result(send(address, {"seconds": 0.2}))["pid"]
    return found


def get(address: Address, path: bytes) -> Answer:
    with Connection(address) as connection:
        connection.send(head((), method=b"GET", target=path))
        answer = connection.read_answer()
    assert answer is not None
    return answer


def metric(address: Address, line: str) -> float:
    found = [each for each in get(address, b"/metrics").body.decode().splitlines() if each.startswith(line)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def restarts(address: Address, reason: str) -> float:
    return metric(address, f'gateway_model_restarts_total{{reason="{reason}",route="/"}}')


@pytest.mark.parametrize("how", ["segmentation fault", "exit", "killed"])
def test_a_crash_costs_its_own_request(how: str, spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    address = serve(gateway(spool_dir, on("near", f"{THEIRS}:ends"))).address
    until(lambda: is_ready(address))
    before = result(send(address, {"how": ""}))["pid"]
    answer = send(address, {"how": how})
    assert answer.status == 500
    assert json.loads(answer.body)["type"] == "urn:inference-gateway:model-crashed"
    assert result(send(address, {"how": ""}))["pid"] != before
    until(lambda: restarts(address, "crash") == 1)
    assert "the Ray actor ended" in log.text


def test_device_memory_that_is_spent_costs_a_process(spool_dir: Path, serve: Serve) -> None:
    address = serve(gateway(spool_dir, on("near", f"{THEIRS}:ends"))).address
    until(lambda: is_ready(address))
    before = result(send(address, {"how": ""}))["pid"]
    check_problem(send(address, {"how": "device memory"}), 503)
    assert result(send(address, {"how": ""}))["pid"] != before


@pytest.mark.parametrize("where", ["call", "stopped", "block", "end"])
def test_at_the_deadline_the_call_has_ended(where: str, spool_dir: Path, serve: Serve) -> None:
    app = gateway(spool_dir, on("near", f"{THEIRS}:hangs"), model_timeout=1)
    address = serve(app).address
    until(lambda: is_ready(address))
    before = result(send(address, {}))["pid"]
    if where in ("call", "stopped"):
        check_problem(send(address, {"where": where}), 504)
    else:
        assert not send(address, {"where": where}).whole
    until(lambda: not alive(before), "the end of the actor's process")
    until(lambda: send(address, {}).status == 200, "the next call", 2 * LIMIT)
    until(lambda: metric(address, 'gateway_slots_taken{route="/"}') == 0)


def test_an_actor_that_ends_between_two_calls_costs_no_request(spool_dir: Path, serve: Serve) -> None:
    address = serve(gateway(spool_dir, on("near", f"{THEIRS}:ends"))).address
    until(lambda: is_ready(address))
    pid = result(send(address, {"how": ""}))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert result(send(address, {"how": ""}))["pid"] != pid
    until(lambda: restarts(address, "crash") == 1)


def test_while_no_actor_is_up_readiness_says_no(spool_dir: Path, serve: Serve, cluster: RayCluster) -> None:
    address = serve(gateway(spool_dir, on("nowhere", f"{THEIRS}:sizes"))).address
    assert get(address, b"/ping").status == 200
    assert get(address, b"/healthcheck").status == 503
    check_problem(send(address, {}), 503)


@pytest.mark.parametrize(
    ("model", "says"),
    [("FailsInSetup", "no weights"), ("Missing", "Missing"), ("DiesInSetup", "ended while")],
)
def test_a_model_that_cannot_be_set_up(
    model: str, says: str, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    address = serve(gateway(spool_dir, on("near", f"{THEIRS}:{model}"))).address
    until(lambda: get(address, b"/ping").status == 503)
    assert "could not be set up" in log.text
    assert says in log.text


def test_what_is_used_up_is_replaced(spool_dir: Path, serve: Serve) -> None:
    address = serve(gateway(spool_dir, on("near", f"{THEIRS}:sizes", max_calls=2))).address
    until(lambda: is_ready(address))
    pids = [result(send(address, {}))["pid"] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


# The object store


@pytest.mark.parametrize(("node", "transport"), [("near", "auto"), ("far", "network")])
def test_nothing_of_a_request_is_in_the_object_store(
    node: str, transport: Any, spool_dir: Path, serve: Serve, cluster: RayCluster
) -> None:
    address = serve(gateway(spool_dir, on(node, f"{OURS}:masks", transport=transport))).address
    until(lambda: is_ready(address))
    cluster.empties()
    study, most = b"\5" * (STORE + (50 << 20)), 0.0  # more than a store holds
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send, address, {"mask": STORE, "text": "x" * 900_000}, study)
        while not answer.done():
            most = max(most, cluster.used())
    _, _, mask = decoded(answer.result())[1]
    assert mask == b"\5" * STORE
    assert most == 0


def test_an_actor_that_cannot_be_reached_is_not_taken_for_dead(
    spool_dir: Path, serve: Serve, cluster: RayCluster, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(gateway(spool_dir, on("far", f"{THEIRS}:sizes", transport="network"))).address
    until(lambda: is_ready(address))
    pid = result(send(address, {}))["pid"]

    from inference_gateway.execution.actors import host  # needs Ray

    def no_route(*args: Any, **options: Any) -> socket.socket:
        raise TimeoutError

    with monkeypatch.context() as firewall:
        firewall.setattr(host, "reach", no_route)
        for _ in range(3):
            check_problem(send(address, {}), 503)
    assert "an actor cannot be reached at" in log.text
    assert result(send(address, {}))["pid"] == pid


def test_a_killed_actor_leaves_nothing_in_the_store(
    spool_dir: Path, serve: Serve, cluster: RayCluster, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    address = serve(gateway(spool_dir, on("far", f"{OURS}:held", transport="network"))).address
    until(lambda: is_ready(address))
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send, address, {"mark": str(mark)}, bytes(30 << 20))
        until(mark.exists)
        os.kill(int(mark.read_text()), signal.SIGKILL)
        assert answer.result().status == 500
    cluster.empties()


# Slots of the cluster


def test_it_grows_while_requests_wait_and_shrinks(spool_dir: Path, serve: Serve, cluster: RayCluster) -> None:
    app = gateway(spool_dir, on("near", f"{OURS}:sleeps", actors=(1, 3), idle=3))
    address = serve(app).address
    until(lambda: is_ready(address))
    assert metric(address, "gateway_model_actors") == 1
    with ThreadPoolExecutor(9) as threads:
        answers = list(threads.map(lambda _: send(address, {"seconds": 1}), range(9)))
    assert 1 < len({result(answer)["pid"] for answer in answers}) <= 3
    until(lambda: metric(address, "gateway_model_actors") == 1)
    assert result(send(address, {"seconds": 0}))


def test_two_gateways_share_the_actors(serve: Serve, tmp_path: Path) -> None:
    """Never two calls at once on an actor, and none is idle for long while a request waits."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    models = [on("near", f"{OURS}:sleeps", actors=3) for _ in folders]
    apps = [
        gateway(folder, model, max_queue=60, max_uploads=60)
        for folder, model in zip(folders, models, strict=True)
    ]
    addresses = [serve(app).address for app in apps]
    for address in addresses:
        until(partial(is_ready, address))
    until(lambda: all(metric(address, "gateway_model_actors") == 3 for address in addresses))
    with ThreadPoolExecutor(3) as threads:  # all three are up
        until(lambda: len(set(threads.map(pid_of, [addresses[0]] * 3))) == 3)
    with ThreadPoolExecutor(60) as threads:
        answers = list(threads.map(lambda number: send(addresses[number % 2], {"seconds": 0.2}), range(60)))
    calls = [result(answer) for answer in answers]
    spans: dict[int, list[tuple[float, float]]] = {}
    for call in calls:
        spans.setdefault(call["pid"], []).append((call["begin"], call["end"]))
    assert len(spans) == 3
    for own in spans.values():
        own.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(own))
    gaps = [begin - end for own in spans.values() for (_, end), (begin, _) in pairwise(own)]
    print(f"from one call to the next: {statistics.median(gaps) * 1000:.1f} ms")
    assert statistics.median(gaps) < 0.2
    last = max(begin for own in spans.values() for begin, _ in own)
    first = min(begin for own in spans.values() for begin, _ in own)
    busy = sum(min(end, last) - begin for own in spans.values() for begin, end in own)
    print(f"busy: {busy / (3 * (last - first)):.3f}, {sorted(len(own) for own in spans.values())}")
    assert busy > 0.6 * 3 * (last - first)


@pytest.fixture
def other(spool_dir: Path) -> Iterator[Process]:
    """A gateway in a process of its own."""
    process = Process(PROJECT, serve_command(f"{OURS}:held", "--engine", "ray"), spool_dir=spool_dir)
    try:
        until(lambda: is_ready(process.address))
        yield process
    finally:
        process.close()


def test_serve(other: Process, cluster: RayCluster) -> None:
    assert result(send(other.address, {}))["pid"] != other.popen.pid
    assert cluster.actors() == 1
    other.popen.send_signal(signal.SIGTERM)
    assert other.popen.wait(LIMIT) == 0
    until(lambda: cluster.actors() == 0, "the end of the last gateway's actors")


def test_the_slot_of_a_gateway_that_is_killed_is_free_again(
    other: Process, spool_dir: Path, tmp_path: Path, cluster: RayCluster
) -> None:
    mark = tmp_path / "mark"
    with ExitStack() as stack:
        second = Process(PROJECT, serve_command(f"{OURS}:held", "--engine", "ray"), spool_dir=spool_dir)
        stack.callback(second.close)
        until(lambda: is_ready(second.address))
        first = result(send(second.address, {}))["pid"]
        with Connection(other.address, limit=LIMIT) as connection:
            connection.send(post({"mark": str(mark)}))
            until(mark.exists)
            assert int(mark.read_text()) == first  # they share it
            other.popen.kill()
        begun = time.monotonic()
        assert result(send(second.address, {}))["pid"] != first
        print(f"free after {time.monotonic() - begun:.1f} s")


def test_a_node_that_is_killed_in_a_call(
    spool_dir: Path, serve: Serve, cluster: RayCluster, tmp_path: Path, log: LogCapture
) -> None:
    mark = tmp_path / "mark"
    address = serve(gateway(spool_dir, on("far", f"{OURS}:held"))).address
    until(lambda: is_ready(address))
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send, address, {"mark": str(mark)}, bytes(3 << 20))
        until(mark.exists)
        cluster.cluster.remove_node(cluster.far, allow_graceful=False)
        assert answer.result().status == 500
    assert json.loads(answer.result().body)["type"] == "urn:inference-gateway:model-crashed"
    until(lambda: get(address, b"/healthcheck").status == 503)
    cluster.far = cluster.add_far_node()
    until(lambda: is_ready(address))
    assert result(send(address, {}))
    cluster.empties()
