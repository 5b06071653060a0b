"""Each template of `init`, as a new user takes it: written, served, asked, tested, its image's steps run."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import inference_gateway
from inference_gateway.client import InferenceClient, RetryPolicy
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.init.command import TEMPLATES
from tests.examples.serving import needs
from tests.examples.trained import write_bundle, write_nnunet
from tests.harness.process import Process, serve_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LIMIT = 300.0
COMMAND = [sys.executable, "-m", "inference_gateway"]
WITHOUT_PACKAGES = ("segmentation-3d", "classification", "boxes")
THAT_RUN = [
    *WITHOUT_PACKAGES,
    pytest.param("torch", marks=needs("torch")),
    pytest.param("monai", marks=needs("torch", "monai")),
    pytest.param("nnunet", marks=needs("torch", "nnunetv2")),
]


@dataclass
class Written:
    """What `init` wrote, and the target that it said."""

    folder: Path
    target: str


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run to its end; what it says."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "DEVICE": "cpu", **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def written(template: str, folder: Path) -> Written:
    said = run(folder, *COMMAND, "init", "my-model", "--template", template)
    found = re.search(r"^inference-gateway serve --dev (\S+)$", said, re.MULTILINE)
    assert found, said
    return Written(folder / "my-model", found[1])


def is_found(template: str, answer: Any) -> bool:
    key = {"classification": "series_ml_json", "boxes": "bounding_boxes_2d"}.get(template, "parts")
    return bool(answer[key])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates") / "study"
    write_phantom(folder, slices=12, rows=64, columns=64)
    return folder


@pytest.mark.parametrize("template", THAT_RUN)
def test_it_serves_answers_and_tests(template: str, study: Path, tmp_path: Path) -> None:
    model = written(template, tmp_path)
    give_weights(template, model.folder)
    process = Process(model.folder, [*serve_command(model.target), "--dev"])
    try:
        host, port = process.address
        process.wait_line("the models are set up")
        run(model.folder, *COMMAND, "infer", str(study), "--url", f"http://{host}:{port}")
        process.wait_line("the report of this request: ")
    finally:
        process.end()
    assert "has a fault" not in process.log
    assert (model.folder / "output" / "report.html").is_file()
    assert is_found(template, json.loads((model.folder / "output" / "response.json").read_text()))
    # pydicom 3.0.2 on Python 3.15; goes with its next release.
    quiet = "ignore:'collections.abc.ByteString' is deprecated:DeprecationWarning"
    said = run(model.folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", quiet)
    assert re.search(r"^=+ [1-9] passed in", said, re.MULTILINE), said


def give_weights(template: str, folder: Path) -> None:
    """What the user has trained or downloaded."""
    if template == "monai":
        write_bundle(folder / "bundle")
    if template == "nnunet":
        write_nnunet(folder / "nnunet")


# Its image: no docker is asked for. The steps are read from the Dockerfile and run, one by one, in a folder
# and an environment that begin as the gateway's image does. What only docker does is not run: FROM and USER.


@dataclass
class Step:
    word: str
    rest: str


def steps_of(dockerfile: Path) -> list[Step]:
    lines = [line for line in dockerfile.read_text().splitlines() if line and not line.startswith("#")]
    return [Step(*line.split(" ", 1)) for line in lines]


def base() -> dict[str, str]:
    """What the gateway's image says of who begins with it."""
    return {step.word: step.rest for step in steps_of(ROOT / "Dockerfile") if step.word.isupper()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own in which the gateway is installed, as in its image, with its own pip."""
    folder = tmp_path_factory.mktemp("image") / "usr"
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    known = [path for path in sys.path if path.endswith("site-packages")]
    source = str(Path(inference_gateway.__file__).parents[1])
    (packages / "gateway.pth").write_text("\n".join([*known, source]))
    return folder / "bin"


@pytest.mark.parametrize("template", TEMPLATES)
def test_its_dockerfile_is_sound(template: str, tmp_path: Path) -> None:
    model = written(template, tmp_path)
    steps = steps_of(model.folder / "Dockerfile")
    assert [step.word for step in steps if step.word != "COPY"] == ["FROM", "USER", "RUN", "USER", "CMD"]
    assert steps[0].rest == "dicom-inference-gateway"
    assert "\nmake image\n" in (ROOT / "README.md").read_text()
    assert f"image=${{IMAGE:-{steps[0].rest}}}\n" in (ROOT / "deploy/image/build.sh").read_text()
    assert [step.rest for step in steps if step.word == "USER"] == ["root", base()["USER"]]
    assert json.loads(steps[-1].rest) == [model.target]
    assert json.loads(base()["ENTRYPOINT"]) == ["inference-gateway", "serve"]
    copied = {step.rest.split()[0] for step in steps if step.word == "COPY"}
    weights = {"monai": {"bundle"}, "nnunet": {"nnunet"}}.get(template, set())
    assert copied == {"requirements.txt", "model.py"} | weights


@pytest.mark.parametrize("template", THAT_RUN)
def test_the_steps_of_its_image_lead_to_a_server(
    template: str, environment: Path, study: Path, tmp_path: Path
) -> None:
    model = written(template, tmp_path)
    give_weights(template, model.folder)
    app = tmp_path / "app"  # WORKDIR
    app.mkdir()
    path = f"{environment}{os.pathsep}{os.environ['PATH']}"
    for step in steps_of(model.folder / "Dockerfile"):
        if step.word == "COPY":
            source, target = step.rest.split()
            copy = shutil.copytree if (model.folder / source).is_dir() else shutil.copy
            copy(model.folder / source, app / target)
        elif step.word == "RUN":
            run(app, "sh", "-euc", step.rest, PATH=path)
    (words,) = (json.loads(step.rest) for step in steps_of(model.folder / "Dockerfile") if step.word == "CMD")
    program, *rest = json.loads(base()["ENTRYPOINT"])
    assert program == "inference-gateway"
    command = [str(environment / "python"), "-m", "inference_gateway", *rest, *words]
    process = Process(app, ["env", "DEVICE=cpu", *command], host="127.0.0.1", port=0)
    try:
        host, port = process.address
        patient = RetryPolicy(attempts=60)
        with (
            InferenceClient(f"http://{host}:{port}", retry=patient) as client,
            client.infer({}, [study]) as result,
        ):
            assert is_found(template, result.json)
    finally:
        process.end()


# What holds of each, whatever is installed


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_it_imports_is_python_and_stands_in_its_requirements(template: str, tmp_path: Path) -> None:
    model = written(template, tmp_path)
    required = {
        line
        for line in (model.folder / "requirements.txt").read_text().split("\n")
        if line and line[0] != "#"
    }
    names: set[str] = set()
    for path in model.folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), path.name)):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).partition(".")[0])
    given = {"inference_gateway", "pytest", "model", *sys.stdlib_module_names}
    assert names - given <= required
    assert all(re.fullmatch(r"[a-z0-9]+", line) for line in required)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in WITHOUT_PACKAGES])
def test_a_missing_package_is_named_with_the_line_that_installs_it(template: str, tmp_path: Path) -> None:
    model = written(template, tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    done = subprocess.run(
        serve_command(model.target),
        cwd=model.folder,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 2
    assert "it needs torch: pip install -r requirements.txt" in done.stderr
    assert f'"{model.folder}/model.py"' in done.stderr


def test_beside_the_model_itself_there_are_at_most_eight_lines() -> None:
    """`segment`, `classify` or `find`, and what it imports, are the model's."""
    for template in WITHOUT_PACKAGES:
        path = ROOT / "src" / "inference_gateway" / "init" / "templates" / template / "model.py"
        code = path.read_text()
        lines = ("def model(" + code.partition("def model(")[2]).splitlines()
        lines += re.findall("^from inference_gateway.*", code, re.MULTILINE)
        assert len([line for line in lines if line.strip()]) <= 8, template
