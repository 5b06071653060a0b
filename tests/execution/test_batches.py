"""Batches, wherever the model runs: each request keeps its promises, whatever its neighbours do."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from inference_gateway import Gateway, Settings
from tests.execution import batching, callbacks
from tests.execution.requests import ENTRY, is_ready, post
from tests.harness.clusters import PLACES, Isolation, isolated, needs, placed
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, exchange, head
from tests.harness.server import RunningServer, left_in, serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, decoded, digest

pytestmark = pytest.mark.slow

Add = Callable[..., "Place"]

LIMIT = 60.0


class Place:
    """A gateway with one route that takes batches."""

    def __init__(self, running: RunningServer, isolation: Isolation, threads: ThreadPoolExecutor) -> None:
        self.running = running
        self.address: Address = running.address
        self.isolation = isolation
        self._threads = threads

    def send(self, asked: Any, *inputs: bytes) -> Answer:
        answer = exchange(self.address, post(asked, *inputs), limit=LIMIT)
        assert answer is not None
        return answer

    def begin(self, asked: Any, *inputs: bytes) -> "Future[Answer]":
        return self._threads.submit(self.send, asked, *inputs)

    def send_all(self, *asked: Any) -> list[Answer]:
        return [answer.result(LIMIT) for answer in [self.begin(each) for each in asked]]

    def metrics(self) -> dict[str, float]:
        with Connection(self.address) as connection:
            connection.send(head((), method=b"GET", target=b"/metrics"))
            answer = connection.read_answer()
        assert answer is not None
        return {
            name: float(value)
            for name, value in re.findall(r"^(\w.*) (\S+)$", answer.body.decode(), re.MULTILINE)
        }


def result(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:300]
    assert answer.whole
    return json.loads(decoded(answer)[0][2])


@pytest.fixture(params=PLACES[:3])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    found: Isolation = request.param
    needs(found, request)
    return found


@pytest.fixture
def add(isolation: Isolation, spool_dir: Path) -> Iterator[Add]:
    """Start a gateway with one route."""
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(32))

        def begin(model: Any = batching.Batched, *, settings: Any = None, **options: Any) -> Place:
            given: dict[str, Any] = {"model_timeout": LIMIT, "cancel_grace": 0.2, "spool_memory_bytes": 1000}
            given["isolation"] = isolated(isolation)
            app = Gateway(settings=Settings(spool_dir=spool_dir, **{**given, **(settings or {})}))
            app.add_inference_route("/", placed(isolation, model), **options)
            running = stack.enter_context(serving(app))
            until(lambda: is_ready(running.address))
            return Place(running, isolation, threads)

        yield begin
    assert left_in(spool_dir) == []


def test_a_full_batch_is_one_call(add: Add, log: LogCapture) -> None:
    """It does not wait for `max_batch_wait`; each request has its own inputs, id and deadline."""
    place = add(max_batch_size=8, max_batch_wait=LIMIT / 2)
    inputs = [[os.urandom(size) for size in (number, 2000 * number)] for number in range(8)]
    answers = [place.begin({"number": number}, *inputs[number]) for number in range(8)]
    begun = time.monotonic()
    found = [result(answer.result(LIMIT)) for answer in answers]
    assert time.monotonic() - begun < LIMIT / 2
    assert {each["size"] for each in found} == {8}
    assert {each["calls"] for each in found} == {1}
    assert [each["number"] for each in found] == list(range(8))
    for number, (each, answer) in enumerate(zip(found, answers, strict=True)):
        root = json.dumps({"number": number}).encode()
        assert each["hash"] == digest(root, *inputs[number])
        assert each["read"] == [body.hex() for body in inputs[number]]
        assert each["id"] == answer.result().header("x-request-id")
        assert 0 < each["remaining"] <= LIMIT
        assert each["route"] == "/"
        assert not each["cancelled"]
    batches = {each["batch"] for each in found}
    assert len(batches) == 1
    assert {each["pid"] == os.getpid() for each in found} == {place.isolation == "thread"}
    metrics = place.metrics()
    assert metrics['gateway_batch_size_count{route="/"}'] == 1
    assert metrics['gateway_batch_size_sum{route="/"}'] == 8
    assert metrics['gateway_batch_size_bucket{le="4.0",route="/"}'] == 0
    assert metrics['gateway_batch_size_bucket{le="8.0",route="/"}'] == 1
    place.running.watched.wait_idle()
    lines = [line for line in log.lines if '"batch_size": 8' in line and "status 200" in line]
    assert len(lines) == 8
    assert all(f'"batch": "{batches.copy().pop()}"' in line for line in lines)


@pytest.mark.parametrize("how", ["fails", "raises"])
def test_one_fails_one_leaves_one_is_too_late_and_five_are_whole(
    how: str, add: Add, tmp_path: Path, log: LogCapture
) -> None:
    """`fails`: its result is an exception. `raises`: the call as a whole raises."""
    timeout, head_start = 10.0, 4.0
    place = add(max_batch_size=8, max_batch_wait=timeout - 1, timeout=timeout)
    begun = time.monotonic()
    late = place.begin({"do": "expires"})
    until(lambda: time.monotonic() > begun + head_start)  # its deadline comes so much sooner
    with Connection(place.address, limit=LIMIT) as connection:
        connection.send(post({"do": "leaves", "folder": str(tmp_path)}))
        failing = place.begin({"do": how})
        fine = [place.begin({"number": number}) for number in range(5)]
        until((tmp_path / "begun").exists)
    check_problem(late.result(LIMIT), 504)
    check_problem(failing.result(LIMIT), 500)
    found = [result(answer.result(LIMIT)) for answer in fine]
    assert [each["number"] for each in found] == list(range(5))
    if how == "fails":
        assert {each["size"] for each in found} == {8}
        assert "failed for a batch" not in log.text
    else:
        assert {each["size"] for each in found} == {1}
        assert log.text.count("failed for a batch of 8 requests") == 1
        assert place.metrics()['gateway_batch_size_count{route="/"}'] == 7  # all, and each of six alone
    assert "ValueError: as asked for" in log.text
    assert "within its time limit" in log.text
    assert "the client left" in log.text
    assert result(place.begin({"number": 9}).result(LIMIT))["number"] == 9


@pytest.mark.parametrize("do", ["misfit", "fails later"])
def test_each_result_is_checked_by_itself(do: str, add: Add, log: LogCapture) -> None:
    place = add(max_batch_size=3, max_batch_wait=LIMIT / 2)
    fine, misfit, other = place.send_all({"number": 1}, {"do": do}, {"number": 2})
    check_problem(misfit, 500)
    assert [result(fine)["size"], result(other)["size"]] == [3, 3]
    assert {"misfit": "0 elements for 1 entries", "fails later": "ValueError: as asked for"}[do] in log.text


@pytest.mark.parametrize("do", ["too few", "no list"])
def test_a_call_without_a_result_for_each_is_made_again_for_each(do: str, add: Add, log: LogCapture) -> None:
    place = add(max_batch_size=3, max_batch_wait=LIMIT / 2)
    fine, wrong, other = place.send_all({"number": 1}, {"do": do}, {"number": 2})
    check_problem(wrong, 500)
    assert [result(fine)["size"], result(other)["size"]] == [1, 1]
    said = {"too few": "0 results for 1 requests", "no list": "returned a dict, not a list"}[do]
    assert said in log.text


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("kind", callbacks.KINDS)
def test_elements_of_every_kind(kind: str, size: int, kinds: Place, tmp_path: Path) -> None:
    asked = {"do": "element", "kind": kind, "size": size, "folder": str(tmp_path)}
    answer = kinds.send(asked)
    elements = [("application/dicom", callbacks.payload(size))]
    check_reply(answer, ENTRY, elements, digest(json.dumps(asked).encode()))


@pytest.fixture(scope="module", params=PLACES)
def kinds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway for many tests that change nothing."""
    folder = tmp_path_factory.mktemp("spool")
    needs(request.param, request)
    isolation = isolated(request.param)
    app = Gateway(settings=Settings(spool_dir=folder, model_timeout=LIMIT, isolation=isolation))
    app.add_inference_route("/", placed(request.param, batching.Batched), max_batch_size=2, max_batch_wait=0)
    with serving(app) as running, ThreadPoolExecutor(4) as threads:
        until(lambda: is_ready(running.address))
        yield Place(running, request.param, threads)
    assert left_in(folder) == []


def test_each_request_has_its_own_memory_for_results(add: Add) -> None:
    place = add(max_batch_size=3, max_batch_wait=LIMIT / 2)
    sizes = [1, 70_000, 3_000_000]
    answers = place.send_all(*({"do": "empty", "size": size} for size in sizes))
    for size, answer in zip(sizes, answers, strict=True):
        assert decoded(answer)[1][2] == bytes([size % 251]) * size


def test_results_with_more_files_than_cross_at_once(add: Add) -> None:
    place = add(max_batch_size=3, max_batch_wait=LIMIT / 2)
    for answer in place.send_all(*({"do": "files", "count": 90} for _ in range(3))):
        parts = decoded(answer)
        assert [part[2] for part in parts[1:91]] == [bytes([number]) for number in range(90)]


def test_requests_gather_while_the_slot_is_busy(add: Add, tmp_path: Path) -> None:
    """Nobody waits for more of them when it is free: `max_batch_wait` is 0."""
    place = add(max_batch_size=4, max_batch_wait=0)
    first = place.begin({"do": "holds", "folder": str(tmp_path)})
    until((tmp_path / "begun").exists)
    others = [place.begin({"number": number}) for number in range(6)]
    until(lambda: place.metrics()['gateway_queued{route="/"}'] == 6)
    (tmp_path / "go").touch()
    assert result(first.result(LIMIT))["size"] == 1
    sizes = [result(answer.result(LIMIT))["size"] for answer in others]
    assert max(sizes) > 1
    assert max(sizes) <= 4


def test_who_leaves_before_the_call_leaves_the_batch(add: Add) -> None:
    place = add(max_batch_size=3, max_batch_wait=LIMIT / 2)
    before = place.running.watched.begun
    first = place.begin({"number": 1})
    with Connection(place.address, limit=LIMIT) as connection:
        connection.send(post({"number": 2}))
        place.running.watched.wait_until(before + 2)
    until(lambda: place.running.watched.running <= 1)
    others = place.send_all({"number": 3}, {"number": 4})
    found = [result(answer) for answer in (first.result(LIMIT), *others)]
    assert [each["number"] for each in found] == [1, 3, 4]
    assert {each["size"] for each in found} == {3}


def test_who_waits_too_long_for_the_slot_is_refused_alone(add: Add, tmp_path: Path) -> None:
    place = add(max_batch_size=4, max_batch_wait=0, settings={"queue_timeout": 3})
    first = place.begin({"do": "holds", "folder": str(tmp_path)})
    until((tmp_path / "begun").exists)
    check_problem(place.send({"number": 1}), 503)
    (tmp_path / "go").touch()
    assert result(first.result(LIMIT))["size"] == 1
    assert result(place.send({"number": 2}))["calls"] == 2


@pytest.mark.parametrize("model", [batching.Batched, batching.asynchronous])
def test_a_call_is_told_when_all_have_left(model: Any, add: Add, tmp_path: Path) -> None:
    place = add(model, max_batch_size=2, max_batch_wait=LIMIT / 2)
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(Connection(place.address, limit=LIMIT))
            connection.send(post({"do": "hangs", "folder": str(tmp_path)}))
        until((tmp_path / "begun").exists)
    until((tmp_path / "seen").exists)
    assert {result(answer)["size"] for answer in place.send_all({}, {})} == {2}


def test_the_example_of_the_document() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "batches.md").read_text()
    found = re.search(r"```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found
    names: dict[str, Any] = {}
    exec(compile(found[1], "batches.md", "exec"), names)
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    image, values = Path(path).read_bytes(), pydicom.dcmread(path).pixel_array
    with serving(names["app"]) as running, ThreadPoolExecutor(8) as threads:
        until(lambda: is_ready(running.address))
        place = Place(running, "thread", threads)
        answers = [place.begin({}, image if number != 3 else b"no DICOM") for number in range(8)]
        for number, answer in enumerate(answers):
            if number == 3:
                check_problem(answer.result(LIMIT), 500)
            else:
                assert decoded(answer.result(LIMIT))[1][2] == (values > values.mean()).tobytes()


def test_an_async_callback(add: Add) -> None:
    place = add(batching.asynchronous, max_batch_size=2, max_batch_wait=LIMIT / 2)
    found = [result(answer) for answer in place.send_all({}, {})]
    assert [each["size"] for each in found] == [2, 2]
    assert len({each["batch"] for each in found}) == 1
    assert place.isolation


class TestProcess:
    """What only a process can do."""

    @pytest.fixture
    def isolation(self) -> Isolation:
        return "process"

    def test_who_crashes_the_process_crashes_alone(self, add: Add, log: LogCapture) -> None:
        place = add(max_batch_size=4, max_batch_wait=LIMIT / 2)
        fine, crashes, *others = place.send_all(
            {"number": 1}, {"do": "crashes"}, {"number": 2}, {"number": 3}
        )
        problem = check_problem(crashes, 500)
        assert problem["type"] == "urn:inference-gateway:model-crashed"
        assert [result(answer)["number"] for answer in (fine, *others)] == [1, 2, 3]
        assert "SIGKILL" in log.text
        until(lambda: place.metrics()['gateway_model_restarts_total{reason="crash",route="/"}'] == 2)

    def test_a_batch_that_is_too_large_for_the_device_is_made_smaller(self, add: Add) -> None:
        place = add(max_batch_size=4, max_batch_wait=LIMIT / 2)
        found = [result(answer) for answer in place.send_all(*({"do": "large"} for _ in range(4)))]
        assert {each["size"] for each in found} == {1}
        assert place.metrics()['gateway_model_restarts_total{reason="device memory",route="/"}'] == 1

    def test_a_call_that_all_have_given_up_ends_with_its_process(self, add: Add, tmp_path: Path) -> None:
        place = add(max_batch_size=2, max_batch_wait=1, timeout=4)
        before = result(place.send({}))["pid"]
        asked = {"do": "hangs", "deaf": True, "folder": str(tmp_path)}
        for answer in place.send_all(asked, asked):
            check_problem(answer, 504)
        assert result(place.send({}))["pid"] != before
        restarts = place.metrics()
        assert restarts['gateway_model_restarts_total{reason="deadline",route="/"}'] >= 1
        assert restarts['gateway_model_restarts_total{reason="crash",route="/"}'] == 0
