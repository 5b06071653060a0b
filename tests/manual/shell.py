"""The commands of a shell block, and whether their programs would take them: each reads its own."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from inference_gateway.cli import main
from tests.manual.documents import ROOT

NOT_RUN = {
    "docker": "the tests have no container engine; the Dockerfile has tests of its own",
    "helm": "tests/deploy/test_documents.py renders the chart with the values of the command",
    "kubectl": "needs a cluster",
    "ray": "needs a cluster: make test-ray starts one",
    "jq": "only what is piped into it is ours",
}
"""Programs that are not run here, and why."""

PLAIN = {"cd", "cut", "export", "find", "printf", "sha256sum", "sort", "xargs"}
"""Of the shell and the system, and as they are everywhere: bash reads the block."""

STUDY = ("study", "my-study", "path/to/study", "scan.zip", "more")
"""What the commands of the documents send."""


def commands(code: str) -> Iterator[list[str]]:
    """Each command of a block, as words; what it is piped into is another one."""
    whole = re.sub(r"\\\n\s*", "", code)
    for line in re.sub(r"\$\(.*\)$", "VALUE", whole, flags=re.MULTILINE).splitlines():
        command: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in ("|", "&&"):
                yield command
                command = []
            elif command or not re.match(r"\w+=", word):  # a variable for a command, or of the shell
                command.append(word)
        if command:
            yield command


def syntax(code: str) -> None:
    """Raise `AssertionError` where bash cannot read a block."""
    done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def check(command: list[str], folder: Path) -> None:
    """Raise whatever a program raises where it would not take the command. `folder`: where it would run."""
    program = command[0].removeprefix(".venv/bin/")
    assert program in KNOWN, f"CHECKS or NOT_RUN has to say what becomes of {program}"
    if program in CHECKS:
        CHECKS[program](command[1:], folder)


def _gateway(arguments: list[str], folder: Path) -> None:
    """Read the command line as the command does, up to where it would begin."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, name
        if not isinstance(found, click.Group):
            found.make_context(name, arguments, parent=context)
        command, context = found, click.Context(found, parent=context)


def _make(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bench = [each for each in arguments if each.startswith("BENCH=")]
    if bench:
        from benchmarks.__main__ import parsed

        assert parsed(shlex.split(bench[0].removeprefix("BENCH=")))


def _pip(arguments: list[str], folder: Path) -> None:
    """What is installed is this project, with extras that it has, or another one's package."""
    assert arguments[0] == "install"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wheel = f"dist/{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"
    for each in arguments[1:]:
        name, _, extras = each.rstrip("]").partition("[")
        assert name in (project["name"], "path/to/checkout", wheel, "pre-commit", "torch"), each
        for extra in filter(None, extras.split(",")):
            assert extra in project["optional-dependencies"], each


def _pytest(arguments: list[str], folder: Path) -> None:
    for each in arguments:
        assert not each.startswith("tests/") or (ROOT / each).exists(), each


def _nothing(arguments: list[str], folder: Path) -> None:
    assert arguments


CHECKS: dict[str, Callable[[list[str], Path], None]] = {
    "inference-gateway": _gateway,
    "make": _make,
    "pip": _pip,
    "pytest": _pytest,
    "pre-commit": _nothing,
    "curl": _nothing,  # run as it is, by the test of the README
}

KNOWN = {*CHECKS, *NOT_RUN, *PLAIN}
