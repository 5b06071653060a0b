"""Who has a place: one at a time, until the process ends or lets go."""

import os
import subprocess
import sys
from pathlib import Path

from inference_gateway.audit.claim import Claim


def test_one_at_a_time(tmp_path: Path) -> None:
    first = Claim.take(tmp_path / "claim")
    assert first is not None
    assert Claim.take(tmp_path / "claim") is None
    first.release()
    second = Claim.take(tmp_path / "claim")
    assert second is not None
    second.release()
    second.release()


def test_it_ends_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    code = (
        "import sys, os; from pathlib import Path; from inference_gateway.audit.claim import Claim\n"
        "assert Claim.take(Path(sys.argv[1])); print('taken', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        assert Claim.take(path) is None
        process.kill()
        process.wait()
    mine = Claim.take(path)
    assert mine is not None
    mine.release()


def test_what_is_forked_has_no_claim(tmp_path: Path) -> None:
    """A model's child that lives longer than the gateway must not keep the next one from its files."""
    claim = Claim.take(tmp_path / "claim")
    assert claim is not None
    waits, go = os.pipe()
    told, tells = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        os.write(tells, b"1")
        os.read(waits, 1)
        os._exit(0)
    os.read(told, 1)
    for descriptor in (waits, told, tells):
        os.close(descriptor)
    claim.release()
    again = Claim.take(tmp_path / "claim")
    os.close(go)
    os.waitpid(child, 0)
    assert again is not None
    again.release()
