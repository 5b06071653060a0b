"""The commands of README's section on curl, as they stand there, against the gateway that they start."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer
from tests.harness.wire import decoded

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIMIT = 60.0


def commands() -> list[str]:
    section = (ROOT / "README.md").read_text().partition("\n## With curl\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Process]:
    """The gateway of the first block, on a free port."""
    program, command, target = shlex.split(commands()[0])
    assert (program, command) == (".venv/bin/inference-gateway", "serve")
    process = Process(tmp_path, serve_command(target))
    yield process
    process.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_line_gets_a_mask(gateway: Process, tmp_path: Path) -> None:
    _, command = commands()
    host, port = gateway.address
    for old, new in {"127.0.0.1:8000": f"{host}:{port}", ".venv/bin/python": sys.executable}.items():
        assert old in command
        command = command.replace(old, new)
    shown = command.replace("curl ", "curl --silent --show-error --noproxy '*' --include ")
    subprocess.run(["bash", "-euc", shown], cwd=tmp_path, check=True, timeout=LIMIT)
    head, _, body = (tmp_path / "answer.bin").read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    found = re.search(rb"content-type: (.*)\r\n", head + b"\r\n", re.IGNORECASE)
    assert found
    answer = Answer(200, (("content-type", found[1].decode()),), body, True)
    assert [name for name, _, _ in decoded(answer)] == ["json-body", "elem_0", "hashes"]
    mask = decoded(answer)[1][2]
    assert len(mask) == 128 * 128
    assert set(mask) - {0}
