"""The probes of the manifests, asked of a real gateway as a kubelet asks: from start to drain."""

import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendering import KUSTOMIZE
from tests.harness.process import Process, serve_command
from tests.harness.raw import Connection, request
from tests.harness.waiting import until
from tests.harness.wire import message, part

pytestmark = pytest.mark.slow

DEPLOYMENT = yaml.safe_load((KUSTOMIZE / "base" / "deployment.yaml").read_text())
POD = DEPLOYMENT["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]
POST = request(((b"Content-Type", b"multipart/related; boundary=bnd"),), message(part(b"{}")))
MODEL = """
class Model:
    def setup(self):
        open("set_up").read()

    def __call__(self, json_input, inputs, input_hash):
        open("begun", "w").write("x")
        open("go").read()
        return {"parts": []}
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """`serve` with the environment of the manifest; its model's set-up and calls wait for pipes."""
    (tmp_path / "my_model.py").write_text(MODEL)
    for name in ("set_up", "begun", "go"):
        os.mkfifo(tmp_path / name)
    settings = {each["name"].removeprefix("GATEWAY_").lower(): each["value"] for each in CONTAINER["env"]}
    command = serve_command("my_model:Model", *CONTAINER["args"][1:])
    process = Process(tmp_path, command, **{**settings, "spool_dir": tmp_path})
    try:
        yield process
    finally:
        process.close()


def probe(process: Process, name: str) -> bool:
    """Ask once, within the probe's own time; a kubelet takes 200 to 399 for a success."""
    said: Any = CONTAINER[name]
    host, port = process.address
    with closing(http.client.HTTPConnection(host, port, timeout=said["timeoutSeconds"])) as connection:
        try:
            connection.request("GET", said["httpGet"]["path"], headers={"User-Agent": "kube-probe/1.37"})
            return 200 <= connection.getresponse().status < 400
        except OSError:
            return False


def test_from_start_to_end(process: Process, tmp_path: Path) -> None:
    assert CONTAINER["startupProbe"]["httpGet"]["port"] == CONTAINER["ports"][0]["name"]
    assert probe(process, "startupProbe")  # the port is open, and the model is not set up
    assert probe(process, "livenessProbe")
    assert not probe(process, "readinessProbe")
    (tmp_path / "set_up").write_text("x")
    until(lambda: probe(process, "readinessProbe"), "readiness")
    with Connection(process.address) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        assert probe(process, "livenessProbe")  # a model that computes is no reason to restart
        assert probe(process, "readinessProbe")
        begun = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: not probe(process, "readinessProbe"), "no readiness while it drains")
        (tmp_path / "go").write_text("x")
        answer = connection.read_answer()
        assert answer
        assert answer.status == 200
    assert process.wait() == 0
    sleep = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert time.monotonic() - begun + sleep < POD["terminationGracePeriodSeconds"]
