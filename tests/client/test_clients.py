"""The clients: whole and true answers or an error, against real gateways and against servers that lie.

Nearly every test runs with both.
"""

import asyncio
import gzip
import io
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import trustme
import uvloop
from blockbuster import BlockingError

from inference_gateway.client import (
    AsyncInferenceClient,
    InferenceClient,
    InferenceResult,
    Input,
    Progress,
    RetryPolicy,
)
from inference_gateway.client.upload import Upload
from inference_gateway.errors import BrokenAnswer, CutAnswer, GatewayUnreachable, Overloaded, ProblemAnswer
from tests.client.conftest import ANSWER, MASK, Start, model, streaming_model
from tests.client.servers import (
    LIMIT,
    RELATED,
    TRUE,
    Call,
    answer_of,
    by_client,
    canned,
    forward,
    read_head,
    read_request,
    read_to_end,
    refusing,
    server,
    url,
)
from tests.harness.listening import listening
from tests.harness.log import LogCapture
from tests.harness.raw import Address
from tests.harness.server import left_in
from tests.harness.wire import digest

MESSAGE = 1 << 20
AGAIN = RetryPolicy(attempts=3, backoff=0)


def check_result(result: InferenceResult, json_input: Any, body: bytes) -> None:
    assert result.json == ANSWER | {"got": json_input}
    assert [element.part for element in result.elements] == ANSWER["parts"]
    first, second = result.elements
    assert (first.content_type, first.size) == ("application/binary", MASK.nbytes)
    assert (second.content_type, second.size) == ("application/dicom", len(body))
    assert (first.read(), second.read()) == (MASK.tobytes(), body)
    np.testing.assert_array_equal(first.array(np.int16), MASK)
    text = json.dumps(result.json).encode()
    assert result.input_hash == digest(json.dumps(json_input).encode(), body)
    assert result.output_hash == digest(text, MASK.tobytes(), body)
    assert set(result.timings) == {"upload", "model", "download"}
    assert all(seconds >= 0 for seconds in result.timings.values())


# Whole answers


@pytest.mark.parametrize("called", [model, streaming_model], ids=["length", "chunked"])
def test_a_whole_answer(called: Callable[..., Any], call: Call, start: Start, tmp_path: Path) -> None:
    running = start(called)
    (tmp_path / "study" / "series").mkdir(parents=True)
    (tmp_path / "study" / "2").write_bytes(b"second file;")
    (tmp_path / "study" / "1").write_bytes(b"first file;")
    (tmp_path / "study" / "series" / "1").write_bytes(b"third file;")
    file = io.BytesIO(b"skipped? from a file;")
    file.seek(9)
    array = np.frombuffer(b"array;", np.uint8)
    inputs: list[Input] = [tmp_path / "study", b"bytes;", b"", file, array, ("n", "a/b", b"named")]
    body = b"first file;second file;third file;bytes;skipped? from a file;array;named"
    for route in ("/", "/other", "/"):
        with call(running.address, {"k": "ä"}, inputs, route) as result:
            check_result(result, {"k": "ä"}, body)


def test_without_inputs_and_without_elements(call: Call, start: Start) -> None:
    running = start(lambda json_input, inputs, _: {"got": [json_input, len(inputs)]})
    with call(running.address, None) as result:
        assert result.json == {"got": [None, 0]}
        assert result.elements == []


def test_names_and_types_arrive(call: Call, start: Start) -> None:
    running = start(lambda _, inputs, __: {"got": [[each.filename, each.content_type] for each in inputs]})
    with call(running.address, 1, [b"x", ("ä b.dcm", "application/dicom", b"y")]) as result:
        assert result.json["got"] == [[None, "application/octet-stream"], ["ä b.dcm", "application/dicom"]]


def test_many_small_inputs(call: Call, start: Start) -> None:
    running = start(lambda _, inputs, __: {"got": [each.read().decode() for each in inputs]})
    texts = [f"input {number}" for number in range(3000)]
    with call(running.address, 1, [text.encode() for text in texts]) as result:
        assert result.json == {"got": texts}


def test_one_client_for_many_calls(start: Start) -> None:
    running = start()

    def ask(client: InferenceClient, number: int) -> None:
        with client.infer(number, [b"%d" % number]) as result:
            check_result(result, number, b"%d" % number)
            done.append(number)

    done: list[int] = []
    with InferenceClient(url(running.address), trust_env=False, timeout=LIMIT) as client:
        threads = [threading.Thread(target=ask, args=(client, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
    assert sorted(done) == list(range(8))


async def test_one_async_client_for_many_calls(start: Start) -> None:
    running = start()
    async with AsyncInferenceClient(url(running.address), trust_env=False, timeout=LIMIT) as client:
        results = await asyncio.gather(*(client.infer(number, [b"%d" % number]) for number in range(8)))
    for number, result in enumerate(results):
        with result:
            check_result(result, number, b"%d" % number)


def test_a_closed_result_is_closed(call: Call, start: Start) -> None:
    result = call(start().address, 1, [b"x"])
    array = result.elements[0].array(np.int16)
    result.close()
    result.close()
    with pytest.raises(ValueError, match="closed"):
        result.elements[0].read()
    np.testing.assert_array_equal(array, MASK)  # an array is the caller's own


@pytest.mark.parametrize("called", [model, streaming_model], ids=["length", "chunked"])
def test_progress_adds_up(called: Callable[..., Any], call: Call, start: Start) -> None:
    running = start(called)
    seen: list[Progress] = []
    data = bytes(3 * MESSAGE + 5)
    with call(running.address, 1, [data, b"", data], on_progress=seen.append) as result:
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


def test_what_progress_raises_ends_the_call(call: Call, start: Start) -> None:
    running = start()

    def stop(progress: Progress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        call(running.address, 1, [bytes(5 * MESSAGE)], on_progress=stop)
    running.watched.wait_idle()


def test_inputs_are_checked_before_anything_is_sent(call: Call, tmp_path: Path) -> None:
    nobody = ("127.0.0.1", 9)
    with pytest.raises(FileNotFoundError):
        call(nobody, 1, [tmp_path / "none"])
    with pytest.raises(TypeError, match="input 0"):
        call(nobody, 1, [7])
    with pytest.raises(TypeError):
        call(nobody, {1, 2})


class Shrinking(io.BytesIO):
    """A file that is shorter when it is read than it was when it was measured."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size)[: MESSAGE // 2]


def test_a_file_that_becomes_shorter_ends_the_call(call: Call, start: Start) -> None:
    """The gateway sees a request that is cut: the model is not called."""
    calls: list[Any] = []

    def model(*arguments: Any) -> dict[str, Any]:
        calls.append(arguments)
        return {}

    running = start(model)
    with pytest.raises(ValueError, match="input 0 has changed its size"):
        call(running.address, 1, [Shrinking(bytes(3 * MESSAGE)), b"more"])
    running.watched.wait_idle()
    assert calls == []
    call(running.address).close()
    assert len(calls) == 1


PEAK = """
import asyncio, sys
from pathlib import Path
from inference_gateway.client import AsyncInferenceClient, InferenceClient

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

def check(result):
    with result:
        return result.elements[1].size

def by_client(url, *call):
    with InferenceClient(url, trust_env=False) as client:
        return check(client.infer(*call))

def by_async_client(url, *call):
    async def run():
        async with AsyncInferenceClient(url, trust_env=False) as client:
            return check(await client.infer(*call))
    return asyncio.run(run())

caller, url, folder = sys.argv[1:]
call = globals()[caller]
call(url, 1, [b"x"])
before = peak()
size = call(url, 1, [folder])
print(peak() - before, size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("called", ["by_client", "by_async_client"])
@pytest.mark.slow
def test_memory_stays_constant(called: str, start: Start, tmp_path: Path) -> None:
    """200 MiB out of files and back again."""
    folder = tmp_path / "study"
    folder.mkdir()
    for number in range(20):
        with (folder / f"{number}.raw").open("wb") as file:
            file.truncate(10 * MESSAGE)
    running = start(lambda _, inputs, __: (ANSWER, [MASK, blocks(inputs)]))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, called, url(running.address), str(folder)],
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


# httpx's own options


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost:8000", "ftp://x", "", "/"])
def test_an_address_that_is_no_url(address: str) -> None:
    for kind in (InferenceClient, AsyncInferenceClient):
        with pytest.raises(ValueError, match="http"):
            kind(address)


def test_options_of_httpx(call: Call) -> None:
    """Headers, authentication and a path before the routes."""
    seen: list[bytes] = []

    def respond(connection: socket.socket, sent: bytes) -> None:
        seen.append(sent)
        connection.sendall(answer_of("200 OK", RELATED, body=TRUE))

    with server(respond) as address:
        call(address, 1, headers={"X-Mine": "1"}, auth=("me", "secret")).close()
        with InferenceClient(url(address) + "/before", trust_env=False) as client:
            client.infer(1, headers={"X-Call": "2"}, timeout=LIMIT, params={"q": "3"}).close()
    first, second = (sent.split(b"\r\n\r\n")[0].split(b"\r\n") for sent in seen)
    assert b"X-Mine: 1" in first
    assert b"Authorization: Basic bWU6c2VjcmV0" in first
    assert b"POST /before/?q=3 HTTP/1.1" in second
    assert b"X-Call: 2" in second
    assert all(b"Accept-Encoding: identity" in head for head in (first, second))


def test_digest_authentication_sends_the_body_again(call: Call) -> None:
    bodies: list[bytes] = []

    def respond(connection: socket.socket, sent: bytes) -> None:
        head, _, body = sent.partition(b"\r\n\r\n")
        bodies.append(body)
        if b"Authorization: Digest" in head:
            connection.sendall(answer_of("200 OK", RELATED, body=with_input(b"a file")))
        else:
            challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
            connection.sendall(answer_of("401 Unauthorized", challenge))

    seen: list[Progress] = []
    with server(respond) as address:
        inputs = [io.BytesIO(b"a file")]
        auth = httpx.DigestAuth("me", "secret")
        call(address, 1, inputs, auth=auth, on_progress=seen.append).close()
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert max(each.sent for each in seen) == seen[-1].total


def with_input(data: bytes) -> bytes:
    """A true answer to a request with one input."""
    return TRUE.replace(digest(b"1").encode(), digest(b"1", data).encode())


# No answer, or a problem


def test_nobody_there(call: Call) -> None:
    with refusing() as bound, pytest.raises(GatewayUnreachable, match="is it running") as error:
        call(bound.getsockname())
    assert not error.value.sent


def test_an_answer_that_does_not_come(call: Call) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(GatewayUnreachable, match="longer timeout") as error,
    ):
        call(silent.getsockname(), 1, [b"x"], timeout=httpx.Timeout(LIMIT, read=0.2))
    assert error.value.sent


def test_a_connection_that_is_lost(call: Call) -> None:
    with (
        server(lambda connection, sent: None) as address,
        pytest.raises(GatewayUnreachable, match="lost") as error,
    ):
        call(address, 1, [b"x"])
    assert error.value.sent


def test_a_problem(call: Call, start: Start, log: LogCapture) -> None:
    def fail(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        raise ValueError("no")

    running = start(fail)
    with pytest.raises(ProblemAnswer) as problem:
        call(running.address)
    assert (problem.value.status, problem.value.title) == (500, "Internal Server Error")
    assert "log" in problem.value.detail
    assert problem.value.request_id
    assert problem.value.request_id in log.text


def test_a_route_that_is_not_there(call: Call, start: Start) -> None:
    running = start()
    with pytest.raises(ProblemAnswer) as problem:
        call(running.address, route="/none")
    assert problem.value.status == 404


def sparse(folder: Path, size: int) -> Path:
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.wire("aftermath: early answer seen while still sending")
def test_a_problem_while_still_sending(call: Call, start: Start, tmp_path: Path) -> None:
    """It is seen, and no more is sent: 4 GiB would take longer than the gateway would drain."""
    running = start(max_body_bytes=1000)
    seen: list[Progress] = []
    large = sparse(tmp_path, 4 << 30)
    for _ in range(3):
        with pytest.raises(ProblemAnswer) as problem:
            call(running.address, 1, [large], on_progress=seen.append)
        assert (problem.value.status, problem.value.title) == (413, HTTPStatus(413).phrase)
    assert max(each.sent for each in seen) < 256 * MESSAGE
    with call(running.address, 1, [b"x"]) as result:
        assert result.elements[1].read() == b"x"


def test_an_early_answer_with_a_hard_close() -> None:
    """What has not been read makes the kernel reset the connection: the answer is seen all the same.

    On an event loop only while nothing waits to be written: there is no promise.
    """

    def respond(connection: socket.socket) -> None:
        read_head(connection)
        body = json.dumps({"detail": "later"}).encode()
        connection.sendall(answer_of("503 Service Unavailable", "Retry-After: 9", body=body))

    with listening(respond) as address:
        for _ in range(5):
            with pytest.raises(Overloaded) as overload:
                by_client(address, 1, [bytes(20 * MESSAGE)])
            assert (overload.value.retry_after, overload.value.detail) == (9, "later")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_interim_answers_while_sending(loop: str) -> None:
    """They end nothing; on whatever loop, and the answer does."""
    bodies: list[int] = []

    def respond(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        bodies.append(len(read_request(connection)))
        connection.sendall(answer_of("200 OK", RELATED, body=with_input(bytes(20 * MESSAGE))))

    def refuse(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer_of("413 Content Too Large"))

    async def ask(address: Address) -> None:
        async with AsyncInferenceClient(url(address), trust_env=False, timeout=LIMIT) as client:
            (await client.infer(1, [bytes(20 * MESSAGE)])).close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        with listening(respond) as address:
            runner.run(ask(address))
        assert bodies[0] > 20 * MESSAGE
        with listening(refuse) as address, pytest.raises(ProblemAnswer) as problem:
            runner.run(ask(address))
        assert problem.value.status == 413


def test_a_refusal_that_is_cut(call: Call) -> None:
    """Its status is known."""

    def respond(connection: socket.socket, sent: bytes) -> None:
        connection.sendall(answer_of("413 Content Too Large", body=b'{"detail": "x"}')[:-3])

    with server(respond) as address, pytest.raises(ProblemAnswer) as problem:
        call(address)
    assert problem.value.status == 413


def test_an_overloaded_gateway(call: Call, start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        begun.set()
        assert go.wait(LIMIT)
        return {}

    running = start(held, queue_timeout=0.1)
    asking = threading.Thread(target=lambda: call(running.address).close())
    asking.start()
    try:
        assert begun.wait(LIMIT)
        with pytest.raises(Overloaded) as overload:
            call(running.address)
    finally:
        go.set()
        asking.join()
    assert overload.value.status == 503
    assert overload.value.retry_after is not None
    assert overload.value.retry_after >= 1


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def tls_server(
    authority: trustme.CA, respond: Callable[[ssl.SSLSocket], object]
) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Its URL, and a context that trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            respond(secured)

    with listening(serve) as address:
        yield f"https://{address[0]}:{address[1]}", trusting


def test_tls(call: Call, authority: trustme.CA) -> None:
    """Session tickets come before the answer, and are none."""

    def respond(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        connection.sendall(answer_of("200 OK", RELATED, body=with_input(bytes(5 * MESSAGE))))

    with tls_server(authority, respond) as (address, trusting):
        with call(address, 1, [bytes(5 * MESSAGE)], verify=trusting) as result:
            assert result.elements[0].read() == b"pixels"
        with pytest.raises(GatewayUnreachable, match="is not trusted"):
            call(address, verify=ssl.create_default_context())


def test_an_early_answer_through_tls(call: Call, authority: trustme.CA) -> None:
    """Bytes that come may be session tickets, so all is sent; the gateway reads on for some time."""

    def respond(connection: ssl.SSLSocket) -> None:
        read_head(connection)
        connection.sendall(answer_of("413 Content Too Large", body=b'{"detail": "too much"}'))
        read_to_end(connection)

    with tls_server(authority, respond) as (address, trusting), pytest.raises(ProblemAnswer) as problem:
        call(address, 1, [bytes(20 * MESSAGE)], verify=trusting)
    assert (problem.value.status, problem.value.detail) == (413, "too much")


# Trying again


def test_overload_is_tried_again(call: Call, tmp_path: Path) -> None:
    """With the whole request, from files and from what could be read but once."""
    bodies: list[bytes] = []
    (tmp_path / "file").write_bytes(b"a file")

    def respond(connection: socket.socket, sent: bytes) -> None:
        bodies.append(sent.partition(b"\r\n\r\n")[2])
        if len(bodies) < 3:
            connection.sendall(answer_of("503 Service Unavailable", "Retry-After: 0"))
        else:
            connection.sendall(answer_of("200 OK", RELATED, body=with_input(b"a filea pipe")))

    reading, writing = socket.socketpair()
    with reading, writing, server(respond) as address:
        writing.sendall(b"a pipe")
        writing.shutdown(socket.SHUT_WR)
        with (
            reading.makefile("rb") as pipe,
            call(address, 1, [tmp_path / "file", pipe], retry=AGAIN) as result,
        ):
            assert result.elements[0].read() == b"pixels"
    assert len(bodies) == 3
    assert len(set(bodies)) == 1


def test_a_gateway_that_is_about_to_start(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at first; it listens from the second attempt on."""
    refused: list[BaseException] = []
    allows = RetryPolicy.allows

    def respond(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer_of("200 OK", RELATED, body=TRUE))

    with refusing() as bound, ExitStack() as stack:

        def listen_then_ask(policy: RetryPolicy, error: BaseException) -> bool:
            refused.append(error)
            stack.enter_context(listening(respond, bound))
            return allows(policy, error)

        monkeypatch.setattr(RetryPolicy, "allows", listen_then_ask)
        call(bound.getsockname(), retry=AGAIN).close()
    assert [type(error) for error in refused] == [GatewayUnreachable]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", GatewayUnreachable),
        (answer_of("200 OK", RELATED, body=TRUE)[:-50], CutAnswer),
        (answer_of("502 Bad Gateway"), ProblemAnswer),
        (answer_of("504 Gateway Timeout"), ProblemAnswer),
    ],
    ids=["lost", "cut", "502", "504"],
)
def test_where_the_model_may_have_run(call: Call, answer: bytes, error: type[Exception]) -> None:
    count = 0

    def respond(connection: socket.socket, sent: bytes) -> None:
        nonlocal count
        count += 1
        connection.sendall(answer)

    with server(respond) as address:
        with pytest.raises(error):
            call(address, 1, retry=AGAIN)
        assert count == 1
        with pytest.raises(error):
            call(address, 1, retry=RetryPolicy(attempts=3, backoff=0, rerun=True))
        assert count == 4


# Cancelling


async def test_cancelling_closes_the_connection_while_the_model_runs(start: Start) -> None:
    """The gateway sees it: it is done with the request while the model is still held."""
    begun, go = threading.Event(), threading.Event()

    def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        begun.set()
        assert go.wait(LIMIT)
        return {}

    running = start(held)
    try:
        async with AsyncInferenceClient(url(running.address), trust_env=False, timeout=LIMIT) as client:
            task = asyncio.create_task(client.infer(1, [b"x"]))
            assert await asyncio.to_thread(begun.wait, LIMIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(running.watched.wait_idle)
    finally:
        go.set()


async def test_cancelling_closes_the_connection_while_sending(tmp_path: Path) -> None:
    """Even where the server has stopped reading."""
    stopped, cancelled = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    rest: list[int] = []

    def respond(connection: socket.socket) -> None:
        read_head(connection)
        loop.call_soon_threadsafe(stopped.set)
        assert cancelled.wait(LIMIT)
        rest.append(read_to_end(connection))

    file = sparse(tmp_path, 1 << 30)
    with listening(respond) as address:
        async with AsyncInferenceClient(url(address), trust_env=False, timeout=LIMIT) as client:
            task = asyncio.create_task(client.infer(1, [file]))
            async with asyncio.timeout(LIMIT):
                await stopped.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled.set()
    assert len(rest) == 1
    assert rest[0] < 1 << 30


async def test_cancelling_closes_the_connection_while_receiving() -> None:
    begun = asyncio.Event()
    rest: list[int] = []
    body = canned(b'{"parts": [{"binary_type": "heatmap"}]}', ("application/binary", bytes(MESSAGE)))

    def respond(connection: socket.socket, sent: bytes) -> None:
        connection.sendall(answer_of("200 OK", RELATED, body=body)[:-1])
        rest.append(read_to_end(connection))

    with server(respond) as address:
        async with AsyncInferenceClient(url(address), trust_env=False, timeout=LIMIT) as client:

            def note(progress: Progress) -> None:
                if progress.received:
                    begun.set()

            task = asyncio.create_task(client.infer(1, on_progress=note))
            async with asyncio.timeout(LIMIT):
                await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert rest == [0]


async def test_the_event_loop_is_never_blocked(start: Start, tmp_path: Path) -> None:
    """Whatever blocks on it raises, in all tests; here is what would, and that the client does not do it."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(BlockingError):
        list(Upload(1, [tmp_path]).blocks())
    running = start()
    async with AsyncInferenceClient(url(running.address), trust_env=False, timeout=LIMIT) as client:
        with await client.infer(1, [tmp_path]) as result:
            assert result.input_hash == digest(b"1", b"x")


# Servers that answer what they like


@pytest.mark.wire("response: client refuses an answer without hashes", "response: output_hash")
@pytest.mark.parametrize("called", [model, streaming_model], ids=["length", "chunked"])
@pytest.mark.slow
def test_a_proxy_that_cuts_the_answer(called: Callable[..., Any], call: Call, start: Start) -> None:
    """After 60 numbers of bytes, from none to all but one: there is never a result but of the whole."""
    running = start(called)
    at: int | None = None
    whole = 0

    def respond(connection: socket.socket, sent: bytes) -> None:
        nonlocal whole
        answer = forward(running.address, sent)
        whole = len(answer)
        connection.sendall(answer[:at])

    outcomes: list[type[Exception]] = []
    with server(respond) as proxy:
        with call(proxy, {"k": 1}, [b"pixels"]) as result:
            check_result(result, {"k": 1}, b"pixels")
        for cut in np.unique(np.linspace(0, whole - 1, 60).astype(int)):
            at = int(cut)
            with pytest.raises((CutAnswer, GatewayUnreachable)) as error:
                call(proxy, {"k": 1}, [b"pixels"])
            outcomes.append(error.type)
    assert len(outcomes) == 60
    assert set(outcomes) == {CutAnswer, GatewayUnreachable}
    assert outcomes.count(CutAnswer) > 30


def test_a_canned_answer_is_taken(call: Call) -> None:
    with (
        server(lambda connection, _: connection.sendall(answer_of("200 OK", RELATED, body=TRUE))) as address,
        call(address) as result,
    ):
        assert result.json == {"parts": [{"binary_type": "heatmap"}]}


@pytest.mark.wire("response: client refuses an answer without hashes")
def test_an_answer_that_ends_with_its_connection(call: Call) -> None:
    """Without a length nothing but the hashes part and the close delimiter say that it is whole."""
    header = f"HTTP/1.1 200 OK\r\n{RELATED}\r\n\r\n".encode()
    sent = b""

    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(sent)

    with server(respond) as address:
        for at in range(0, len(TRUE) - len(b"\r\n"), 5):
            sent = header + TRUE[:at]
            with pytest.raises(CutAnswer):
                call(address)
        sent = header + TRUE
        call(address).close()


def test_an_answer_of_another_kind(call: Call) -> None:
    answer = answer_of("200 OK", "Content-Type: text/html", body=b"<html>")
    with (
        server(lambda connection, _: connection.sendall(answer)) as address,
        pytest.raises(BrokenAnswer, match="URL"),
    ):
        call(address)


def test_an_encoding_that_was_not_asked_for(call: Call) -> None:
    """It is not undone: a few kilobytes of it may be gigabytes."""
    bomb = gzip.compress(bytes(50 * MESSAGE))
    with server(lambda connection, _: connection.sendall(answer)) as address:
        for coding in ("gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, GZIP", "unknown"):
            answer = answer_of("200 OK", RELATED, f"Content-Encoding: {coding}", body=bomb)
            with pytest.raises(BrokenAnswer, match="Content-Encoding, which was not asked for"):
                call(address)
            answer = answer_of("500 Internal Server Error", f"Content-Encoding: {coding}", body=bomb)
            with pytest.raises(ProblemAnswer, match="Content-Encoding, which was not asked for") as problem:
                call(address)
            assert problem.value.status == 500
        for coding in ("identity", "Identity", "identity, identity", ""):
            answer = answer_of("200 OK", RELATED, f"Content-Encoding: {coding}", body=TRUE)
            with call(address) as result:
                assert result.elements[0].read() == b"pixels"
        answer = answer_of(
            "200 OK", RELATED, "Content-Encoding: identity", "Content-Encoding: gzip", body=bomb
        )
        with pytest.raises(BrokenAnswer, match="Content-Encoding"):
            call(address)


@pytest.mark.parametrize(
    ("status", "header", "options"),
    [
        ("302 Found", "Location: /other", {"follow_redirects": True}),
        (
            "401 Unauthorized",
            'WWW-Authenticate: Digest realm="a", nonce="b"',
            {"auth": httpx.DigestAuth("a", "b")},
        ),
    ],
)
@pytest.mark.parametrize("encoded", [True, False])
def test_what_httpx_reads_itself_has_a_bound(
    status: str, header: str, options: dict[str, Any], encoded: bool, call: Call
) -> None:
    """It does so to go on from an answer: neither what it undoes nor what it reads may be without end."""
    body = gzip.compress(bytes(50 * MESSAGE)) if encoded else b"x" * (64 << 10) + b"x"
    headers = [header, "Content-Encoding: gzip"] if encoded else [header]
    answer = answer_of(status, *headers, body=body)
    requests: list[bytes] = []

    def respond(connection: socket.socket, sent: bytes) -> None:
        requests.append(sent)
        connection.sendall(answer)

    with server(respond) as address, pytest.raises(ProblemAnswer) as problem:
        call(address, **options)
    assert problem.value.status == int(status[:3])
    assert len(requests) == 1


ENDLESS = {
    "interim answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "interim answers with headers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "a head letter by letter": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "a problem letter by letter": (b"HTTP/1.1 500 Oh\r\nContent-Length: 60000\r\n\r\n", b" "),
    "an answer letter by letter": (
        f"HTTP/1.1 200 OK\r\n{RELATED}\r\nContent-Length: 60000\r\n\r\n".encode(),
        b" ",
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.slow
def test_a_wait_without_end_ends(what: str, tls: bool, call: Call, authority: trustme.CA) -> None:
    """Each byte comes in time, and the answer never."""
    first, again = ENDLESS[what]
    left = threading.Event()

    def respond(connection: socket.socket) -> None:
        read_request(connection)
        try:
            connection.sendall(first)
            while not left.wait(0.05):
                connection.sendall(again)
        finally:
            left.set()

    with ExitStack() as stack:
        of_problem = what.startswith("a problem")
        options: dict[str, Any] = {"timeout": httpx.Timeout(LIMIT, read=3 if of_problem else 0.6)}
        if tls:
            address, options["verify"] = stack.enter_context(tls_server(authority, respond))
        else:
            address = url(stack.enter_context(listening(respond)))
        expected = {"a problem": ProblemAnswer, "an answer": CutAnswer}
        with pytest.raises(
            expected.get(what.removesuffix(" letter by letter"), GatewayUnreachable),
            match=r"500|silent for too long|byte by byte",
        ):
            call(address, **options)
        assert left.wait(LIMIT), "the connection is still there"


def test_the_key_of_the_environment(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes with each call, unless a header has one; no message shows one that is none."""
    heads: list[bytes] = []

    def respond(connection: socket.socket, sent: bytes) -> None:
        heads.append(sent.partition(b"\r\n\r\n")[0].lower())
        connection.sendall(answer_of("200 OK", RELATED, body=TRUE))

    monkeypatch.setenv("GATEWAY_API_KEY", " of-environment\n")
    with server(respond) as address:
        call(address).close()
        call(address, headers={"Authorization": "Basic YTpi"}).close()
        for header in ({"x-api-key": "mine"}, {"authorization": "bearer mine"}):
            call(address, headers=header).close()
        monkeypatch.setenv("GATEWAY_API_KEY", "")
        call(address).close()
    assert [b"x-api-key: of-environment" in head for head in heads] == [True, True, False, False, False]
    assert [head.count(b"x-api-key") for head in heads] == [1, 1, 1, 0, 0]
    monkeypatch.setenv("GATEWAY_API_KEY", "s3cr\u00e9t key")
    with pytest.raises(ValueError, match="GATEWAY_API_KEY is no key") as wrong:
        call(address)
    assert "s3cr" not in str(wrong.value)


def test_what_an_answer_calls_itself_can_be_shown(call: Call) -> None:
    """It ends up in a terminal, from a header as from the body."""
    answer = answer_of("500 No", "X-Request-ID: a\u202eb".encode().decode("latin-1"))
    with server(lambda connection, _: connection.sendall(answer)) as address:
        with pytest.raises(ProblemAnswer) as problem:
            call(address)
        assert problem.value.request_id is None
        answer = answer_of("500 No", "X-Request-ID: 4f1c")
        with pytest.raises(ProblemAnswer) as problem:
            call(address)
        assert problem.value.request_id == "4f1c"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_is_left_of_a_large_answer_that_is_cut(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    element = ("application/binary", bytes(20 * MESSAGE))
    body = canned(b'{"parts": [{"binary_type": "heatmap"}]}', element)
    answer = answer_of("200 OK", RELATED, body=body)
    seen: list[list[str]] = []
    with server(lambda connection, _: connection.sendall(answer)) as address:
        with call(address):
            seen.append(left_in(tmp_path))
        answer = answer[:-1]
        with pytest.raises(CutAnswer):
            call(address)
    assert len(seen[0]) == 1  # it does rest there
    assert left_in(tmp_path) == []
