"""A hostile client, as Hypothesis plays it, against a real server.

Every request is answered truthfully or cut visibly, `/ping` answers, nothing leaks.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.faults.counting import counts, wait_zero
from tests.faults.model import sizes
from tests.faults.rest import LIMIT, PONG, check_sizes, post, probe, whole
from tests.harness.log import LogCapture
from tests.harness.raw import Connection, exchange, request
from tests.harness.server import left_in, serving
from tests.harness.wire import check_problem

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
GOOD = {size: post(size, chunk=chunk) for size, chunk in ((10, 0), (2000, 30), (90_000, 0), (1_200_000, 0))}
BAD = {
    post(100)[:-9] + b"SECRET\r\n\r\n": 400,
    request(TYPE, b"--bnd\r\n\r\nSECRET"): 400,
    request(TYPE, b"SECRET", chunk=2): 400,
    request(((b"Content-Type", b"text/SECRET"),), bytes(200_000)): 400,
    request((*TYPE, (b"Content-Encoding", b"SECRET")), b"x"): 415,
    request(TYPE, bytes(3_000_000)): 413,
    b"GET /SECRET HTTP/1.1\r\nHost: a\r\n\r\n": 404,
    b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n": 405,
    b"SECRET\r\n\r\n": 400,
    b"GET /ping HTTP/1.1\r\nX: " + b"SECRET" * 10_000 + b"\r\n\r\n": 431,
}
SHARES = st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.9, 1.0])


class Attack:
    """A connection, what is still to be sent on it, and what must come back; None: anything but a lie."""

    def __init__(self, connection: Connection, sent: bytes, expected: int | None, size: int = 0) -> None:
        self.connection = connection
        self.left = sent
        self.expected = expected
        self.size = size

    def send(self, count: int) -> None:
        taken = self.connection.send_until_closed([self.left[:count]])
        self.left = self.left[count:] if taken == min(count, len(self.left)) else b""


class HostileClient(RuleBasedStateMachine):
    """One example: some connections to a server that is shared by all examples."""

    attacks: Bundle[Attack] = Bundle("attacks")
    server: Any = None
    app: Gateway
    folder: Path
    log: LogCapture

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()

    def _open(self, sent: bytes, expected: int | None, size: int = 0) -> Attack:
        connection = self.stack.enter_context(Connection(self.server.address, limit=LIMIT))
        return Attack(connection, sent, expected, size)

    @rule(target=attacks, size=st.sampled_from(sorted(GOOD)))
    def open_good(self, size: int) -> Attack:
        return self._open(GOOD[size], 200, size)

    @rule(target=attacks, sent=st.sampled_from(sorted(BAD)))
    def open_bad(self, sent: bytes) -> Attack:
        return self._open(sent, BAD[sent])

    @rule(target=attacks, size=st.sampled_from(sorted(GOOD)), garbage=st.binary(min_size=1, max_size=40))
    def open_with_garbage_behind(self, size: int, garbage: bytes) -> Attack:
        return self._open(GOOD[size] + garbage, None, size)

    @rule(target=attacks, first=st.sampled_from(sorted(GOOD)), second=st.sampled_from(sorted(GOOD)))
    def open_pipelined(self, first: int, second: int) -> Attack:
        return self._open(GOOD[first] + GOOD[second], None, first)

    @rule(attack=attacks, count=st.integers(1, 100))
    def send_some_bytes(self, attack: Attack, count: int) -> None:
        attack.send(count)

    @rule(attack=attacks, share=SHARES)
    def send_a_share(self, attack: Attack, share: float) -> None:
        attack.send(int(len(attack.left) * share))

    @rule(attack=attacks)
    def trickle(self, attack: Attack) -> None:
        for _ in range(20):
            attack.send(1)

    @rule(attack=consumes(attacks))
    def leave(self, attack: Attack) -> None:
        attack.connection.close()

    @rule(attack=consumes(attacks))
    def reset(self, attack: Attack) -> None:
        attack.connection.reset()

    @rule(attack=consumes(attacks))
    def cut_and_listen(self, attack: Attack) -> None:
        """Half a request is never taken for a whole one."""
        cut = bool(attack.left)
        try:
            attack.connection.half_close()
        except OSError:  # the server has gone before
            return
        answer = attack.connection.read_answer()
        if answer is not None and answer.whole and cut and attack.expected is not None:
            assert answer.status != 200

    @rule(target=attacks, attack=consumes(attacks))
    def finish_and_listen(self, attack: Attack) -> Any:
        attack.send(len(attack.left))
        answer = attack.connection.read_answer()
        if attack.expected is None:
            assert answer is None or answer.status in (200, 400, 503, 431)
            if answer is not None and answer.status == 200:
                check_sizes(answer, attack.size)
        elif attack.expected == 200:
            if answer is None or answer.status != 200:
                check_problem(answer, (408, 503))  # too slow, or too many
            else:
                check_sizes(answer, attack.size)
        else:
            check_problem(answer, (attack.expected, 408, 503))
        assert answer is None or b"SECRET" not in answer.body
        attack.connection.close()
        return multiple()

    @rule()
    def ping(self) -> None:
        assert whole(exchange(self.server.address, probe())).body == PONG

    def teardown(self) -> None:
        self.stack.close()
        assert whole(exchange(self.server.address, probe())).body == PONG
        self.server.watched.wait_idle()
        wait_zero(self.server.address, self.app)
        assert not any(counts(self.app).values())
        assert left_in(self.folder) == []
        assert "SECRET" not in self.log.text
        assert self.log.tracebacks == []
        self.log.forget()


def test_a_hostile_client(spool_dir: Path, log: LogCapture) -> None:
    limits = Settings(spool_dir=spool_dir, max_body_bytes=2_000_000, spool_memory_bytes=1000, max_queue=4)
    app = Gateway(settings=limits)
    app.add_inference_route("/", sizes)
    with serving(app, make_server(app, port=0)) as running:

        class Here(HostileClient):
            server = running
            folder = spool_dir

        Here.app, Here.log = app, log
        Here.TestCase.settings = settings(
            max_examples=25, stateful_step_count=15, suppress_health_check=list(HealthCheck)
        )
        Here.TestCase("runTest").debug()
