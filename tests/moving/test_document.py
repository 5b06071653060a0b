"""docs/moving-from-flask.md is true: its files are served, its commands exist, its table is complete."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from inference_gateway.answer.problem import Problem
from inference_gateway.cli import main
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.errors import ModelError
from tests.harness.process import Process, serve_command
from tests.moving.application import NEW_LINES, OLD_LINES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "moving-from-flask.md"
TEXT = DOCUMENT.read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"no block of {language}"
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the document, as their first lines name them."""
    for code in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name, "a file says its name in its first line"
        (tmp_path / name[1]).write_text(code)
    return tmp_path


def commands() -> list[list[str]]:
    return [shlex.split(line) for text in blocks("sh") for line in text.splitlines()]


def test_the_import_lines_are_those_that_the_tests_run() -> None:
    (diff,) = blocks("diff")
    lines = diff.splitlines(keepends=True)
    assert "".join(line[1:] for line in lines if line.startswith("-")) == "".join(OLD_LINES)
    assert "".join(line[1:] for line in lines if line.startswith("+")) == "".join(NEW_LINES)


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_and_their_options_exist(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read by the command itself, up to where it would begin."""
    (folder / "my-study").mkdir()
    monkeypatch.chdir(folder)
    assert command[0] == "inference-gateway"
    found = main.get_command(click.Context(main), command[1])
    assert found is not None
    assert found.make_context(command[1], command[2:]).params


def served() -> list[list[str]]:
    return [command[2:] for command in commands() if command[1] == "serve"]


@pytest.mark.parametrize(
    ("target", "isolation"),
    [(arguments[0], "thread") for arguments in served()] + [("my_model:model", "process")],
)
def test_what_is_served_answers_the_client_of_the_document(
    target: str, isolation: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    write_phantom(folder / "study", slices=2, rows=8, columns=10)
    process = Process(folder, serve_command(target), spool_dir=folder, isolation=isolation)
    try:
        host, port = process.address
        ask = importlib.import_module("ask").ask
        answer, masks = ask(f"http://{host}:{port}", folder / "study")
        assert [part["label"] for part in answer["parts"]] == ["everything"] * 2
        assert all((mask == np.full((8, 10), 255)).all() for mask in masks)
        assert process.wait_line(r'\{"input_hash": "[0-9a-f]{64}"\} - 2 images')
    finally:
        process.close()
        sys.modules.pop("ask", None)


def test_the_image_serves_a_file_of_the_document(folder: Path) -> None:
    """Its CMD is what `inference-gateway serve` takes, and that is the ENTRYPOINT of the image."""
    (text,) = blocks("dockerfile")
    (target,) = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0])
    copied = re.findall(r"^COPY (\S+) \.$", text, re.MULTILINE)
    assert [target.partition(":")[0] + ".py"] == copied
    assert (folder / copied[0]).exists()
    image = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["inference-gateway", "serve"]' in image
    assert "HEALTHCHECK" in image
    assert re.findall(r"^USER (\d+)", text, re.MULTILINE) == re.findall(r"^USER (\d+)", image, re.MULTILINE)


def test_the_problem_is_the_one_that_is_sent() -> None:
    (text,) = blocks("json")
    error = ModelError()
    assert json.loads(text) == Problem.document(error.status, error.detail, "...")


def test_the_table_has_what_people_ask_for() -> None:
    rows = set(re.findall(r"^\| ([A-Za-z' ]+?) \|", TEXT, re.MULTILINE))
    assert rows >= {
        *("handler", "error handler", "health check", "logging", "test tool", "Dockerfile"),
        "container's health",
    }


def test_the_readme_leads_here() -> None:
    assert "(docs/moving-from-flask.md)" in (ROOT / "README.md").read_text()
