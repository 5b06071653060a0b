"""An exchange that is cut after n bytes, for every n: nobody takes a part for the whole."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inference_gateway.client import InferenceClient
from inference_gateway.errors import CutAnswer, GatewayError
from tests.faults.conftest import StartFaulty
from tests.faults.rest import LIMIT, check_sizes, post, whole
from tests.harness.raw import Address, Connection
from tests.harness.wire import check_problem

pytestmark = pytest.mark.slow

SMALL = 20


@pytest.mark.wire("refused: body cut anywhere")
@pytest.mark.parametrize("chunk", [0, 50], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_request_cut_after_n_bytes(how: str, chunk: int, faulty: StartFaulty) -> None:
    server = faulty()
    sent = post(SMALL, chunk=chunk)
    for n in range(len(sent)):
        with Connection(server.address, limit=LIMIT) as connection:
            connection.send(sent[:n])
            if how == "RST":
                connection.reset()
            else:
                connection.half_close()
                answer = connection.read_answer()
                if answer is not None:
                    check_problem(answer, 400)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(sent)
        check_sizes(connection.read_answer(), SMALL)
    server.check_after()


def test_an_answer_whose_reader_leaves_after_n_bytes(faulty: StartFaulty) -> None:
    server = faulty()
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(SMALL))
        length = len(whole(connection.read_answer()).body) + 200
    for n in range(0, length, 3):
        with Connection(server.address, limit=LIMIT) as connection:
            connection.send(post(SMALL))
            connection.read(n)
            connection.reset()
    server.check_after()


@contextmanager
def cutting_proxy(to: Address) -> Iterator[tuple[Address, list[int]]]:
    """Hands one request on and the first n bytes of its answer back, n being the number in the list."""
    limit = [0]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, socket.create_connection(to, timeout=LIMIT) as server:
                    there = threading.Thread(target=pump, args=(client, server, -1))
                    there.start()
                    pump(server, client, limit[0])
                    for end in (client, server):
                        end.shutdown(socket.SHUT_RDWR)
                    there.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname(), limit
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)


def pump(source: socket.socket, target: socket.socket, limit: int) -> None:
    """Up to so many bytes, or all where it is negative."""
    try:
        while limit and (data := source.recv(1 << 16 if limit < 0 else limit)):
            target.sendall(data)
            limit -= len(data) if limit > 0 else 0
    except OSError:
        pass


def test_our_client_behind_a_proxy_that_cuts_the_answer_after_n_bytes(faulty: StartFaulty) -> None:
    """It raises for every n but the one that is all: of an answer that was cut, when its head has come."""
    server = faulty()
    has_head = False
    with cutting_proxy(server.address) as (address, limit):
        url = f"http://{address[0]}:{address[1]}"
        for n in itertools.count():
            limit[0] = n
            result = inferred(url)
            if not isinstance(result, GatewayError):
                assert result == {"sizes": [6]}
                break
            assert "SECRET" not in str(result)
            has_head = has_head or isinstance(result, CutAnswer)
            assert isinstance(result, CutAnswer) == has_head
    assert has_head
    assert n > 400
    server.check_after()


def inferred(url: str) -> Any:
    """The JSON of an answer, or what the client raises."""
    # Without verify=False, httpx reads all certificates of the system for each client.
    with InferenceClient(url, trust_env=False, verify=False, timeout=LIMIT) as client:
        try:
            with client.infer({"patient": "SECRET"}, [b"SECRET"]) as result:
                return result.json
        except GatewayError as error:
            return error
