"""A gateway's connection to its cluster: refused where it is not safe, and seen when it is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.execution.requests import is_ready, post
from tests.harness.clusters import ENVIRONMENT, why_none
from tests.harness.process import Process, serve_command
from tests.harness.raw import Connection
from tests.harness.waiting import until
from tests.harness.wire import check_problem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(why_none() is not None, reason=str(why_none())),
]

LIMIT = 60.0
PROJECT = Path(__file__).parents[3]
TARGET = "tests.execution.actors.models:held"


class OneNode:
    """A cluster of one node, which no other test uses."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen
        self.address = self._line()

    def _line(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    def kill(self, name: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{name}\n")
        self._popen.stdin.flush()
        assert self._line() == "done"


@contextmanager
def one_node() -> Iterator[OneNode]:
    popen = subprocess.Popen(
        [sys.executable, "-m", "tests.execution.actors.one_node"],
        cwd=PROJECT,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with popen:
        yield OneNode(popen)
        assert popen.stdin is not None
        popen.stdin.close()


@contextmanager
def gateway(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setenv("RAY_ADDRESS", address)
    process = Process(PROJECT, serve_command(TARGET, "--engine", "ray"), spool_dir=folder, drain_timeout=20)
    try:
        yield process
    finally:
        process.close()


def test_a_gateway_that_loses_its_node_answers_and_ends_with_a_sentence(
    spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    with one_node() as node, gateway(node.address, spool_dir, monkeypatch) as process:
        until(lambda: is_ready(process.address))
        asked = post({}, bytes(1 << 20))
        with Connection(process.address, limit=LIMIT) as calls, Connection(process.address) as uploads:
            calls.send(post({"mark": str(mark)}))
            until(mark.exists)
            uploads.send(asked[:-1000])
            node.kill("raylet")
            called = calls.read_answer()
            assert called is not None
            assert called.status in (500, 503)
            uploads.send(asked[-1000:])
            answer = uploads.read_answer()
            assert answer is not None
            check_problem(answer, 503)
        assert process.popen.wait(LIMIT) == 3
        assert any("Ray node of this gateway has ended" in line for line in process.lines)


def test_where_there_is_no_cluster_it_is_said(spool_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway("127.0.0.1:1", spool_dir, monkeypatch) as process:
        assert process.popen.wait(LIMIT) == 3
        assert any("no Ray cluster can be reached" in line for line in process.lines)


def test_a_gateway_whose_head_is_gone_lets_calls_end_and_ends(
    spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    with one_node() as node, gateway(node.address, spool_dir, monkeypatch) as process:
        until(lambda: is_ready(process.address))
        with Connection(process.address, limit=LIMIT) as calls:
            calls.send(post({"mark": str(mark)}))
            until(mark.exists)
            node.kill("gcs_server")
            until(lambda: not is_ready(process.address))
            mark.unlink()
            called = calls.read_answer()
            assert called is not None
            assert called.status == 200
        assert process.popen.wait(LIMIT) == 3
        assert any("the head of the Ray cluster does not answer" in line for line in process.lines)
