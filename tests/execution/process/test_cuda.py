"""Models on a real GPU: devices that routes share, memory that is spent, kernels that hang."""

import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings, Slots
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, exchange, head, request
from tests.harness.waiting import until
from tests.harness.wire import check_problem, decoded, message, part

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("nvidia-smi") is None or importlib.util.find_spec("torch") is None,
        reason="needs an NVIDIA GPU and PyTorch",
    ),
    pytest.mark.timeout(300),
]

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 200.0
MODEL = "tests.execution.process.cuda_models:Model"
WEIGHTS = 256  # MiB
ROOM = 100  # MiB that a driver may give or take


def post(address: Address, do: str, path: bytes = b"/") -> Answer:
    body = message(part(json.dumps({"do": do}).encode()))
    answer = exchange(address, request(TYPE, body, target=path), limit=LIMIT)
    assert answer is not None
    return answer


def result(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:300]
    return json.loads(decoded(answer)[0][2])


def get(address: Address, path: bytes) -> Answer:
    with Connection(address) as connection:
        connection.send(head((), method=b"GET", target=path))
        answer = connection.read_answer()
    assert answer is not None
    return answer


def used() -> int:
    """MiB in use on the first device, as its driver tells another process."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def gateway(serve: Serve, spool_dir: Path) -> Callable[..., Address]:
    """Serves the model on these routes, which share the first device; ready."""

    def start(*paths: str, timeout: float = LIMIT) -> Address:
        settings = Settings(spool_dir=spool_dir, isolation="process", cancel_grace=0.5, drain_timeout=5)
        app, slots = Gateway(settings=settings), Slots(devices=["cuda:0"])
        for path in paths:
            app.add_inference_route(path, MODEL, slots=slots, timeout=timeout)
        address = serve(app).address
        until(lambda: get(address, b"/healthcheck").status == 200, "a model that is set up", LIMIT)
        return address

    return start


def test_a_model_sees_its_device(gateway: Callable[..., Address]) -> None:
    before = used()
    found = result(post(gateway("/"), "told"))
    assert found | {"pid": 0} == {"pid": 0, "device": "cuda:0", "visible": "0", "count": 1, "sum": 64 << 20}
    assert used() >= before + WEIGHTS


def test_two_routes_on_one_device_never_run_at_once(gateway: Callable[..., Address]) -> None:
    address = gateway("/a", "/b")
    spans: list[tuple[float, float]] = []

    def ask(path: bytes) -> None:
        for _ in range(25):
            found = result(post(address, "clocks", path))
            spans.append((found["begin"], found["end"]))

    askers = [threading.Thread(target=ask, args=(path,)) for path in (b"/a", b"/b") * 2]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    spans.sort()
    assert len(spans) == 100
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_memory_that_is_spent_is_a_503_and_comes_back(
    gateway: Callable[..., Address], log: LogCapture
) -> None:
    address = gateway("/")
    pid = result(post(address, "told"))["pid"]
    before = used()
    answer = post(address, "spends")
    check_problem(answer, 503)
    assert answer.header("retry-after") is not None
    found = result(post(address, "told"))
    assert found["pid"] != pid
    assert found["sum"] == 64 << 20
    assert used() <= before + ROOM
    assert b'restarts_total{reason="device memory",route="/"} 1.0' in get(address, b"/metrics").body


@pytest.mark.parametrize("do", ["kernel", "kernels"])
def test_what_hangs_on_the_device_is_ended(do: str, gateway: Callable[..., Address], log: LogCapture) -> None:
    address = gateway("/", timeout=5)
    pid = result(post(address, "told"))["pid"]
    before = used()
    check_problem(post(address, do), 504)
    found = result(post(address, "told"))
    assert found["pid"] != pid
    assert found["sum"] == 64 << 20
    assert not Path(f"/proc/{pid}").exists()
    assert used() <= before + ROOM


def test_a_device_that_a_call_has_broken_is_whole_for_the_next(
    gateway: Callable[..., Address], log: LogCapture
) -> None:
    address = gateway("/")
    pid = result(post(address, "told"))["pid"]
    check_problem(post(address, "breaks"), 500)
    assert result(post(address, "told"))["pid"] != pid
