"""One request's whole journey over real sockets: what comes back, when, and what stops if somebody leaves."""

import asyncio
import io
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_gateway import CurrentRequest, Gateway, Settings, current_request
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, Headers, chunked, exchange, head, request
from tests.harness.server import RunningServer, left_in, plain_server, serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, decoded, digest, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
ROOT = b'{"k": "SECRET"}'
BODY = message(part(ROOT), part(b"pixels"))
POST = request(TYPE, BODY)
INPUT_HASH = digest(ROOT, b"pixels")
MESSAGE = 1 << 20
LIMIT = 20.0

Model = Callable[[Any, Sequence[Any], str], Any]


def answered(*binary_types: str) -> dict[str, Any]:
    return {"protocol_version": "1.0", "parts": [{"binary_type": kind} for kind in binary_types]}


def nothing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
    return answered()


@pytest.fixture(params=["uvicorn", "hardened"])
def serve(request: pytest.FixtureRequest, serve: Serve) -> Serve:
    """Runs an app in each of the two servers."""

    def start(app: ASGIApp, server: uvicorn.Server | None = None) -> RunningServer:
        return serve(app, make_server(app, port=0) if request.param == "hardened" else server)

    return start


def gateway(model: Model, spool_dir: Path, **settings: Any) -> Gateway:
    app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
    app.add_inference_route("/", model)
    return app


class Switchboard:
    """A gateway for many tests, with the model that the test at hand puts in."""

    def __init__(self, spool_dir: Path) -> None:
        self.model: Model = nothing
        self.app = gateway(lambda *arguments: self.model(*arguments), spool_dir)
        self.spool_dir = spool_dir
        self.running: RunningServer

    def ask(self, model: Model) -> Answer | None:
        """The answer to a good request; the log has its line when it is back."""
        self.model = model
        answer = exchange(self.running.address, POST)
        self.running.watched.wait_idle()
        return answer


@pytest.fixture(scope="module", params=["uvicorn", "hardened"])
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switchboard]:
    made = Switchboard(tmp_path_factory.mktemp("spool"))
    hardened = make_server(made.app, port=0) if request.param == "hardened" else None
    with serving(made.app, hardened) as made.running:
        yield made


def whole(answer: Answer | None, status: int = 200) -> Answer:
    assert answer is not None
    assert (answer.status, answer.whole) == (status, True), answer.body[:300]
    return answer


def metric(address: Address, name: str) -> float:
    """The value of a metric of the route `/`, or of one without a route."""
    answer = whole(exchange(address, head((), method=b"GET", target=b"/metrics")))
    found = re.search(rf"^{name}(?:\{{route=\"/\"\}})? (\S+)$", answer.body.decode(), re.MULTILINE)
    assert found, name
    return float(found[1])


def wait_metric(address: Address, name: str, value: float) -> None:
    until(lambda: metric(address, name) == value, f"{name} {value}")


def wait_cancelled(seen: CurrentRequest) -> None:
    until(lambda: seen.cancelled, "that the callback is told that its client has left")


class Held:
    """A model that says when a call has begun, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.go = threading.Event()
        self.calls: list[tuple[Any, CurrentRequest]] = []

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        self.calls.append((json_input, current_request()))
        self.begun.release()
        try:
            assert self.go.wait(LIMIT)
            return answered()
        finally:
            self.ended.release()

    def wait_begun(self) -> None:
        assert self.begun.acquire(timeout=LIMIT)

    def wait_ended(self) -> None:
        assert self.ended.acquire(timeout=LIMIT)


@pytest.fixture
def held() -> Iterator[Held]:
    model = Held()
    yield model
    model.go.set()


def numbered(number: int) -> bytes:
    return request(TYPE, message(part(b"%d" % number)))


# The answer, byte for byte


@pytest.mark.wire(
    "routes: inference POST",
    "response: framing byte for byte",
    "response: fresh random boundary",
    "response: Content-Length when sizes are known",
    "response: JSON as json.dumps writes it",
    "response: output_hash",
    "element: bytes",
    "element: NumPy array",
    "request: callback arguments",
    "request: input_hash",
)
def test_the_answer_is_spelled_as_in_the_contract(spool_dir: Path, serve: Serve) -> None:
    value = answered("probability_mask", "heatmap", "numeric_label_mask") | {
        "z": "ä€",
        "a": [1, 2.5, None, 1e300],
    }
    mask = np.arange(12, dtype=np.int16).reshape(3, 4)
    seen: list[tuple[Any, list[bytes], str]] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        seen.append((json_input, [each.read() for each in inputs], input_hash))
        return value, [mask, b"", b"\r\n--bnd--\r\n"]

    running = serve(gateway(model, spool_dir))
    boundaries = set()
    for _ in range(3):
        answer = whole(exchange(running.address, POST))
        elements = [("application/binary", each) for each in (mask.tobytes(), b"", b"\r\n--bnd--\r\n")]
        boundaries.add(check_reply(answer, value, elements, INPUT_HASH))
        assert answer.header("content-length") == str(len(answer.body))
        assert not answer.chunked
    assert len(boundaries) == 3
    assert min(map(len, boundaries)) >= 16
    assert seen == [({"k": "SECRET"}, [b"pixels"], INPUT_HASH)] * 3


@pytest.mark.wire("response: application/binary types", "response: application/dicom types")
def test_media_types(board: Switchboard) -> None:
    binary = ("probability_mask", "heatmap", "numeric_label_mask", "boolean_mask")
    dicom = ("dicom", "dicom_secondary_capture", "dicom_structured_report", "dicom_gsps")
    value = answered(*binary, *dicom)
    answer = board.ask(lambda *_: (value, [b"x"] * 8))
    elements = [("application/binary", b"x")] * 4 + [("application/dicom", b"x")] * 4
    check_reply(answer, value, elements, INPUT_HASH)


@pytest.mark.wire("response: registered types")
def test_registered_types(spool_dir: Path, serve: Serve) -> None:
    value = answered("my_type", "heatmap", "dicom")
    app = Gateway(
        settings=Settings(spool_dir=spool_dir),
        binary_types={"my_type": "application/x-mine", "dicom": "application/other"},
    )
    app.add_inference_route("/", lambda *_: (value, [b"1", b"2", b"3"]))
    running = serve(app)
    elements = [("application/x-mine", b"1"), ("application/binary", b"2"), ("application/other", b"3")]
    check_reply(exchange(running.address, POST), value, elements, INPUT_HASH)


@pytest.mark.wire("response: parts absent", "response: only json returned")
@pytest.mark.parametrize("value", [{}, {"parts": []}, {"a": 1}])
@pytest.mark.parametrize("form", ["only json", "with None", "with nothing"])
def test_without_elements(value: Any, form: str, board: Switchboard) -> None:
    result = {"only json": value, "with None": (value, None), "with nothing": (value, [])}[form]
    check_reply(board.ask(lambda *_: result), value, [], INPUT_HASH)


@pytest.mark.wire(
    "response: elements any iterable or None",
    "response: NumPy values in the JSON",
    "response: one element for each entry of parts",
)
@pytest.mark.parametrize(
    "wrap",
    [list, tuple, iter, lambda masks: (mask for mask in masks), np.stack],
    ids=["list", "tuple", "iterator", "generator", "array"],
)
def test_elements_as_any_iterable(wrap: Callable[[Any], Any], board: Switchboard) -> None:
    masks = [np.full((2, 3), number, np.uint8) for number in range(4)]
    value = answered(*["boolean_mask"] * 4)
    given = value | {"volume": np.float32(1.5), "box": np.arange(4), "found": np.bool_(True)}
    answer = board.ask(lambda *_: (given, wrap(masks)))
    expected = value | {"volume": 1.5, "box": [0, 1, 2, 3], "found": True}
    elements = [("application/binary", mask.tobytes()) for mask in masks]
    check_reply(answer, expected, elements, INPUT_HASH)


@pytest.mark.wire("response: chunked otherwise", "element: iterable of bytes", "element: path")
def test_an_answer_of_unknown_length(spool_dir: Path, tmp_path: Path, serve: Serve) -> None:
    value = answered("heatmap", "dicom")
    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        return value, [(each.read() for each in inputs), file]

    running = serve(gateway(model, spool_dir))
    answer = whole(exchange(running.address, POST))
    assert answer.chunked
    assert answer.header("content-length") is None
    elements = [("application/binary", b"pixels"), ("application/dicom", bytes(3_000_000))]
    check_reply(answer, value, elements, INPUT_HASH)
    assert [name for name, _, _ in decoded(answer)] == ["json-body", "elem_0", "elem_1", "hashes"]


def test_a_connection_is_used_again(spool_dir: Path, serve: Serve) -> None:
    """After bodies of every size and framing, and after answers of both framings."""
    value = answered("heatmap")

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        size = sum(each.size for each in inputs)
        return value, [b"%d" % size if size % 2 else iter([b"%d" % size])]

    running = serve(gateway(model, spool_dir))
    with Connection(running.address) as connection:
        for size in (0, 1, 65_536, MESSAGE, 3 * MESSAGE + 1, 1, 10 * MESSAGE, 5):
            for chunk in (0, 70_000):
                body = message(part(ROOT), part(bytes(size)))
                connection.send(request(TYPE, body, chunk=chunk))
                answer = whole(connection.read_answer())
                elements = [("application/binary", b"%d" % size)]
                check_reply(answer, value, elements, digest(ROOT, bytes(size)))


@pytest.mark.wire("request: parts closed after the request")
def test_parts_are_closed_when_the_request_has_ended(spool_dir: Path, serve: Serve) -> None:
    kept: list[Any] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        kept.extend(inputs)
        return {}

    app = gateway(model, spool_dir, spool_memory_bytes=0)
    running = serve(app)
    whole(exchange(running.address, request(TYPE, message(part(b"1"), part(b"pixels")))))
    running.watched.wait_idle()
    assert kept[0].closed
    with pytest.raises(ValueError, match="closed"):
        kept[0].read()


def test_one_request_id_everywhere(spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    seen: list[CurrentRequest] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        seen.append(current_request())
        return {}

    app = gateway(model, spool_dir)
    running = serve(app)
    answer = whole(exchange(running.address, POST))
    running.watched.wait_idle()
    identifier = answer.header("x-request-id")
    assert identifier
    assert [(each.request_id, each.route) for each in seen] == [(identifier, "/")]
    lines = [json.loads(line) for line in re.findall(r"\{.*?\}(?= - status 200)", log.text)]
    output_hash = digest(b"{}")
    _, trace_id, span_id, _ = (answer.header("traceparent") or "").split("-")
    tags = {"request_id": identifier, "http.route": "/", "input_hash": INPUT_HASH, "output_hash": output_hash}
    tags |= {"trace_id": trace_id, "span_id": span_id}
    assert [{name: line[name] for name in tags} for line in lines] == [tags]


@pytest.mark.parametrize("path", ["/", "/nowhere"])
@pytest.mark.parametrize("body", [b"", b"no multipart"])
def test_the_callers_ids_are_answered(path: str, body: bytes, spool_dir: Path, serve: Serve) -> None:
    """By whatever answers, also where the answer is a problem."""
    running = serve(gateway(lambda *_: {}, spool_dir))
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    ids = f"X-Request-ID: the-callers-1\r\nTraceparent: 00-{trace_id}-00f067aa0ba902b7-01\r\n".encode()
    sent = request(((b"Content-Type", b"text/plain"),), body) if body else POST
    sent = sent.replace(b"POST / ", f"POST {path} ".encode(), 1).replace(b"\r\n", b"\r\n" + ids, 1)
    answer = exchange(running.address, sent)
    assert answer is not None
    assert answer.status == (404 if path != "/" else 400 if body else 200)
    assert answer.header("x-request-id") == "the-callers-1"
    if answer.status != 200:
        assert json.loads(answer.body)["request_id"] == "the-callers-1"
    _, answered, span_id, flags = (answer.header("traceparent") or "").split("-")
    assert (answered, flags) == (trace_id, "00")  # nothing is recorded
    assert span_id != "00f067aa0ba902b7"


def test_what_is_no_id_is_not_answered(spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    running = serve(gateway(lambda *_: {}, spool_dir))
    uid = b"1.2.840.10008.5.1.4.1.1.2"
    answer = exchange(running.address, POST.replace(b"\r\n", b"\r\nX-Request-ID: " + uid + b"\r\n", 1))
    running.watched.wait_idle()
    assert answer is not None
    assert re.fullmatch("[0-9a-f]{32}", answer.header("x-request-id") or "")
    assert uid.decode() not in log.text


def test_a_callers_id_is_no_boundary(spool_dir: Path, serve: Serve) -> None:
    """Else a caller who knows an element could choose one that is in it."""
    running = serve(gateway(lambda *_: {}, spool_dir))
    answer = exchange(running.address, POST.replace(b"\r\n", b"\r\nX-Request-ID: chosen\r\n", 1))
    assert answer is not None
    assert "chosen" not in (answer.header("content-type") or "")


# Server-Timing, as https://www.w3.org/TR/server-timing/ has it


def timing(answer: Answer | None) -> dict[str, float]:
    """Name of a metric → milliseconds."""
    assert answer is not None
    header = answer.header("server-timing") or ""
    metrics = [re.fullmatch(r"([a-z]+);dur=(\d+\.\d{3})", each) for each in header.split(", ")]
    assert all(metrics), header
    return {found[1]: float(found[2]) for found in metrics if found}


def test_an_answer_tells_how_long_its_phases_took(spool_dir: Path, serve: Serve) -> None:
    went = threading.Event()

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        assert not went.wait(0.05)
        return {}

    found = timing(whole(exchange(serve(gateway(model, spool_dir)).address, POST)))
    assert list(found) == ["upload", "queue", "model", "total"]
    assert found["model"] >= 50
    assert found["total"] >= found["upload"] + found["queue"] + found["model"] - 0.002  # each is rounded


def test_a_problem_tells_it_too(held: Held, spool_dir: Path, serve: Serve) -> None:
    running = serve(gateway(held, spool_dir, queue_timeout=1, max_body_bytes=1000))
    too_long = head((*TYPE, (b"Content-Length", b"1001")))
    assert list(timing(exchange(running.address, too_long))) == ["total"]
    malformed = exchange(running.address, request(TYPE, b"no body of parts"))
    assert list(timing(malformed)) == ["upload", "total"]
    with Connection(running.address) as first:
        first.send(numbered(1))
        held.wait_begun()
        found = timing(exchange(running.address, numbered(2)))
        assert list(found) == ["upload", "queue", "total"]
        assert found["queue"] >= 1000
        held.go.set()
        whole(first.read_answer())


# Streaming


@pytest.mark.wire("element: iterable of bytes")
def test_a_block_is_sent_before_the_next_is_made(spool_dir: Path, serve: Serve) -> None:
    value = answered("heatmap")
    arrived = [threading.Event() for _ in range(3)]

    def produce() -> Iterator[bytes]:
        for number, event in enumerate(arrived):
            yield b"block %d;" % number
            assert event.wait(LIMIT), "the block before did not arrive"

    running = serve(gateway(lambda *_: (value, [produce()]), spool_dir))
    with Connection(running.address) as connection:
        connection.send(POST)
        for number, event in enumerate(arrived):
            connection.read_until(b"block %d;" % number)
            event.set()
        answer = connection.read_answer()
    elements = [("application/binary", b"block 0;block 1;block 2;")]
    check_reply(answer, value, elements, INPUT_HASH)


class BrokenFile(io.BytesIO):
    """A file of known size that cannot be read to its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise OSError("the disk is gone")
        return super().read(min(size or 0, 100_000))


def failing_blocks(error: BaseException) -> Iterator[bytes]:
    yield bytes(100_000)
    raise error


@pytest.mark.wire(
    "response: failing iterable cuts the connection",
    "response: error after the first byte cuts the connection",
    "errors: traceback in the log under the request id",
)
@pytest.mark.parametrize(
    ("make", "chunked"),
    [
        (lambda: failing_blocks(ValueError("no further")), True),
        (lambda: failing_blocks(StopIteration()), True),
        (lambda: failing_blocks(SystemExit("no further")), True),
        (lambda: iter([b"a", "text"]), True),
        (lambda: BrokenFile(bytes(300_000)), False),
    ],
    ids=["generator", "StopIteration", "SystemExit", "not bytes", "file"],
)
def test_an_element_that_fails_on_the_way_cuts_the_connection(
    make: Callable[[], Any], chunked: bool, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    fail = True
    value = answered("heatmap", "heatmap")

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        return value, [b"good", make() if fail else b""]

    running = serve(gateway(model, spool_dir))
    answer = exchange(running.address, POST)
    assert answer is not None
    assert (answer.status, answer.chunked, answer.whole) == (200, chunked, False)
    assert b'name="hashes"' not in answer.body
    running.watched.wait_idle()
    identifier = answer.header("x-request-id") or ""
    assert identifier
    assert any(
        identifier in line and ("Traceback" in line or "something other than bytes" in line)
        for line in log.lines
    ), "the reason is not in the log"
    assert "the model" in log.text
    assert "the gateway itself" not in log.text
    fail = False
    whole(exchange(running.address, POST))
    wait_metric(running.address, "gateway_slots_taken", 0)


def test_a_file_that_shrinks_on_the_way_cuts_the_connection(
    spool_dir: Path, tmp_path: Path, serve: Serve
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(10 * MESSAGE))
    halves = iter([bytes(MESSAGE)])

    def shrink() -> Iterator[bytes]:
        yield from halves
        file.write_bytes(b"")

    value = answered("heatmap", "heatmap")
    running = serve(gateway(lambda *_: (value, [shrink(), file]), spool_dir))
    answer = exchange(running.address, POST)
    assert answer is not None
    assert not answer.whole


# Refusals


@pytest.mark.wire(
    "refused: model raised",
    "errors: problem+json",
    "errors: nothing that came in is echoed",
    "errors: traceback in the log under the request id",
)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("HIDDEN"),
        StopIteration("HIDDEN"),
        SystemExit("HIDDEN"),
        KeyboardInterrupt("HIDDEN"),
        TimeoutError("HIDDEN"),
        GeneratorExit("HIDDEN"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_model_that_raises(error: BaseException, board: Switchboard, log: LogCapture) -> None:
    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        raise error

    answer = board.ask(model)
    problem = check_problem(answer, 500)
    assert answer is not None
    assert answer.header("x-request-id") == problem["request_id"]
    for word in (b"HIDDEN", b"SECRET", type(error).__name__.encode(), __file__.encode()):
        assert word not in answer.body
    (line,) = log.tracebacks
    assert problem["request_id"] in line
    assert f"{type(error).__name__}: HIDDEN" in line
    whole(board.ask(nothing))
    assert left_in(board.spool_dir) == []


class AsyncRaising:
    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error

    async def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {}


@pytest.mark.wire("refused: model raised")
@pytest.mark.parametrize(
    "error",
    [ValueError("HIDDEN"), SystemExit("HIDDEN")],
    ids=lambda error: type(error).__name__,
)
def test_an_async_model_that_raises(
    error: BaseException, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    model = AsyncRaising(error)
    running = serve(gateway(model, spool_dir))
    answer = exchange(running.address, POST)
    problem = check_problem(answer, 500)
    assert any(problem["request_id"] in line and "HIDDEN" in line for line in log.tracebacks)
    model.error = None
    whole(exchange(running.address, POST))


def test_nan_becomes_null(board: Switchboard) -> None:
    """Where it stood is told among the other faults of an answer."""
    value = {"scores": [1.0, float("nan")]}
    check_reply(board.ask(lambda *_: value), {"scores": [1.0, None]}, [], INPUT_HASH)


@pytest.mark.wire(
    "refused: model returned what does not fit",
    "response: one element for each entry of parts",
    "response: binary_type missing or unknown",
    "element: refused kinds",
)
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ((answered("heatmap"), []), "0 elements for 1"),
        ((answered(), [b""]), "1 elements for 0"),
        (answered("heatmap"), "0 elements for 1"),
        ((answered("nothing known"), [b""]), r"parts\[0\]"),
        (({"parts": [{"binary_type": "heatmap"}, {}]}, [b"", b""]), r"parts\[1\]"),
        (({"parts": ["heatmap"]}, [b""]), r"parts\[0\]"),
        (({"parts": 1}, []), "int"),
        ((answered("heatmap"), ["HIDDEN"]), "str"),
        ((answered("heatmap"), [[1, 2]]), "list"),
        ((answered("heatmap"), [{}]), "dict"),
        ((answered("heatmap"), [io.StringIO("HIDDEN")]), "StringIO"),
        ((answered("heatmap"), [Path("/no/such/file")]), "FileNotFoundError"),
        ((answered("heatmap"), [Path("/")]), "element 0"),
        ((answered("heatmap"), [np.array([None])]), "ndarray"),
        ((answered("heatmap"), 7), "int"),
        ((answered("heatmap"), b"x"), "bytes"),
        ((answered(), [], 1), "tuple of 3"),
        ((answered("heatmap"), [range(1, 3)]), "element 0 .* other than bytes: a int"),
        ({"a": [{"b": {1, 2}}]}, r"JSON .* a\[0\]\.b: set"),
        ({"a": {("b",): 1}}, "JSON .* a has a key of type tuple"),
        (None, "None .is a return missing.*, elements"),
        ([{}, []], "a list, not the JSON object"),
        (("{}", []), "a str, not the JSON object"),
    ],
)
def test_a_result_that_does_not_fit(result: Any, reason: str, board: Switchboard, log: LogCapture) -> None:
    """Before the first byte is sent; the reason is the operator's."""
    answer = board.ask(lambda *_: result)
    problem = check_problem(answer, 500)
    assert answer is not None
    assert b"HIDDEN" not in answer.body
    told = [line for line in log.lines if problem["request_id"] in line and "does not fit" in line]
    assert len(told) == 1
    assert re.search(reason, told[0].partition("does not fit")[2])
    assert "HIDDEN" not in log.text


def test_elements_that_fail_before_the_first_byte(board: Switchboard, log: LogCapture) -> None:
    def elements() -> Iterator[bytes]:
        yield b""
        raise ValueError("HIDDEN")

    answer = board.ask(lambda *_: (answered("heatmap", "heatmap"), elements()))
    problem = check_problem(answer, 500)
    assert any(problem["request_id"] in line for line in log.tracebacks)


@pytest.mark.setting("MODEL_TIMEOUT")
@pytest.mark.wire("refused: deadline passed")
def test_a_deadline_and_the_slot_after_it(held: Held, spool_dir: Path, serve: Serve) -> None:
    running = serve(gateway(held, spool_dir, model_timeout=0.2, queue_timeout=LIMIT))
    check_problem(exchange(running.address, numbered(1)), 504)
    held.wait_begun()
    assert held.calls[0][1].cancelled
    wait_metric(running.address, "gateway_slots_taken", 1)
    wait_metric(running.address, "gateway_orphaned", 1)
    with Connection(running.address) as second:
        begun = running.watched.begun
        second.send(numbered(2))
        running.watched.wait_until(begun + 1)
        assert not held.begun.acquire(blocking=False)  # the slot is taken as long as the thread is
        held.go.set()
        whole(second.read_answer())
    assert [value for value, _ in held.calls] == [1, 2]
    wait_metric(running.address, "gateway_slots_taken", 0)
    wait_metric(running.address, "gateway_orphaned", 0)


@pytest.mark.wire("refused: deadline passed")
def test_an_async_model_is_cancelled_at_its_deadline(spool_dir: Path, serve: Serve) -> None:
    cancelled = threading.Event()

    async def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = serve(gateway(model, spool_dir, model_timeout=0.1))
    check_problem(exchange(running.address, POST), 504)
    assert cancelled.wait(LIMIT)


@pytest.mark.setting("MAX_QUEUE")
@pytest.mark.wire("refused: queue full")
def test_a_full_queue(held: Held, spool_dir: Path, serve: Serve) -> None:
    """One in the slot, one waiting for it, one uploading: no place is left for a fourth."""
    running = serve(gateway(held, spool_dir, max_queue=2))
    with (
        Connection(running.address) as first,
        Connection(running.address) as second,
        Connection(running.address) as third,
    ):
        first.send(numbered(1))
        held.wait_begun()
        second.send(numbered(2))
        third.send(numbered(3)[:-5])
        running.watched.wait_until(3)
        # The probe below is answered after the two have had their turn on the event loop.
        assert metric(running.address, "gateway_queued") == 2
        check_retry(exchange(running.address, numbered(4)))
        held.go.set()
        third.send(numbered(3)[-5:])
        for connection in (first, second, third):
            whole(connection.read_answer())
    assert [value for value, _ in held.calls] == [1, 2, 3]
    whole(exchange(running.address, numbered(5)))


def check_retry(answer: Answer | None) -> None:
    check_problem(answer, 503)
    assert answer is not None
    assert int(answer.header("retry-after") or "") >= 1


@pytest.mark.setting("QUEUE_TIMEOUT")
@pytest.mark.wire("refused: queue waited too long")
def test_waiting_too_long_in_the_queue(held: Held, spool_dir: Path, serve: Serve) -> None:
    running = serve(gateway(held, spool_dir, queue_timeout=0.2))
    with Connection(running.address) as first:
        first.send(numbered(1))
        held.wait_begun()
        check_retry(exchange(running.address, numbered(2)))
        held.go.set()
        whole(first.read_answer())
    whole(exchange(running.address, numbered(3)))
    assert [value for value, _ in held.calls] == [1, 3]


@pytest.mark.setting("MAX_UPLOADS")
@pytest.mark.wire("refused: upload slots spent")
def test_too_many_uploads(spool_dir: Path, serve: Serve) -> None:
    app = gateway(nothing, spool_dir, max_uploads=2)
    app.add_inference_route("/other", nothing)
    running = serve(app)
    with Connection(running.address) as first, Connection(running.address) as second:
        first.send(POST[:-5])
        second.send(POST[:-5].replace(b"POST / ", b"POST /other "))
        running.watched.wait_until(2)
        check_retry(exchange(running.address, POST))
        first.send(POST[-5:])
        whole(first.read_answer())
        whole(exchange(running.address, POST))
        second.send(POST[-5:])
        whole(second.read_answer())
    assert metric(running.address, "gateway_uploads") == 0


def test_slots_go_in_the_order_in_which_bodies_were_complete(
    held: Held, spool_dir: Path, serve: Serve
) -> None:
    running = serve(gateway(held, spool_dir))
    with Connection(running.address) as first:
        first.send(numbered(0))
        held.wait_begun()
        connections = [Connection(running.address) for _ in range(4)]
        for number, connection in enumerate(connections, 1):
            connection.send(numbered(number)[:-5])
            running.watched.wait_until(number + 1)
        order = [3, 1, 4, 2]
        for done, number in enumerate(order, 1):
            connections[number - 1].send(numbered(number)[-5:])
            wait_metric(running.address, "gateway_uploads", len(order) - done)
        held.go.set()
        for connection in (first, *connections):
            whole(connection.read_answer())
            connection.close()
    assert [value for value, _ in held.calls] == [0, *order]


def test_models_of_two_routes_run_side_by_side(held: Held, spool_dir: Path, serve: Serve) -> None:
    app = gateway(held, spool_dir)
    app.add_inference_route("/other", nothing)
    running = serve(app)
    with Connection(running.address) as first:
        first.send(POST)
        held.wait_begun()
        whole(exchange(running.address, POST.replace(b"POST / ", b"POST /other ")))
        held.go.set()
        whole(first.read_answer())


# Early answers


def serve_early(status: int, serve: Serve, spool_dir: Path) -> tuple[RunningServer, Headers]:
    """A gateway, and headers by which it refuses with this status before the body is read."""
    app = gateway(nothing, spool_dir, max_body_bytes=MESSAGE if status == 413 else 100 * MESSAGE)
    running = serve(app)
    if status == 503:
        app.drain()
    return running, ((b"Content-Type", b"application/json"),) if status == 400 else TYPE


@pytest.mark.wire("aftermath: early answer seen while still sending")
@pytest.mark.parametrize(
    ("status", "how"),
    [
        *((status, how) for status in (400, 503) for how in ("Content-Length", "chunked", "Expect")),
        *((413, how) for how in ("Content-Length", "Expect")),  # chunked, nothing is declared
    ],
)
@pytest.mark.slow
def test_every_client_that_is_still_sending_sees_an_early_answer(
    status: int, how: str, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    """Five at once, each of which reads only when it has sent all its 20 MB, asked to or not."""
    running, headers = serve_early(status, serve, spool_dir)
    piece = bytes(MESSAGE)
    framing: Headers = ((b"Content-Length", b"%d" % (20 * MESSAGE)),)
    if how == "chunked":
        piece, framing = chunked(piece, MESSAGE)[0], ((b"Transfer-Encoding", b"chunked"),)
    elif how == "Expect":
        framing = (*framing, (b"Expect", b"100-continue"))
    request_head = head((*headers, *framing))

    def send(_: int) -> Answer | None:
        with Connection(running.address, limit=60) as connection:
            connection.send(request_head, *itertools.repeat(piece, 20))
            return connection.read_answer()

    with ThreadPoolExecutor(5) as clients:
        answers = list(clients.map(send, range(5)))
    for answer in answers:
        check_problem(answer, status)
        assert answer is not None
        assert answer.header("connection") == "close"
    running.watched.wait_idle()
    assert left_in(spool_dir) == []
    assert log.tracebacks == []


@pytest.mark.wire("request: Expect 100-continue", "aftermath: early answer seen while still sending")
@pytest.mark.parametrize("size", [100, 20 * MESSAGE])
@pytest.mark.parametrize("status", [400, 413, 503])
@pytest.mark.slow
def test_an_early_refusal_asks_for_no_body(status: int, size: int, spool_dir: Path, serve: Serve) -> None:
    if status == 413:
        size += MESSAGE
    running, headers = serve_early(status, serve, spool_dir)
    headers = (*headers, (b"Content-Length", b"%d" % size), (b"Expect", b"100-continue"))
    with Connection(running.address) as connection:
        connection.send(head(headers))
        answer = connection.read_answer()
        check_problem(answer, status)
        assert answer is not None
        assert answer.interim == ()
        connection.half_close()
        assert connection.rest() == b""  # and no 100 afterwards


@pytest.mark.wire("request: Expect 100-continue")
@pytest.mark.parametrize("size", [100, 20 * MESSAGE])
def test_an_expected_100_continue_comes_once(size: int, spool_dir: Path, serve: Serve) -> None:
    running = serve(gateway(nothing, spool_dir))
    body = message(part(ROOT), part(bytes(size)))
    headers = (*TYPE, (b"Content-Length", b"%d" % len(body)), (b"Expect", b"100-continue"))
    with Connection(running.address) as connection:
        for _ in range(2):
            connection.send(head(headers))
            assert connection.read_interim() == 100
            connection.send(body)
            assert whole(connection.read_answer()).interim == ()


@pytest.mark.wire("refused: draining")
def test_a_gateway_that_is_shutting_down_takes_nothing_new(held: Held, spool_dir: Path, serve: Serve) -> None:
    """What it has taken, also what is still coming in, goes on."""
    app = gateway(held, spool_dir)
    running = serve(app)
    with Connection(running.address) as first, Connection(running.address) as second:
        first.send(numbered(1))
        held.wait_begun()
        second.send(numbered(2)[:-5])
        running.watched.wait_until(2)
        assert metric(running.address, "gateway_uploads") == 1  # so it has been let in
        app.drain()
        check_retry(exchange(running.address, numbered(3)))
        second.send(numbered(2)[-5:])
        held.go.set()
        whole(first.read_answer())
        whole(second.read_answer())
    assert [value for value, _ in held.calls] == [1, 2]


# Clients that leave


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_the_queue(how: str, held: Held, spool_dir: Path, serve: Serve) -> None:
    """Its model is never called, and its place is free."""
    running = serve(gateway(held, spool_dir, max_queue=1))
    with Connection(running.address) as first:
        first.send(numbered(1))
        held.wait_begun()
        second = Connection(running.address)
        second.send(numbered(2))
        running.watched.wait_until(2)
        wait_metric(running.address, "gateway_uploads", 0)
        getattr(second, how)()
        wait_metric(running.address, "gateway_queued", 0)
        with Connection(running.address) as third:
            third.send(numbered(3))
            held.go.set()
            whole(first.read_answer())
            whole(third.read_answer())
    assert [value for value, _ in held.calls] == [1, 3]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_its_model(
    how: str, held: Held, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    app = gateway(held, spool_dir, spool_memory_bytes=0)
    running = serve(app)
    connection = Connection(running.address)
    connection.send(numbered(1))
    held.wait_begun()
    seen = held.calls[0][1]
    assert not seen.cancelled
    getattr(connection, how)()
    wait_cancelled(seen)
    running.watched.wait_idle()
    assert seen.cancelled
    wait_metric(running.address, "gateway_orphaned", 1)
    assert len(left_in(spool_dir)) == 1  # the callback may still read
    held.go.set()
    held.wait_ended()
    whole(exchange(running.address, numbered(2)))
    wait_metric(running.address, "gateway_orphaned", 0)
    wait_metric(running.address, "gateway_slots_taken", 0)
    assert log.tracebacks == []


def test_an_input_stays_readable_for_a_model_whose_client_has_left(spool_dir: Path, serve: Serve) -> None:
    """The spool is closed when the thread has ended, and not before."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()
    read: list[bytes] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        try:
            begun.set()
            assert go.wait(LIMIT)
            read.append(inputs[0].read())
        finally:
            ended.set()

    running = serve(gateway(model, spool_dir, spool_memory_bytes=0))
    with Connection(running.address) as connection:
        connection.send(POST)
        assert begun.wait(LIMIT)
    running.watched.wait_idle()
    go.set()
    assert ended.wait(LIMIT)
    assert read == [b"pixels"]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_the_answer(how: str, spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    """The generator is stopped, where it may: on a thread of the model."""
    stopped = threading.Event()
    threads: list[str] = []
    made = 0

    def endless() -> Iterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 1
                yield bytes(MESSAGE)
        finally:
            threads.append(threading.current_thread().name)
            stopped.set()

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        threads.append(threading.current_thread().name)
        return answered("heatmap"), [endless()]

    running = serve(gateway(model, spool_dir))
    connection = Connection(running.address)
    connection.send(POST)
    connection.read_until(3 * MESSAGE)
    getattr(connection, how)()
    assert stopped.wait(LIMIT), "the generator is still open"
    running.watched.wait_idle()
    assert made < 100
    wait_metric(running.address, "gateway_slots_taken", 0)
    assert log.tracebacks == []
    assert len(set(threads)) == 1, "the generator was ended on a thread that is not the model's"


def test_a_client_that_leaves_while_a_block_is_made(spool_dir: Path, serve: Serve) -> None:
    """`cancelled` says so to the generator; the slot is free when it has come back."""
    begun, go = threading.Event(), threading.Event()
    seen: list[CurrentRequest] = []

    def produce() -> Iterator[bytes]:
        yield b"first"
        seen.append(current_request())
        begun.set()
        assert go.wait(LIMIT)
        yield b"second"

    running = serve(gateway(lambda *_: (answered("heatmap"), [produce()]), spool_dir))
    with Connection(running.address) as connection:
        connection.send(POST)
        assert begun.wait(LIMIT)
    wait_cancelled(seen[0])
    running.watched.wait_idle()
    wait_metric(running.address, "gateway_orphaned", 1)
    go.set()
    wait_metric(running.address, "gateway_slots_taken", 0)
    wait_metric(running.address, "gateway_orphaned", 0)


def test_a_client_that_takes_nothing_of_the_answer(spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    size = 64 * MESSAGE
    app = gateway(lambda *_: (answered("heatmap"), [bytes(size)]), spool_dir, send_timeout=0.3)
    running = serve(app)
    with Connection(running.address) as connection:
        connection.send(POST)
        running.watched.wait_until(1)
        running.watched.wait_idle()
        answer = connection.read_answer()
    assert answer is not None
    assert not answer.whole
    assert "too long" in log.text
    wait_metric(running.address, "gateway_slots_taken", 0)


def test_a_slow_client_keeps_no_slot(held: Held, spool_dir: Path, serve: Serve) -> None:
    """Unless the answer has an iterable, the model is free for the next while this one is sent."""
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    sizes = iter([64 * MESSAGE, 1])
    app.add_inference_route("/", lambda *_: (answered("heatmap"), [bytes(next(sizes))]))
    running = serve(app)
    with Connection(running.address) as slow:
        slow.send(POST)
        slow.read_until(b"200 OK")
        assert len(whole(exchange(running.address, POST)).body) < 1000
        assert len(cast(Answer, slow.read_answer()).body) > 64 * MESSAGE


# Cancelled from outside


class TimeLimit:
    """A middleware that cancels what takes too long, and says what it has seen."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(0.3):
                await self._app(scope, receive, noting)
            self._seen.append("it returned")
        except TimeoutError:
            self._seen.append("time is up")
            if begun:
                raise
            await send({"type": "http.response.start", "status": 599, "headers": []})
            await send({"type": "http.response.body", "body": b"the middleware's"})


@pytest.mark.parametrize("stage", ["upload", "queue", "model"])
@pytest.mark.slow
def test_a_middlewares_time_limit_is_its_own(
    stage: str, held: Held, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    seen: list[str] = []
    limit = Middleware(TimeLimit, seen)
    app = Gateway(settings=Settings(spool_dir=spool_dir), middleware=[limit])
    app.add_inference_route("/", held)
    running = serve(app)
    with Connection(running.address) as first:
        if stage == "queue":
            first.send(numbered(0))
            held.wait_begun()
        with Connection(running.address) as connection:
            connection.send(numbered(1)[:-5] if stage == "upload" else numbered(1))
            answer = connection.read_answer()
    assert answer is not None
    assert (answer.status, answer.body) == (599, b"the middleware's")
    running.watched.wait_idle()
    held.go.set()
    assert set(seen) == {"time is up"}
    assert "shutting down" not in log.text
    assert log.tracebacks == []


def test_a_middlewares_time_limit_in_the_middle_of_an_answer_cuts_it(
    spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1000)

    seen: list[str] = []
    limit = Middleware(TimeLimit, seen)
    app = Gateway(settings=Settings(spool_dir=spool_dir), middleware=[limit])
    app.add_inference_route("/", lambda *_: (answered("heatmap"), [endless()]))
    running = serve(app)
    answer = exchange(running.address, POST)
    assert answer is not None
    assert not answer.whole
    running.watched.wait_idle()
    assert seen == ["time is up"]
    assert "shutting down" not in log.text
    wait_metric(running.address, "gateway_slots_taken", 0)


@pytest.mark.wire("refused: draining")
@pytest.mark.parametrize("hardened", [True, False], ids=["hardened", "uvicorn"])
@pytest.mark.slow
def test_the_end_of_a_drain_says_so(hardened: bool, held: Held, spool_dir: Path, log: LogCapture) -> None:
    app = gateway(held, spool_dir, drain_timeout=1)
    server = make_server(app, port=0) if hardened else plain_server(app, timeout_graceful_shutdown=1)
    with serving(app, server) as running, Connection(running.address) as connection:
        connection.send(numbered(1))
        held.wait_begun()
        running.server.should_exit = True
        problem = check_problem(connection.read_answer(), 503)
        assert "shutting down" in problem["detail"]
    held.go.set()
    assert log.tracebacks == []
