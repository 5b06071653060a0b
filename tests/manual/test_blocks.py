"""Every block of code in a document is run, read by what it is for, or in a list that says why not."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from inference_gateway import Gateway, Refused, Settings, current_request
from tests.conftest import Serve
from tests.harness.asking import post
from tests.harness.wire import digest
from tests.manual.documents import BLOCKS, PATHS, ROOT, Block, of, text_of
from tests.manual.shell import CHECKS, NOT_RUN, PLAIN, STUDY, check, commands, syntax

READERS = {
    "python": "`RUN_BY`, or a mark",
    "sh": "the programs themselves",
    "json": "json",
    "yaml": "yaml",
    "dockerfile": "instruction by instruction",
    "promql": "its names are those of the code",
    "diff": "tests/moving/test_document.py",
    "text": "nobody: it is no code",
}
"""Languages, and what reads them."""

RUN_BY = {
    "README.md": ("tests/interop/test_client_document.py", 1),
    "docs/answers.md": ("tests/manual/test_blocks.py", 1),
    "docs/client.md": ("tests/interop/test_client_document.py", 8),
    "docs/dicom.md": ("tests/dicom/test_document.py", 1),
    "docs/isolation.md": ("tests/manual/test_blocks.py", 1),
    "docs/models.md": ("tests/examples/test_document.py", 3),
    "docs/moving-from-flask.md": ("tests/moving/test_document.py", 1),
    "docs/scaling.md": ("tests/manual/test_blocks.py", 1),
}
"""Document → the test that runs its Python which needs something around it, and how many blocks that is."""

MARKED = "test"  # <!-- test --> in front of a block: it runs as it stands
PYTHON = of("python")


def by_mark(marked: bool) -> list[Block]:
    return [block for block in PYTHON if (block.mark == MARKED) is marked]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_fence_is_one_of_a_block(path: Path) -> None:
    fences = re.findall(r"^\s*```", text_of(path), re.MULTILINE)
    name = path.relative_to(ROOT).as_posix()
    assert len(fences) == 2 * len([block for block in BLOCKS if block.document == name])


def test_somebody_reads_every_language() -> None:
    assert {block.language for block in BLOCKS} <= set(READERS), "a block says in which language it is"


# Python


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_is_python(block: Block) -> None:
    assert ast.parse(block.code, block.place).body


@pytest.mark.parametrize("block", by_mark(True), ids=lambda block: block.place)
def test_python_runs(block: Block) -> None:
    exec(compile(block.code, block.place, "exec"), {"__name__": "document"})


def test_what_does_not_run_by_itself_is_run_by_a_test() -> None:
    there: dict[str, int] = {}
    for block in by_mark(False):
        there[block.document] = there.get(block.document, 0) + 1
    assert there == {document: number for document, (_, number) in RUN_BY.items()}
    for document, (test, _) in RUN_BY.items():
        assert Path(document).name in (ROOT / test).read_text(), f"{test} says that it runs {document}"


def code_of(document: str) -> str:
    (code,) = [block.code for block in by_mark(False) if block.document == document]
    return code


def test_a_refusal_is_raised_as_answers_md_shows_it() -> None:
    with pytest.raises(Refused, match="axial CT"):
        exec(code_of("docs/answers.md"), {"Refused": Refused})


def test_an_empty_mask_is_filled_as_isolation_md_shows_it() -> None:
    from inference_gateway.testing import run_model

    def network(volume: Any, out: Any) -> None:
        out[...] = volume > 1

    names = {"current_request": current_request, "network": network, "volume": np.arange(6).reshape(2, 3)}
    exec(code_of("docs/isolation.md"), names)
    with run_model(names["model"], validate="off") as result:
        assert list(result.elements[0].read()) == [0, 0, 1, 1, 1, 1]


@pytest.mark.ray
def test_the_application_of_scaling_md_has_its_route() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
    names: dict[str, Any] = {}
    exec(code_of("docs/scaling.md"), names)
    with pytest.raises(ValueError, match="already maps to model my_model:Model"):
        names["app"].add_inference_route("/", print)


# The shell

SHELL = [(block.place, command) for block in of("sh") for command in commands(block.code)]


@pytest.mark.parametrize(("place", "command"), SHELL, ids=[f"{place}-{each[0]}" for place, each in SHELL])
def test_a_program_takes_its_command(
    place: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in STUDY:
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    check(command, tmp_path)


@pytest.mark.parametrize("block", of("sh"), ids=lambda block: block.place)
def test_bash_reads_the_block(block: Block) -> None:
    syntax(block.code)
    with pytest.raises(AssertionError, match="unexpected"):
        syntax(f"{block.code} ( |")


def test_the_lists_have_no_program_that_no_document_uses() -> None:
    used = {command[0].removeprefix(".venv/bin/") for _, command in SHELL}
    assert used - PLAIN == {*CHECKS, *NOT_RUN}


def test_what_a_program_does_not_take_is_seen(tmp_path: Path) -> None:
    for wrong in (
        "inference-gateway serve --no-such-option x:y",
        "make no-such-target",
        "pip install 'x[y]'",
    ):
        (command,) = commands(wrong)
        with pytest.raises(Exception, match=r".") as found:
            check(command, tmp_path)
        assert found.type is not KeyError


# What is read


@pytest.mark.parametrize("block", of("json", "yaml", "dockerfile"), ids=lambda block: block.place)
def test_what_is_for_programs_can_be_read(block: Block) -> None:
    if block.language == "json":
        assert json.loads(block.code)
    elif block.language == "yaml":
        assert list(yaml.safe_load_all(block.code))
    else:
        lines = re.sub(r"\\\n", "", block.code).splitlines()
        instructions = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        assert instructions[0] == "FROM"
        assert set(instructions) <= {"FROM", "COPY", "RUN", "USER", "CMD", "ENV", "ARG", "WORKDIR"}


@pytest.mark.parametrize("block", of("promql"), ids=lambda block: block.place)
def test_what_is_asked_of_prometheus_is_measured(block: Block) -> None:
    """The table of docs/metrics.md is made of the code."""
    there = set(re.findall(r"^\| `(gateway_\w+)`", text_of(ROOT / "docs" / "metrics.md"), re.MULTILINE))
    asked = re.findall(r"\bgateway_\w+", block.code)
    assert asked
    assert {name.removesuffix("_bucket") for name in asked} <= there


def test_the_answer_is_framed_as_wire_md_shows_it(serve: Serve, spool_dir: Path) -> None:
    (shown,) = [block.code for block in of("text") if block.document == "docs/wire.md"]
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    told = {"protocol_version": "1.0", "parts": [{"binary_type": "heatmap"}]}
    app.add_inference_route("/", lambda json_input, inputs, input_hash: (told, [b"SOME BYTES"]))
    answer = post(serve(app).address)
    token = (answer.header("content-type") or "").partition("boundary=")[2]
    text = json.dumps(told).encode()
    hashes = answer.body.rpartition(b"text/plain\r\n\r\n")[2].partition(b"\r\n")[0].decode()
    expected = shown.replace("\n", "").replace("\\r\\n", "\r\n").replace("TOKEN", token)
    expected = expected.replace('{"protocol_version": "1.0", "parts": [...]}', text.decode())
    expected = expected.replace("<bytes>", "SOME BYTES").replace("<input_hash>:<output_hash>", hashes)
    assert answer.body.decode() == expected
    assert hashes.endswith(f":{digest(text, b'SOME BYTES')}")
