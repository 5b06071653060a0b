"""A scrape is whole: its sums are what clients sent, under load, while workers and model processes die."""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.process import GAUGES, Process, descendants, serve_command
from tests.harness.raw import Answer, Connection, head, request
from tests.harness.waiting import until
from tests.harness.wire import message, part

pytestmark = pytest.mark.slow

MODEL = """
import os, signal
from inference_gateway import Refused

def model(json_input, inputs, input_hash):
    do = json_input["do"]
    if do == "refuse":
        raise Refused("no")
    if do == "fail":
        raise ValueError("its own fault")
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    kinds = [{"binary_type": "heatmap"} for _ in inputs]
    return {"protocol_version": "1.0", "parts": kinds}, [each.read() for each in inputs]
"""
TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
SCRAPE = head((), method=b"GET", target=b"/metrics")
LIMIT = 90.0

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Sent:
    """What clients have sent and got back, all of them together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()

    def add(self, body: bytes, parts: int, answer: Answer) -> None:
        with self._lock:
            self.statuses[str(answer.status)] += 1
            self.sums["received_bytes"] += len(body)
            if answer.status != 400:
                self.sums["received_parts"] += parts
            if answer.status == 200:
                self.sums["sent_bytes"] += len(answer.body)
                self.sums["sent_parts"] += parts + 1  # the hashes

    @property
    def total(self) -> int:
        return sum(self.statuses.values())


def scraped(process: Process) -> Samples:
    """One scrape, as Prometheus' library reads it: every name once, every histogram consistent."""
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(SCRAPE)
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given."""
    wanted = set(labels.items())
    return sum(value for (each, has), value in found.items() if each == f"gateway_{name}" and wanted <= has)


def counters(found: Samples) -> Samples:
    kinds = ("_total", "_bucket", "_count", "_sum")
    return {key: value for key, value in found.items() if key[0].endswith(kinds)}


def check_never_falls(before: Samples, after: Samples) -> None:
    fallen = {key for key, value in counters(before).items() if after.get(key, 0.0) < value}
    assert fallen == set()


def check_sums(found: Samples, sent: Sent) -> None:
    """All that is counted of these requests is what their clients know of them."""
    for status, answers in sent.statuses.items():
        assert total(found, "requests_total", status=status) == answers, status
    assert total(found, "requests_total") == sent.total
    for name, value in sent.sums.items():
        assert total(found, f"{name}_total") == value, name
    not_served = total(found, "refusals_total") + total(found, "failures_total")
    assert not_served == sent.total - sent.statuses["200"]
    assert total(found, "request_seconds_count", phase="upload") == sent.total
    assert total(found, "request_seconds_count", phase="answer") == sent.statuses["200"]
    for phase in ("upload", "queue", "model", "answer"):
        count = total(found, "request_seconds_count", phase=phase)
        assert total(found, "request_seconds_bucket", phase=phase, le="+Inf") == count
        assert total(found, "request_seconds_bucket", phase=phase, le="0.001") <= count


def is_at_rest(found: Samples) -> bool:
    return not any(total(found, gauge) for gauge in GAUGES)


def ask(process: Process, sent: Sent, do: str, size: int) -> None:
    parts = [b'{"do": "%s"}' % do.encode(), os.urandom(size), b"second"]
    body = message(*map(part, parts))
    if do == "malformed":
        body = body[:-4]
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(request(TYPE, body))
        answer = connection.read_answer()
    assert answer is not None
    assert answer.whole
    sent.add(body, len(parts), answer)


def load(process: Process, sent: Sent, *plans: list[str]) -> None:
    """Some clients at once, each with its plan; the sizes take every way through the gateway."""
    failed: list[BaseException] = []

    def client(number: int, plan: list[str]) -> None:
        try:
            for turn, do in enumerate(plan):
                ask(process, sent, do, (10, 70_000, 1_200_000)[(number + turn) % 3])
        except BaseException as error:
            failed.append(error)

    clients = [threading.Thread(target=client, args=each) for each in enumerate(plans)]
    for each in clients:
        each.start()
    seen = scraped(process)
    for each in clients:
        while each.is_alive():  # under load: every scrape parses, and nothing falls
            each.join(0.1)
            now = scraped(process)
            check_never_falls(seen, now)
            assert total(now, "uploads") <= len(clients)
            seen = now
    assert not failed, failed


def wait_counted(process: Process, sent: Sent) -> Samples:
    """The scrape when all that was sent has ended: a client has its answer a moment before."""

    def all_of_it() -> Samples:
        found = scraped(process)
        return found if total(found, "requests_total") >= sent.total else {}

    return until(all_of_it, f"{sent.total} requests in a scrape")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    (tmp_path / "my_model.py").write_text(MODEL)
    settings = {"spool_dir": tmp_path, "spool_memory_bytes": "1MiB", "validate": "off"}
    begun: list[Process] = []

    def started(*options: str) -> Process:
        begun.append(Process(tmp_path, serve_command("my_model:model", *options), **settings))
        return begun[-1]

    yield started
    for process in begun:
        children = descendants(process.popen.pid)
        process.close()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_one_worker(start: Callable[..., Process]) -> None:
    process, sent = start(), Sent()
    plan = ["echo", "refuse", "echo", "fail", "malformed", "echo"]
    load(process, sent, *[plan] * 4)
    found = wait_counted(process, sent)
    check_sums(found, sent)
    assert sent.statuses == {"200": 12, "422": 4, "500": 4, "400": 4}
    assert total(found, "refusals_total", reason="model") == 4
    assert total(found, "refusals_total", reason="malformed") == 4
    assert total(found, "failures_total", reason="model_failed") == 4
    assert total(found, "workers") == total(found, "workers_ready") == 1
    until(lambda: is_at_rest(scraped(process)), "gauges at rest")


def test_two_workers_while_model_processes_and_a_worker_are_killed(start: Callable[..., Process]) -> None:
    process, sent = start("--workers=2", "--isolation=process"), Sent()
    until(lambda: total(scraped(process), "workers_ready") == 2, "two workers")
    plan = ["echo", "fail", "echo", "echo"]
    load(process, sent, ["echo", "die", "echo", "echo", "die", "echo"], plan, plan)
    found = wait_counted(process, sent)
    check_sums(found, sent)
    until(lambda: total(scraped(process), "model_restarts_total", reason="crash") == 2, "two restarts")
    assert total(scraped(process), "model_restarts_total") == 2

    [_, killed] = re.findall(r"worker \d: process (\d+)", process.log)
    os.kill(int(killed), signal.SIGKILL)
    process.wait_log(lambda: process.log.count(": process ") >= 4, "the end of a worker, and another one")
    load(process, sent, plan)  # while it starts
    until(lambda: total(scraped(process), "workers_ready") == 2, "two workers")
    load(process, sent, plan, plan)
    after = wait_counted(process, sent)
    check_sums(after, sent)
    check_never_falls(found, after)
    assert total(after, "worker_restarts_total") == 1
    assert total(after, "model_restarts_total") == 2
    for worker in ("1", "2"):
        assert total(after, "model_process_memory_bytes", worker=worker, slot="0") > 10 << 20
    until(lambda: is_at_rest(scraped(process)), "gauges at rest")
