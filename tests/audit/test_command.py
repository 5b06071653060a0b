"""The command `inference-gateway audit`: what it says, and its exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference_gateway.cli import main
from tests.audit.writing import files, lines, written


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["audit", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_log_that_is_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path, [2] * 4, file_bytes=500)
    last = json.loads(lines(files(tmp_path)[-1])[-1])
    code, output = run("verify", tmp_path)
    assert code == 0
    told = f"ok     audit-0-000001.jsonl to {files(tmp_path)[-1].name} ({len(files(tmp_path))} files): "
    assert output.startswith(told)
    assert f"8 inferences, numbers 1 to {last['number']}" in output
    assert f"ends with {last['hash']}" in output
    assert run("verify", tmp_path, "--end", last["hash"])[0] == 0
    assert run("verify", *files(tmp_path)) == (code, output)


def test_a_line_that_was_changed(tmp_path: Path) -> None:
    written(tmp_path, [5])
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"status":200', b'"status":500', 1))
    code, output = run("verify", path)
    assert code == 1
    assert "FAULT  audit-0-000001.jsonl line 2 is not as it was written" in output
    assert "BROKEN audit-0-000001.jsonl: 6 lines, 4 inferences, 1 faults" in output


def test_a_hash_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, [1])
    code, output = run("verify", tmp_path, "--end", "0" * 64)
    assert code == 1
    assert "no line has the hash that was given" in output


@pytest.mark.parametrize("what", ["folder", "missing"])
def test_nothing_to_read(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    assert run("verify", tmp_path / what)[0] == 2


def test_an_end_is_of_one_chain(tmp_path: Path) -> None:
    written(tmp_path, [1])
    content = files(tmp_path)[0].read_bytes()
    (tmp_path / "audit-1-000001.jsonl").write_bytes(content)
    assert run("verify", tmp_path)[0] == 0
    code, output = run("verify", tmp_path, "--end", "0" * 64)
    assert code == 2
    assert "--end is of one chain" in output


def test_its_help_teaches() -> None:
    code, output = run("verify", "--help")
    assert code == 0
    for told in ("audit verify /var/log/gateway", "It cannot find lines", "Exit code 0"):
        assert told in output
