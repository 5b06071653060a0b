"""The program that lists what is in the image: how it reads what packages say of themselves."""

import importlib.util
import platform
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import ModuleType

import PIL
import pytest

from tests.image.conftest import ROOT


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "deploy" / "image" / "sbom.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(**fields: str | list[str]) -> Message:
    """Metadata, as `importlib.metadata` has it."""
    message = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "licences"),
    [
        (
            {"License_Expression": "MIT OR Apache-2.0", "License": "old"},
            [{"expression": "MIT OR Apache-2.0"}],
        ),
        ({"Classifier": ["License :: OSI Approved :: MIT License", "Typing :: Typed"]}, ["MIT License"]),
        ({"Classifier": ["License :: OSI Approved"], "License": "BSD\n\nthe whole text"}, ["BSD"]),
        ({"License": "  "}, []),
        ({}, []),
    ],
)
def test_the_licence_that_a_distribution_states(
    sbom: ModuleType, fields: dict[str, str | list[str]], licences: list[str | dict[str, str]]
) -> None:
    wanted = [each if isinstance(each, dict) else {"license": {"name": each}} for each in licences]
    assert sbom.stated(said(**fields)) == wanted


@pytest.mark.parametrize(
    ("text", "licences"),
    [
        ("Format: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: a\nLicense: MIT\n", ["GPL-2+", "MIT"]),
        ("This package was made by somebody.\nLicense: see below\n", []),
        ("Format: x\nLicense:\n nothing on its line\n", []),
    ],
)
def test_the_licences_of_a_copyright_file(
    sbom: ModuleType, tmp_path: Path, text: str, licences: list[str]
) -> None:
    (tmp_path / "copyright").write_text(text)
    assert sbom.copyright_licences(tmp_path / "copyright") == licences


def test_what_a_distribution_carries_is_what_lies_beside_it(sbom: ModuleType) -> None:
    """Pillow's maker names a library under the GPL that may be in it, and is not."""
    found = sbom.distribution(metadata.distribution("pillow"))
    carried = [each["name"] for each in found.get("components", [])]
    folder = Path(PIL.__file__).parents[1] / "pillow.libs"
    assert carried == sorted(path.name for path in folder.glob("*"))
    assert not any("imagequant" in name for name in carried)
    told = {(each["name"], Path(each["value"]).exists()) for each in found["properties"]}
    assert {("licence file", True)} <= told <= {("licence file", True), ("list of its maker", True)}


def test_cpython_is_named_where_no_package_brought_it(
    sbom: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sbom, "owned_by_dpkg", lambda path: False)
    (found,) = sbom.interpreter()
    assert found["purl"] == f"pkg:generic/cpython@{platform.python_version()}"
    assert all(Path(each["value"]).exists() for each in found.get("properties", []))
    monkeypatch.setattr(sbom, "owned_by_dpkg", lambda path: True)
    assert list(sbom.interpreter()) == []
