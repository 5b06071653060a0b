"""`inference-gateway init` and `sample`: what they write, and what they never overwrite."""

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

from inference_gateway.cli import main
from inference_gateway.init.command import TEMPLATES

FILES = {"model.py", "test_model.py", "requirements.txt", "Dockerfile"}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.parametrize("template", TEMPLATES)
def test_four_files_as_they_are(template: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "my-model"
    result = command("init", folder, "--template", template)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == FILES
    source = files("inference_gateway.init") / "templates" / template
    for name in FILES - {"Dockerfile"}:  # which is one for all of them
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert f"cd {folder}\n" in result.output
    target = "Model" if "class Model" in (folder / "model.py").read_text() else "model"
    assert f"inference-gateway serve --dev model:{target}\n" in result.output


def test_every_folder_of_templates_is_told() -> None:
    there = {one.name for one in (files("inference_gateway.init") / "templates").iterdir() if one.is_dir()}
    assert there == set(TEMPLATES)
    told = command("init", "--help").output
    for name, template in TEMPLATES.items():
        assert re.search(rf"^ +{name} +{re.escape(template.what)}$", told, re.MULTILINE)
    for name in FILES:
        assert name in told


def test_a_mask_is_what_one_begins_with(tmp_path: Path) -> None:
    assert command("init", tmp_path / "my-model").exit_code == 0
    assert "answer.mask(" in (tmp_path / "my-model" / "model.py").read_text()


def test_the_current_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    result = command("init", ".")
    assert result.exit_code == 0
    assert "cd ." not in result.output
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "notes.txt"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    result = command("init", tmp_path)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert f"has {name} already, and nothing was written: name another folder" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "model.py").symlink_to(tmp_path / "elsewhere")
    result = command("init", tmp_path)
    assert result.exit_code != 0
    assert not (tmp_path / "elsewhere").exists()
    assert "name another folder" in result.output


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    result = command("init", tmp_path / "taken")
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    assert "cannot be written" in result.output
    assert "name another folder" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = command("init", tmp_path / "my-model")
    assert result.exit_code == 1
    assert "name another folder" in result.output


def test_a_template_that_is_none(tmp_path: Path) -> None:
    result = command("init", tmp_path / "my-model", "--template", "cat")
    assert result.exit_code == 2
    assert "segmentation-3d" in result.output
    assert not (tmp_path / "my-model").exists()


@pytest.mark.slow
def test_a_made_study(tmp_path: Path) -> None:
    result = command("sample", tmp_path / "study")
    assert result.exit_code == 0
    assert result.output == f"48 images in {tmp_path / 'study'}\n"
    assert {dcmread(path).Modality for path in (tmp_path / "study").iterdir()} == {"CT"}
    again = command("sample", tmp_path / "study")
    assert again.exit_code == 2
    assert "name another folder" in again.output


@pytest.mark.slow
def test_what_a_made_study_needs_is_named(tmp_path: Path) -> None:
    (tmp_path / "pydicom.py").write_text("raise ModuleNotFoundError('not here', name='pydicom')")
    done = subprocess.run(
        [sys.executable, "-m", "inference_gateway", "sample", "study"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "needs pydicom: pip install 'dicom-inference-gateway[demo]'" in done.stderr


def test_a_name_with_a_blank_is_quoted(tmp_path: Path) -> None:
    result = command("init", tmp_path / "my model")
    assert f"cd '{tmp_path / 'my model'}'\n" in result.output


def test_a_made_study_goes_into_no_file(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("mine")
    assert command("sample", tmp_path / "study").exit_code == 2
    below = command("sample", tmp_path / "study" / "deep")
    assert below.exit_code != 0
    assert "name another folder" in below.output
    assert (tmp_path / "study").read_text() == "mine"
