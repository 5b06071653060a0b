"""Targets of `serve`: found, or refused with a sentence that says what to write."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inference_gateway.serving.target import resolve

MODULE = """
class Namespace:
    nested = "nested"

model = "model"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules, which is where the command is run; nothing of it stays imported."""
    (tmp_path / "a_package").mkdir()
    for name in ("a_model.py", "a_package/__init__.py", "a_package/inner.py", "a_package/py.py"):
        (tmp_path / name).write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(sys.modules)
    yield tmp_path
    sys.modules.clear()  # the dictionary itself: the interpreter looks into no other
    sys.modules.update(before)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("a_model:model", "model"),
        ("a_model:Namespace.nested", "nested"),
        ("a_package:model", "model"),
        ("a_package.inner:model", "model"),
        ("a_package.py:model", "model"),
        ("json:JSONDecodeError.__name__", "JSONDecodeError"),
    ],
)
def test_found(target: str, found: str) -> None:
    assert resolve(target) == found


def refusal(target: str) -> str:
    with pytest.raises(click.ClickException) as caught:
        resolve(target)
    assert caught.value.exit_code == 2
    return caught.value.message


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("a_model", "module:object"),
        ("a_model:", "module:object"),
        (":model", "module:object"),
        ("", "module:object"),
        ("no_such_module:model", "no module 'no_such_module'"),
        ("a_model.sub:model", "no module 'a_model.sub'"),
        ("a_package.none.none:model", "no module 'a_package.none.none'"),
        ("a_model:none", "no 'none'"),
        ("a_model:Namespace.none", "none"),
        ("a_model.py:model", "leave out .py and write dots for slashes, a_model:model"),
        ("a_model.py", "a_model:model"),
        ("no_such.py:model", "leave out .py and write dots for slashes, no_such:model"),
        ("./a_model.py:model", ", a_model:model"),
        ("a_package/inner.py:model", ", a_package.inner:model"),
        ("a_package/inner:model", ", a_package.inner:model"),
        ("../other/a_model.py:other", ", a_model:other in the folder ../other"),
        ("/srv/a_model.py:model", ", a_model:model in the folder /srv"),
    ],
)
def test_refused(target: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refusal(target)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("source", "error", "line"),
    [
        ("import no_such_dependency", "ModuleNotFoundError", 1),
        ("import a_model.sub", "ModuleNotFoundError", 1),
        ("\ndef model(:", "SyntaxError", 2),
        ("x = 1\nx.y", "AttributeError", 2),
        ("import sys\nsys.exit(0)", "SystemExit", 2),
        ("raise BaseExceptionGroup('x', [KeyError()])", "ExceptionGroup", 1),
        ("import json\njson.loads('{')", "JSONDecodeError", 2),
        ("print('\\0'.encode('ascii').decode('x'))", "LookupError", 1),
    ],
)
def test_what_does_not_import_shows_its_own_traceback(
    source: str, error: str, line: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text(source)
    said = refusal("broken:model").partition(": it needs")[0]
    assert said == f"broken cannot be imported ({error})"
    printed = capsys.readouterr().err
    assert f'"{folder}/broken.py", line {line}' in printed
    assert error in printed
    for machinery in ("importlib/__init__", "frozen", "target.py"):
        assert machinery not in printed


def test_a_package_that_is_missing_and_what_installs_it(folder: Path) -> None:
    (folder / "broken.py").write_text("import no_such_dependency")
    (folder / "requirements.txt").write_text("no-such-dependency\n")
    assert refusal("broken:model") == (
        "broken cannot be imported (ModuleNotFoundError): it needs no_such_dependency: "
        "pip install -r requirements.txt"
    )


def test_an_extra_that_is_missing_and_what_installs_it(folder: Path) -> None:
    (folder / "broken.py").write_text(
        "from inference_gateway.extras import extra\n"
        "with extra('nifti', needs='reading NIfTI'):\n    import no_such_dependency\n"
    )
    assert refusal("broken:model") == (
        "broken cannot be imported (ModuleNotFoundError): reading NIfTI needs no_such_dependency: "
        "pip install 'dicom-inference-gateway[nifti]'"
    )


@pytest.mark.parametrize("name", ["json", "time", "click", "inference_gateway", "sys"])
def test_a_name_that_is_taken(name: str, folder: Path) -> None:
    """The module that is imported already goes before the author's."""
    (folder / f"{name}.py").write_text(MODULE)
    assert refusal(f"{name}:model") == (
        f"{name} is the name of another module, which Python takes instead of yours: rename yours"
    )


def test_a_package_whose_name_is_taken(folder: Path) -> None:
    (folder / "click").mkdir()
    (folder / "click" / "__init__.py").write_text(MODULE)
    assert "click is the name of another module" in refusal("click:model")


def test_a_module_that_hides_one_of_pythons_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "colorsys.py").write_text("")
    (folder / "calendar.py").write_text("")  # hides one, too, but it is not the reason
    (folder / "broken.py").write_text("import colorsys\ncolorsys.rgb_to_hsv(0, 0, 0)")
    sys.modules.pop("colorsys", None)
    assert refusal("broken:model") == (
        "broken cannot be imported (AttributeError); "
        "colorsys.py here hides Python's own module colorsys: rename it"
    )
    assert "rgb_to_hsv" in capsys.readouterr().err
