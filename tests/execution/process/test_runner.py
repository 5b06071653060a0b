"""Models in processes behind a real server: answers, deadlines, crashes, and devices that routes share."""

import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings, Slots
from inference_gateway.execution.process import turn
from tests.conftest import Serve
from tests.execution.process import models
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, exchange, head, request
from tests.harness.rounds import ROUNDS
from tests.harness.server import serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, decoded, digest, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 60.0


def model(name: str) -> str:
    return f"tests.execution.process.models:{name}"


def post(address: Address, root: Any, *inputs: bytes, path: bytes = b"/") -> Answer:
    body = message(part(json.dumps(root).encode()), *(part(each) for each in inputs))
    answer = exchange(address, request(TYPE, body, target=path), limit=LIMIT)
    assert answer is not None
    return answer


def result(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:300]
    return json.loads(decoded(answer)[0][2])


def ready(address: Address) -> None:
    """Wait until the models are set up."""
    wait_for(address, b"/healthcheck", 200)


def wait_for(address: Address, path: bytes, status: int) -> Answer:
    def look() -> Answer | None:
        with Connection(address) as connection:
            connection.send(head((), method=b"GET", target=path))
            answer = connection.read_answer()
        assert answer is not None
        return answer if answer.status == status else None

    found = until(look, f"status {status}")
    assert found is not None
    return found


@pytest.fixture
def app(spool_dir: Path) -> Gateway:
    settings = Settings(
        spool_dir=spool_dir, isolation="process", model_timeout=LIMIT, cancel_grace=0.2, drain_timeout=5
    )
    return Gateway(settings=settings)


def test_a_request_goes_there_and_back(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("bodies"))
    address = serve(app).address
    ready(address)
    for size in (0, 10, 100_000, 10 << 20):
        bodies = [os.urandom(size), b"x"]
        body = message(part(b"{}"), *(part(each) for each in bodies))
        answer = exchange(address, request(TYPE, body), limit=LIMIT)
        elements = [("application/dicom", each) for each in bodies]
        check_reply(answer, {"parts": [{"binary_type": "dicom"}] * 2}, elements, digest(b"{}", *bodies))


def test_before_the_processes_are_there_requests_are_refused(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("sizes"))
    address = serve(app).address
    answer = post(address, {})
    if answer.status != 200:
        check_problem(answer, 503)
    ready(address)
    assert result(post(address, {}))["pid"] != os.getpid()


@pytest.mark.parametrize("where", ["call", "stopped", "block"])
@pytest.mark.setting("ISOLATION", "CANCEL_GRACE")
def test_at_the_deadline_the_call_has_ended_and_the_slot_is_free(
    where: str, app: Gateway, serve: Serve, log: LogCapture
) -> None:
    app.add_inference_route("/", model("hangs"), timeout=0.5)
    address = serve(app).address
    ready(address)
    first = result(post(address, {}))["pid"]
    answer = post(address, {"where": where})
    if where == "block":
        assert not answer.whole
    else:
        check_problem(answer, 504)
    second = result(post(address, {}))["pid"]
    assert second != first
    assert not Path(f"/proc/{first}").exists()
    assert "did not come back (deadline)" in log.text
    assert restarts(address) == {"deadline": 1}


@pytest.mark.setting("CANCEL_GRACE")
def test_at_the_deadline_the_stacks_are_told_whole(
    app: Gateway,
    serve: Serve,
    log: LogCapture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The main thread's is the last of them, and `hangs_with_threads` the last but one of the model's.

    Half a second is enough for them, but where there is no processor for the process. It gets a minute, and
    SIGTERM from here.
    """
    assert turn._STACKS_SECONDS == 0.5
    monkeypatch.setattr(turn, "_STACKS_SECONDS", LIMIT)
    app.add_inference_route("/", model("hangs_with_threads"), timeout=3)
    address = serve(app).address
    ready(address)
    for _ in range(2):
        pid = result(post(address, {}))["pid"]
        capfd.readouterr()
        check_problem(post(address, {"hangs": True}), 504)
        told = ""

        def is_whole() -> bool:
            nonlocal told
            told += capfd.readouterr().err
            return told.rstrip().endswith("in _run_code") or " in <module>\n" in told

        until(is_whole, "the end of the stacks")
        assert " in last_in_the_dump\n" in told
        os.kill(pid, signal.SIGTERM)
    assert result(post(address, {}))["pid"] != pid
    assert "told to write the stacks" in log.text


@pytest.mark.parametrize(("how", "words"), [("hangs", "took too long"), ("raises", "failed")])
def test_a_teardown_that_goes_wrong_is_in_the_log(
    how: str, words: str, app: Gateway, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAVES", how)
    monkeypatch.setattr("inference_gateway.execution.process.runner._TEAR_DOWN_SECONDS", 0.5)
    app = Gateway(settings=app.settings.model_copy(update={"drain_timeout": LIMIT}))
    app.add_inference_route("/", model("LeavesLate"))
    with serving(app) as running:
        ready(running.address)
    assert f"teardown of model {model('LeavesLate')} {words}" in log.text
    assert ("in its teardown" in log.text) == (how == "raises")


@pytest.mark.parametrize("how", ["hangs", "raises"])
def test_so_it_is_where_a_process_is_replaced(
    how: str, app: Gateway, serve: Serve, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAVES", how)
    monkeypatch.setattr("inference_gateway.execution.process.runner._TEAR_DOWN_SECONDS", 0.5)
    app.add_inference_route("/", model("LeavesLate"), max_calls=1)
    address = serve(app).address
    ready(address)

    def is_told() -> bool:
        post(address, {})
        return "teardown of model" in log.text

    until(is_told)


def test_an_answer_that_is_none_fails_its_request(app: Gateway, serve: Serve, log: LogCapture) -> None:
    """A model has written to the gateway's socket: half a frame's head, and text where one should be."""
    app.add_inference_route("/", model("forges"), timeout=10)
    address = serve(app).address
    ready(address)
    check_problem(post(address, {"forged": {"done": "call", "asked": 2}, "seconds": 1}), 500)
    assert log.text.count("Traceback") >= 1

    def is_well() -> bool:
        return post(address, {}).status == 200

    until(is_well)


def test_a_generator_that_does_not_end_costs_its_process(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("hangs"))
    address = serve(app).address
    ready(address)
    first = result(post(address, {}))["pid"]
    with Connection(address) as connection:
        connection.send(request(TYPE, message(part(b'{"where": "end"}'))))
        connection.read(10_000)
    assert result(post(address, {}))["pid"] != first


@pytest.mark.setting("KILL_ABANDONED")
def test_an_abandoned_call_is_ended_where_asked_for(app: Gateway, serve: Serve) -> None:
    app = Gateway(settings=app.settings.model_copy(update={"kill_abandoned": True}))
    app.add_inference_route("/", model("hangs"))
    running = serve(app)
    ready(running.address)
    first = result(post(running.address, {}))["pid"]
    with Connection(running.address) as connection:
        connection.send(request(TYPE, message(part(b'{"where": "call"}'))))
        until(lambda: metric(running.address, 'gateway_slots_taken{route="/"}'), "a taken slot")
    assert result(post(running.address, {}))["pid"] != first
    assert restarts(running.address) == {"abandoned": 1}


def test_metrics_of_processes(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("sizes"))
    address = serve(app).address
    ready(address)
    assert metric(address, 'gateway_model_process_memory_bytes{route="/",slot="0",worker="1"}') > 10 << 20
    assert metric(address, 'gateway_model_setup_seconds{route="/"}') > 0
    assert restarts(address) == {}


def scraped(address: Address) -> dict[str, float]:
    lines = wait_for(address, b"/metrics", 200).body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def metric(address: Address, name: str) -> float:
    return scraped(address)[name]


def restarts(address: Address) -> dict[str, float]:
    """How often a process was replaced, by the reasons for which one was."""
    pattern = re.compile(r'gateway_model_restarts_total\{reason="(.+)",route="/"\}')
    found = {pattern.fullmatch(name): value for name, value in scraped(address).items()}
    return {match[1]: value for match, value in found.items() if match and value}


def test_a_model_that_sees_its_cancellation_keeps_its_process(
    app: Gateway, serve: Serve, tmp_path: Path
) -> None:
    app = Gateway(settings=app.settings.model_copy(update={"cancel_grace": LIMIT}))
    app.add_inference_route("/", model("waits_or_tells"), timeout=0.5)
    address = serve(app).address
    ready(address)
    pid = result(post(address, {}))["pid"]
    check_problem(post(address, {"mark": str(tmp_path / "mark")}), 504)
    assert result(post(address, {}))["pid"] == pid


@pytest.mark.parametrize("how", ["segmentation fault", "exit", "killed"])
def test_a_crash_is_answered_and_the_next_request_meets_a_new_process(
    how: str, app: Gateway, serve: Serve, log: LogCapture
) -> None:
    app.add_inference_route("/", model("ends"))
    address = serve(app).address
    ready(address)
    answer = post(address, {"how": how})
    assert answer.status == 500
    problem = json.loads(answer.body)
    assert problem["type"] == "urn:inference-gateway:model-crashed"
    assert result(post(address, {"how": "well"}))["pid"]
    assert "the model's process ended" in log.text
    wait_for(address, b"/healthcheck", 200)


@pytest.mark.parametrize(("how", "status"), [("device memory", 503), ("device error", 500)])
def test_trouble_with_a_device_costs_the_process(
    how: str, status: int, app: Gateway, serve: Serve, log: LogCapture
) -> None:
    """By what PyTorch says; `test_cuda.py` has the real thing."""
    app.add_inference_route("/", model("ends"))
    address = serve(app).address
    ready(address)
    pid = result(post(address, {"how": "well"}))["pid"]
    answer = post(address, {"how": how})
    check_problem(answer, status)
    assert (answer.header("retry-after") is not None) == (status == 503)
    assert result(post(address, {"how": "well"}))["pid"] != pid
    assert restarts(address) == {how: 1}


def test_a_loop_of_crashes_is_told_by_liveness(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("ends"))
    address = serve(app).address
    ready(address)
    for _ in range(5):
        assert post(address, {"how": "exit"}).status == 500
    wait_for(address, b"/ping", 503)
    assert result(post(address, {"how": "well"}))["pid"]
    wait_for(address, b"/ping", 200)


def test_a_client_that_leaves_costs_no_set_up(app: Gateway, serve: Serve, tmp_path: Path) -> None:
    app.add_inference_route("/", model("waits_or_tells"))
    running = serve(app)
    ready(running.address)
    pid = result(post(running.address, {}))["pid"]
    mark = tmp_path / "begun"
    with Connection(running.address) as connection:
        connection.send(request(TYPE, message(part(json.dumps({"mark": str(mark)}).encode()))))
        until(mark.exists, "the call")
    assert result(post(running.address, {}))["pid"] == pid


@pytest.mark.setting("MODEL_MEMORY_BYTES")
def test_a_model_gets_no_more_memory_than_it_may_have(app: Gateway, serve: Serve, log: LogCapture) -> None:
    app = Gateway(settings=app.settings.model_copy(update={"model_memory_bytes": 1 << 30}))
    app.add_inference_route("/", model("filled"))
    address = serve(app).address
    ready(address)
    for shared in (False, True):
        check_problem(post(address, {"size": 2 << 30, "shared": shared}), 500)
        assert "MemoryError" in log.text
        assert ("over GATEWAY_MODEL_MEMORY_BYTES" in log.text) == shared
        assert post(address, {"size": 1 << 20, "shared": shared}).status == 200


def test_the_gateway_lets_go_of_a_result_when_it_is_sent(app: Gateway, serve: Serve) -> None:
    """What it has mapped of results is used again: no timer and no cycle keeps an answer."""
    app.add_inference_route("/", model("filled"))
    address = serve(app).address
    ready(address)
    for _ in range(6):
        assert post(address, {"size": 3 << 20, "shared": True}).status == 200
    until(lambda: Path("/proc/self/maps").read_text().count("/memfd:result") <= 2, "no more than two")


def test_an_answer_block_by_block(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("streamed"))
    address = serve(app).address
    ready(address)
    body = message(part(b"{}"))
    expected = b"".join(bytes([number]) * 1000 for number in range(3))
    check_reply(
        exchange(address, request(TYPE, body), limit=LIMIT),
        {"parts": [{"binary_type": "dicom"}]},
        [("application/dicom", expected)],
        digest(b"{}"),
    )


@pytest.mark.timeout(120 + 2 * ROUNDS)
def test_routes_on_one_device_never_run_at_once(app: Gateway, serve: Serve) -> None:
    """In processes and on a thread, with small requests, which need no thread to wait, and larger ones."""
    slots = Slots(devices=["cuda:0"])
    for path in ("/a", "/b"):
        app.add_inference_route(path, model("clocks"), slots=slots)
    app.add_inference_route("/thread", models.clocks, isolation="thread", slots=slots)
    address = serve(app).address
    ready(address)
    times = math.ceil(max(ROUNDS, 24) * 2.5 / 6)  # with 200 rounds some 500 requests
    spans: list[tuple[float, float]] = []
    lock = threading.Lock()

    def ask(path: bytes) -> None:
        for number in range(times):
            found = result(post(address, {}, bytes(number % 3 * 50_000), path=path))
            assert found["device"] == "cuda:0"
            assert found["visible"] == (os.environ.get("CUDA_VISIBLE_DEVICES") if path == b"/thread" else "0")
            with lock:
                spans.append((found["begin"], found["end"]))

    askers = [threading.Thread(target=ask, args=(path,)) for path in (b"/a", b"/b", b"/thread") * 2]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    spans.sort()
    assert len(spans) == 6 * times
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_no_request_waits_while_a_device_is_idle(app: Gateway, serve: Serve, tmp_path: Path) -> None:
    """Whichever of two devices is held by a long call: all others are served on the other one."""
    app.add_inference_route("/", model("held"), slots=Slots(devices=["cuda:0", "cuda:1"]))
    address = serve(app).address
    ready(address)
    marks = [tmp_path / "one", tmp_path / "two"]
    held = [Connection(address, limit=LIMIT) for _ in marks]
    for connection, mark in zip(held, marks, strict=True):
        connection.send(request(TYPE, message(part(json.dumps({"mark": str(mark)}).encode()))))
    until(lambda: all(mark.exists() for mark in marks))
    for connection, mark in zip(held, marks, strict=True):
        mark.unlink()
        answer = connection.read_answer()
        assert answer is not None
        freed = result(answer)["visible"]
        for _ in range(5):
            found = result(post(address, {}))["visible"]
            assert found == freed or mark is marks[1]
        connection.close()


def test_a_route_that_is_set_up_again_keeps_no_other_from_the_slot(
    app: Gateway, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path))
    slots = Slots(1)
    app.add_inference_route("/a", model("Gated"), slots=slots)
    app.add_inference_route("/b", model("sizes"), slots=slots)
    address = serve(app).address
    ready(address)
    first = result(post(address, {}, path=b"/a"))["pid"]
    (tmp_path / "waits").unlink()
    (tmp_path / "closed").touch()
    assert post(address, {"exits": True}, path=b"/a").status == 500
    with Connection(address, limit=LIMIT) as waiting:
        waiting.send(request(TYPE, message(part(b"{}")), target=b"/a"))
        until((tmp_path / "waits").exists)
        for _ in range(3):
            assert result(post(address, {}, path=b"/b"))["pid"]
        (tmp_path / "closed").unlink()
        answer = waiting.read_answer()
    assert answer is not None
    assert result(answer)["pid"] != first


def test_a_process_that_ends_between_calls_costs_no_request(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("sizes"))
    address = serve(app).address
    ready(address)
    pid = result(post(address, {}))["pid"]
    for number in range(1, 4):
        os.kill(pid, signal.SIGKILL)
        while restarts(address) != {"crash": number}:
            pass
        last, pid = pid, result(post(address, {}))["pid"]
        assert pid != last


def test_a_process_is_replaced_after_so_many_calls(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", model("sizes"), max_calls=3)
    address = serve(app).address
    ready(address)
    end = time.monotonic() + LIMIT
    pids: set[int] = set()
    while len(pids) < 2:
        pids.add(result(post(address, {}))["pid"])
        assert time.monotonic() < end
    assert len(pids) == 2


def test_a_model_that_cannot_be_found_fails_the_set_up(app: Gateway, serve: Serve, log: LogCapture) -> None:
    app.add_inference_route("/", model("nowhere"))
    address = serve(app).address
    wait_for(address, b"/ping", 503)
    assert "has no attribute 'nowhere'" in log.text


def test_what_another_process_cannot_import_is_refused(app: Gateway) -> None:
    with pytest.raises(ValueError, match="cannot import"):
        app.add_inference_route("/", lambda *_: {})


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    until(lambda: not children(), "the end of the wardens")


def children() -> list[str]:
    """The wardens that this process has started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"PPid:\t{os.getpid()}\n" in (entry / "status").read_text():
                line = (entry / "cmdline").read_text()
                found += [line] if "warden" in line else []
    return found


def test_a_gateway_that_ends_closes_what_it_has_of_its_processes(app: Gateway) -> None:
    """Of one, too, that stands ready to follow another."""
    app.add_inference_route("/", model("sizes"), max_calls=2)
    with serving(app) as running:
        ready(running.address)
        before = sockets()
        for _ in range(2):
            result(post(running.address, {}))
        until(lambda: app._runners[0]._successors, "a process that is to follow")  # type: ignore[attr-defined]
    until(lambda: sockets() <= before - 5, "the end of two sockets of a process and three of the keeper")


def sockets() -> int:
    """How many Unix sockets this process has open."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    inodes = {line.split()[6] for line in lines}
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            named = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
            found += named is not None and named[1] in inodes
    return found
