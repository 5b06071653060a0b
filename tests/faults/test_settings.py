"""Every setting has an effect that a client sees: a test over a real socket names it.

`@pytest.mark.setting("MAX_PARTS")` says which; here are those that no other test shows.
"""

import ast
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.faults.model import sizes
from tests.faults.rest import LIMIT, check_sizes
from tests.harness.raw import Address, Connection, exchange, head, request
from tests.harness.server import RunningServer, left_in
from tests.harness.wire import check_problem, message, part

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
Start = Callable[..., RunningServer]


@cache
def named() -> set[str]:
    """The settings in every `pytest.mark.setting(...)`."""
    nodes = (node for path in TESTS.rglob("test_*.py") for node in ast.walk(ast.parse(path.read_text())))
    marks = (
        node
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.setting"
    )
    return {str(each.value) for mark in marks for each in mark.args if isinstance(each, ast.Constant)}


def test_every_setting_is_named_by_a_test() -> None:
    there = {name.upper() for name in Settings.model_fields}
    assert there - named() == set()


def test_tests_name_only_settings() -> None:
    assert named() - {name.upper() for name in Settings.model_fields} == set()


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Start:
    def run(model: Callable[..., Any] = sizes, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", model)
        return serve(app, make_server(app, port=0))

    return run


ROOT = b"[1]"
BODY = message(part(ROOT, b"A: b", b"C: d"), part(bytes(50)), part(bytes(50)))
AT_LIMIT = {
    "max_body_bytes": len(BODY),
    "max_parts": 3,
    "max_part_bytes": 50,
    "max_root_bytes": len(ROOT),
    "max_part_headers": 2,
    "max_part_header_bytes": len(b"A: b\r\nC: d\r\n"),
}


@pytest.mark.setting(
    "MAX_BODY_BYTES",
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "MAX_ROOT_BYTES",
    "MAX_PART_HEADERS",
    "MAX_PART_HEADER_BYTES",
)
@pytest.mark.wire("aftermath: exactly at a limit is fine")
@pytest.mark.parametrize("chunk", [0, 7], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("name", AT_LIMIT)
def test_a_limit_of_size(name: str, chunk: int, start: Start) -> None:
    sent = request(TYPE, BODY, chunk=chunk)
    check_sizes(exchange(start(**{name: AT_LIMIT[name]}).address, sent), 50, 50)
    check_problem(exchange(start(**{name: AT_LIMIT[name] - 1}).address, sent), 413)


@pytest.mark.setting("UPLOAD_TIMEOUT")
@pytest.mark.wire("refused: client too slow")
def test_an_upload_that_never_ends(start: Start) -> None:
    """Never idle, never slow, and too long all the same."""
    running = start(upload_timeout=0.5, idle_timeout=20, min_upload_rate=0)
    body = message(part(ROOT), part(bytes(1 << 21)))
    with Connection(running.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % len(body)))))
        connection.send(body[:1000])
        check_problem(connection.read_answer(), 408)


@pytest.mark.setting("SPOOL_QUOTA_BYTES")
@pytest.mark.wire("refused: disk budget spent")
@pytest.mark.parametrize("chunk", [0, 60_000], ids=["Content-Length", "chunked"])
def test_a_quota_of_spool_bytes(chunk: int, start: Start, spool_dir: Path) -> None:
    running = start(spool_quota_bytes=1_000_000, spool_memory_bytes=0)
    for size, fits in ((900_000, True), (1_000_000, False), (900_000, True)):
        answer = exchange(running.address, request(TYPE, message(part(ROOT), part(bytes(size))), chunk=chunk))
        if fits:
            check_sizes(answer, size)
        else:
            check_problem(answer, 507)
        running.watched.wait_idle()  # the room is given back a moment after the answer
    assert left_in(spool_dir) == []


@pytest.mark.setting("SPOOL_MEMORY_BYTES")
def test_the_bytes_that_stay_in_memory(start: Start, spool_dir: Path) -> None:
    seen: list[int] = []

    def model(json_input: Any, inputs: Any, input_hash: str) -> Any:
        seen.append(len(left_in(spool_dir)))
        return sizes(json_input, inputs, input_hash)

    def files_for(address: Address) -> int:
        check_sizes(exchange(address, request(TYPE, BODY)), 50, 50)
        return seen.pop()

    assert files_for(start(model, spool_memory_bytes=len(BODY)).address) == 0
    assert files_for(start(model, spool_memory_bytes=len(BODY) - 1).address) == 1


@pytest.mark.setting("MODEL_CONCURRENCY")
@pytest.mark.parametrize("together", [1, 3])
def test_so_many_calls_at_once(together: int, start: Start) -> None:
    """All of them, and never one more."""
    begun, go, count = threading.Semaphore(0), threading.Event(), Counter[str]()
    lock = threading.Lock()

    def model(json_input: Any, inputs: Any, input_hash: str) -> Any:
        with lock:
            count["now"] += 1
            count["most"] = max(count["most"], count["now"])
        begun.release()
        assert go.wait(LIMIT)
        with lock:
            count["now"] -= 1
        return sizes(json_input, inputs, input_hash)

    running = start(model, model_concurrency=together)
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(running.address, limit=LIMIT)) for _ in range(together + 2)]
        for client in clients:
            client.send(request(TYPE, BODY))
        for _ in range(together):
            assert begun.acquire(timeout=LIMIT)
        running.watched.wait_until(len(clients))
        go.set()
        for client in clients:
            check_sizes(client.read_answer(), 50, 50)
    assert count["most"] == together


@pytest.mark.setting("REFUSE_AFTER_BODY")
@pytest.mark.parametrize("chunk", [0, 100_000], ids=["declared", "chunked"])
@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        (((b"Content-Type", b"application/json"),), b"/", 400),
        (TYPE, b"/no/such", 404),
        (TYPE, b"/", 413),
        ((*TYPE, (b"Content-Encoding", b"gzip")), b"/", 415),
    ],
    ids=["400", "404", "413", "415"],
)
def test_a_refusal_after_the_body(
    headers: tuple[tuple[bytes, bytes], ...], target: bytes, status: int, chunk: int, start: Start
) -> None:
    """The body has been read to its end: nothing is closed, and the connection serves on."""
    running = start(refuse_after_body=True, max_body_bytes=1 << 20)
    body = message(part(b"[1]"), part(bytes(5 << 20)))
    with Connection(running.address, limit=LIMIT) as connection:
        for _ in range(2):
            connection.send(request(headers, body, chunk=chunk, target=target))
            answer = connection.read_answer()
            check_problem(answer, status)
            assert answer is not None
            assert answer.header("connection") is None
        connection.send(request(TYPE, message(part(b"[1]"))))
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 200


def test_a_refusal_after_the_body_asks_for_no_body(start: Start) -> None:
    running = start(refuse_after_body=True)
    headers = (
        (b"Content-Type", b"text/plain"),
        (b"Content-Length", b"5000000"),
        (b"Expect", b"100-continue"),
    )
    with Connection(running.address, limit=LIMIT) as connection:
        connection.send(head(headers))
        answer = connection.read_answer()
        check_problem(answer, 400)
        assert answer is not None
        assert answer.interim == ()
