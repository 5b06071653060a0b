"""The client: whole and true answers or an error, against real gateways and against servers that lie."""

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.client import InferenceClient, InferenceResult, Input, Progress
from inference_gateway.errors import (
    BrokenAnswer,
    CutAnswer,
    GatewayUnreachable,
    HashMismatch,
    Overloaded,
    ProblemAnswer,
)
from inference_gateway.server import make_server
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import RECEIVE_SIZE, Address
from tests.harness.server import RunningServer, left_in
from tests.harness.wire import digest, reply_bytes

MESSAGE = 1 << 20
LIMIT = 20.0
MASK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
SHAPE = {"depth": 2, "height": 3, "width": 4}
ANSWER = {
    "protocol_version": "1.0",
    "parts": [
        {"binary_type": "numeric_label_mask", "binary_data_shape": SHAPE, "label": "liver"},
        {"binary_type": "dicom"},
    ],
}


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return ANSWER | {"got": json_input}, [MASK, b"".join(each.read() for each in inputs)]


def streaming_model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return ANSWER | {"got": json_input}, [MASK, (each.read() for each in inputs)]


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Callable[..., RunningServer]:
    def run(called: Callable[..., Any] = model, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", called)
        app.add_inference_route("/other", called)
        return serve(app, make_server(app, port=0))

    return run


Start = Callable[..., RunningServer]


def url(address: Address) -> str:
    return f"http://{address[0]}:{address[1]}"


@contextmanager
def client(address: Address, **options: Any) -> Iterator[InferenceClient]:
    with InferenceClient(url(address), trust_env=False, **{"timeout": LIMIT, **options}) as made:
        yield made


def check_result(result: InferenceResult, json_input: Any, body: bytes) -> None:
    assert result.json == ANSWER | {"got": json_input}
    assert [element.part for element in result.elements] == ANSWER["parts"]
    first, second = result.elements
    assert (first.content_type, first.size) == ("application/binary", MASK.nbytes)
    assert (second.content_type, second.size) == ("application/dicom", len(body))
    assert (first.read(), second.read()) == (MASK.tobytes(), body)
    text = json.dumps(result.json).encode()
    assert result.input_hash == digest(json.dumps(json_input).encode(), body)
    assert result.output_hash == digest(text, MASK.tobytes(), body)


# Whole answers


@pytest.mark.parametrize("called", [model, streaming_model])
def test_a_whole_answer(called: Callable[..., Any], start: Start, tmp_path: Path) -> None:
    running = start(called)
    (tmp_path / "file").write_bytes(b"from a path;")
    file = io.BytesIO(b"skipped? from a file;")
    file.seek(9)
    inputs: list[Input] = [tmp_path / "file", b"bytes;", b"", file]
    with client(running.address) as gateway:
        for route in ("/", "/other", "/"):
            with gateway.infer({"k": "ä"}, inputs, route=route) as result:
                check_result(result, {"k": "ä"}, b"from a path;bytes;skipped? from a file;")
                assert set(result.timings) == {"upload", "model", "download"}
                assert all(seconds >= 0 for seconds in result.timings.values())


def test_without_inputs_and_without_elements(start: Start) -> None:
    running = start(lambda json_input, inputs, _: [json_input, len(inputs)])
    with client(running.address) as gateway, gateway.infer(None) as result:
        assert result.json == [None, 0]
        assert result.elements == []


def test_an_element_as_an_array(start: Start) -> None:
    running = start()
    with client(running.address) as gateway, gateway.infer(1) as result:
        array = result.elements[0].array(np.int16)
        np.testing.assert_array_equal(array, MASK)
        with pytest.raises(ValueError, match="reshape"):
            result.elements[0].array()  # of another item size than was sent
        with pytest.raises(ValueError, match="binary_data_shape"):
            result.elements[1].array()


def test_the_order_of_axes_is_the_contracts(start: Start) -> None:
    """Whatever the order of the keys."""
    volume = np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    shape = {"width": 5, "timepoints": 2, "height": 4, "depth": 3}
    value = {"parts": [{"binary_type": "heatmap", "binary_data_shape": shape}]}
    running = start(lambda *_: (value, [volume]))
    with client(running.address) as gateway, gateway.infer(1) as result:
        np.testing.assert_array_equal(result.elements[0].array(), volume)


def test_saving_an_element(start: Start, tmp_path: Path) -> None:
    running = start()
    data = bytes(range(256)) * 20_000
    with client(running.address) as gateway, gateway.infer(1, [data]) as result:
        for _ in range(2):
            result.elements[1].save(tmp_path / "saved")
            assert (tmp_path / "saved").read_bytes() == data


def test_a_closed_result_is_closed(start: Start) -> None:
    running = start()
    with client(running.address) as gateway:
        result = gateway.infer(1, [b"x"])
        array = result.elements[0].array(np.int16)
        result.close()
        result.close()
        with pytest.raises(ValueError, match="closed"):
            result.elements[0].read()
        np.testing.assert_array_equal(array, MASK)  # an array is the caller's own


@pytest.mark.parametrize("called", [model, streaming_model], ids=["length", "chunked"])
def test_progress_adds_up(called: Callable[..., Any], start: Start) -> None:
    running = start(called)
    seen: list[Progress] = []
    data = bytes(3 * MESSAGE + 5)
    with (
        client(running.address) as gateway,
        gateway.infer(1, [data, b"", data], on_progress=seen.append) as result,
    ):
        size = sum(element.size for element in result.elements)
    assert {(each.total, each.files) for each in seen} == {(seen[-1].total, 3)}
    for count in ("sent", "files_sent", "received"):
        values = [getattr(each, count) for each in seen]
        assert values == sorted(values)
    assert seen[0].sent < seen[-1].sent == seen[-1].total > 2 * len(data)
    assert seen[0].files_sent < seen[-1].files_sent == 3
    assert any(each.sent == each.total and not each.received for each in seen)
    assert seen[-1].received > size
    assert seen[-1].answer_total == (seen[-1].received if called is model else None)


PEAK = """
import sys
from pathlib import Path
from inference_gateway.client import InferenceClient

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

url, *files = sys.argv[1:]
with InferenceClient(url, trust_env=False) as gateway:
    gateway.infer(1, [b"x"]).close()
    before = peak()
    with gateway.infer(1, [Path(file) for file in files]) as result:
        size = result.elements[1].size
    print(peak() - before, size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_stays_constant(start: Start, tmp_path: Path) -> None:
    """200 MB out of files and back again."""
    files = []
    for number in range(2):
        files.append(tmp_path / f"{number}.raw")
        with files[-1].open("wb") as file:
            file.truncate(100 * MESSAGE)
    running = start(lambda _, inputs, __: (ANSWER, [MASK, blocks(inputs)]))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, url(running.address), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    kilobytes, size = map(int, done.stdout.split())
    assert size == 200 * MESSAGE
    assert kilobytes < 32 * 1024


def blocks(inputs: Sequence[Any]) -> Iterator[bytes]:
    for each in inputs:
        yield from iter(lambda each=each: each.read(MESSAGE), b"")  # type: ignore[misc]  # of a lambda's default


# No answer, or a problem


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = closed.getsockname()
    with client(address) as gateway, pytest.raises(GatewayUnreachable):
        gateway.infer(1)


def test_an_answer_that_does_not_come() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        client(silent.getsockname(), timeout=0.2) as gateway,
        pytest.raises(GatewayUnreachable),
    ):
        gateway.infer(1, [b"x"])


def test_a_problem(start: Start, log: LogCapture) -> None:
    def fail(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        raise ValueError("no")

    running = start(fail)
    with client(running.address) as gateway, pytest.raises(ProblemAnswer) as problem:
        gateway.infer(1)
    assert problem.value.status == 500
    assert "log" in problem.value.detail
    assert problem.value.request_id
    assert problem.value.request_id in log.text


@pytest.mark.wire("aftermath: early answer seen while still sending")
def test_a_problem_while_still_sending(start: Start) -> None:
    running = start(max_body_bytes=1000)
    with client(running.address) as gateway:
        for _ in range(3):
            with pytest.raises(ProblemAnswer) as problem:
                gateway.infer(1, [bytes(20 * MESSAGE)])
            assert problem.value.status == 413
        with gateway.infer(1, [b"x"]) as result:
            assert result.elements[1].read() == b"x"


def test_a_route_that_is_not_there(start: Start) -> None:
    running = start()
    with client(running.address) as gateway, pytest.raises(ProblemAnswer) as problem:
        gateway.infer(1, route="/none")
    assert problem.value.status == 404


def test_an_overloaded_gateway(start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> int:
        begun.set()
        assert go.wait(LIMIT)
        return 1

    running = start(held, queue_timeout=0.1)

    def ask() -> None:
        with client(running.address) as first:
            first.infer(1).close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert begun.wait(LIMIT)
        with client(running.address) as gateway, pytest.raises(Overloaded) as overload:
            gateway.infer(1)
    finally:
        go.set()
        asking.join()
    assert overload.value.status == 503
    assert overload.value.retry_after is not None
    assert overload.value.retry_after >= 1
    assert isinstance(overload.value, ProblemAnswer)


# Servers that answer what they like


@contextmanager
def server(respond: Callable[[socket.socket, bytes], None]) -> Iterator[Address]:
    """Reads whole requests with a length and lets `respond` answer each; then it closes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                respond(connection, read_request(connection))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)


def read_request(connection: socket.socket) -> bytes:
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(RECEIVE_SIZE)
    header, _, body = came.partition(b"\r\n\r\n")
    lengths = [line for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2])
    while len(body) < length:
        body += connection.recv(RECEIVE_SIZE)
    return header + b"\r\n\r\n" + body


def forward(to: Address, sent: bytes) -> bytes:
    """Everything that a real gateway answers."""
    with socket.create_connection(to, timeout=LIMIT) as connection:
        connection.sendall(sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return b"".join(iter(lambda: connection.recv(RECEIVE_SIZE), b""))


def answer_of(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.wire("response: client refuses an answer without hashes", "response: output_hash")
@pytest.mark.parametrize("called", [model, streaming_model], ids=["length", "chunked"])
def test_an_answer_that_is_cut_anywhere(called: Callable[..., Any], start: Start) -> None:
    """A proxy cuts it after every number of bytes: there is never a result but of the whole."""
    running = start(called)
    at = 0
    whole = 0

    def respond(connection: socket.socket, sent: bytes) -> None:
        nonlocal whole
        answer = forward(running.address, sent)
        whole = len(answer)
        connection.sendall(answer[:at])

    outcomes: dict[str, int] = {}
    with server(respond) as proxy, client(proxy) as gateway:
        while not whole or at < whole:
            with pytest.raises((CutAnswer, GatewayUnreachable)) as error:
                gateway.infer({"k": 1}, [b"pixels"])
            outcomes[error.type.__name__] = outcomes.get(error.type.__name__, 0) + 1
            at += 1
        with gateway.infer({"k": 1}, [b"pixels"]) as result:
            check_result(result, {"k": 1}, b"pixels")
    assert set(outcomes) == {"CutAnswer", "GatewayUnreachable"}
    assert outcomes["CutAnswer"] > 500


def canned(value: bytes, *elements: tuple[str, bytes], json_input: Any = 1) -> bytes:
    """A true answer to a request without inputs, with `value` in place of its JSON."""
    input_hash = digest(json.dumps(json_input).encode())
    body = reply_bytes("T", {"parts": []}, elements, input_hash)
    output_hash = digest(b'{"parts": []}', *(each for _, each in elements))
    true_hash = digest(value, *(each for _, each in elements))
    return body.replace(b'{"parts": []}', value).replace(output_hash.encode(), true_hash.encode())


RELATED = "Content-Type: multipart/related; boundary=T"
TRUE = canned(b'{"parts": [{"binary_type": "heatmap"}]}', ("application/binary", b"pixels"))


def ask(answer: bytes) -> Any:
    """What the client makes of an answer: the JSON of a whole one."""
    with (
        server(lambda connection, _: connection.sendall(answer)) as address,
        client(address) as gateway,
        gateway.infer(1) as result,
    ):
        return result.json


def test_a_canned_answer_is_taken() -> None:
    assert ask(answer_of("200 OK", RELATED, body=TRUE)) == {"parts": [{"binary_type": "heatmap"}]}


@pytest.mark.wire("response: client refuses an answer without hashes")
def test_an_answer_that_ends_with_its_connection_is_cut_anywhere() -> None:
    """Without a length nothing but the hashes part and the close delimiter say that it is whole."""
    header = f"HTTP/1.1 200 OK\r\n{RELATED}\r\n\r\n".encode()
    sent = b""

    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(sent)

    with server(respond) as address, client(address) as gateway:
        for at in range(len(TRUE) - len(b"\r\n")):
            sent = header + TRUE[:at]
            with pytest.raises(CutAnswer):
                gateway.infer(1)
        sent = header + TRUE
        gateway.infer(1).close()


def without_hashes() -> bytes:
    part = TRUE.index(b'--T\r\nContent-Disposition: form-data; name="hashes"')
    return TRUE[:part] + b"--T--\r\n"


@pytest.mark.wire("response: client refuses an answer without hashes")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (without_hashes(), CutAnswer),
        (TRUE.replace(b"pixels", b"pixelz"), HashMismatch),
        (TRUE.replace(b'"heatmap"', b'"heatmop"'), HashMismatch),
        (TRUE.replace(digest(b"1").encode(), digest(b"2").encode()), HashMismatch),
        (TRUE.replace(digest(b"1").encode(), b""), HashMismatch),
        (canned(b"{}", ("application/binary", b"x")), BrokenAnswer),
        (canned(b'{"parts": [{}]}'), BrokenAnswer),
        (canned(b'{"parts": null}'), BrokenAnswer),
        (canned(b'{"parts": 7}'), BrokenAnswer),
        (canned(b"no JSON"), BrokenAnswer),
        (canned(b"\xff"), BrokenAnswer),
        (TRUE + b"more", BrokenAnswer),
        (b"", CutAnswer),
        (b"--T--\r\n", CutAnswer),
    ],
    ids=[
        "no hashes part",
        "another element",
        "other JSON",
        "another input hash",
        "no input hash",
        "an element too many",
        "an element too few",
        "parts is null",
        "parts is a number",
        "no JSON",
        "no text",
        "more behind the end",
        "empty",
        "no part",
    ],
)
def test_an_answer_that_is_not_true(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(answer_of("200 OK", RELATED, body=body))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "Content-Type: text/html",
        "Content-Type: multipart/related",
        "Content-Type: multipart/related; boundary=",
    ],
)
def test_an_answer_of_another_kind(content_type: str) -> None:
    with pytest.raises(BrokenAnswer):
        ask(answer_of("200 OK", *filter(None, [content_type]), body=TRUE))


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 2099 07:28:00 GMT", None),
    ],
)
def test_retry_after(retry_after: str, seconds: float | None) -> None:
    body = json.dumps({"detail": "later", "request_id": "r"}).encode()
    with pytest.raises(Overloaded) as overload:
        ask(answer_of("503 Service Unavailable", f"Retry-After: {retry_after}", body=body))
    assert overload.value.retry_after == seconds
    assert (overload.value.detail, overload.value.request_id) == ("later", "r")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"title": "x"}', b"\xff"])
def test_a_refusal_that_is_no_problem_document(body: bytes) -> None:
    """From a proxy on the way, say."""
    with pytest.raises(ProblemAnswer) as problem:
        ask(answer_of("502 Bad Gateway", body=body))
    assert problem.value.status == 502
    assert problem.value.request_id is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_is_left_of_a_large_answer_that_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    element = ("application/binary", bytes(20 * MESSAGE))
    body = canned(b'{"parts": [{"binary_type": "heatmap"}]}', element)
    answer = answer_of("200 OK", RELATED, body=body)
    seen: list[list[str]] = []
    with server(lambda connection, _: connection.sendall(answer)) as address, client(address) as gateway:
        with gateway.infer(1):
            seen.append(left_in(tmp_path))
        answer = answer[:-1]
        with pytest.raises(CutAnswer):
            gateway.infer(1)
    assert len(seen[0]) == 1  # it does rest there
    assert left_in(tmp_path) == []
