"""The image that `make image` builds: what it serves, what it may do, and what it says is in it."""

import csv
import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from inference_gateway.client import InferenceClient
from inference_gateway.demo.gateway_process import free_port
from inference_gateway.demo.sample import write_phantom_series
from tests.image.conftest import BASE, MakeImage, Tool

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
BUILT = "/usr/local/"  # where the official images have a CPython that they built themselves
SBOM = "usr/share/sbom/image.cdx.json"
CONFINED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=host",
)


@pytest.fixture(scope="module")
def image(make_image: MakeImage) -> str:
    return make_image("inference-gateway-test")


@pytest.fixture(scope="module")
def with_model(make_image: MakeImage, image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a model in it, as the document says."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "my_model.py").write_text((HERE / "model.py").read_text())
    lines = f'FROM {image}\nCOPY my_model.py .\nCMD ["my_model:model"]\n'
    return make_image.on_top("inference-gateway-test-model", lines, folder)


@contextmanager
def root_of(tool: Tool, image: str, folder: Path) -> Iterator[Path]:
    """The files of an image."""
    name = tool("create", *tool.run_options, image, "model").strip()
    try:
        packed = folder / "root.tar"
        tool("export", "--output", str(packed), name)
        root = folder / "root"
        root.mkdir()
        subprocess.run(
            ["tar", "--extract", "--file", packed, "--directory", root, "--exclude=dev/*"], check=True
        )
        packed.unlink()
        yield root
    finally:
        tool("rm", name)


@contextmanager
def running(tool: Tool, image: str, *command: str, mounted: Path | None = None) -> Iterator[tuple[str, int]]:
    """A container of `image` that may do nothing: its name, and the port that it has become ready on."""
    port = free_port()
    volume = [f"--volume={mounted}:/app/{mounted.name}:ro"] if mounted else []
    name = tool.run("--detach", *CONFINED, *volume, f"--env=GATEWAY_PORT={port}", image, *command).strip()
    try:
        limit = time.monotonic() + 120
        while status(port, "/healthcheck") != 200:
            assert time.monotonic() < limit, tool("logs", name)
            time.sleep(0.1)
        yield name, port
    except BaseException:
        print(tool("logs", name))
        raise
    finally:
        tool("rm", "--force", name, check=False)


def status(port: int, path: str) -> int:
    with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status
    return 0


def test_a_study_is_served_without_rights_on_a_read_only_root(
    tool: Tool, with_model: str, tmp_path: Path
) -> None:
    study = write_phantom_series(tmp_path)
    with running(tool, with_model) as (name, port), InferenceClient(f"http://127.0.0.1:{port}") as client:
        with client.infer({"inference_command": "segment"}, study) as result:
            told = result.json["told"]
            shape = result.json["parts"][0]["binary_data_shape"]
            assert len(result.elements[0].read()) == shape["width"] * shape["height"]
        assert told["images"] == len(study)
        assert told["user"] == [10001, 10001]
        assert told["writable"] == ["/tmp"]
        assert told["NoNewPrivs"] == "1"
        assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0
        inspected = json.loads(tool("inspect", name))[0]
        health = inspected["Config"]["Healthcheck"]
        tool("exec", name, *health["Test"][1:])  # as the tool itself calls it, without its timer
        tool("kill", "--signal=TERM", name)
        assert tool("wait", name).strip() == "0"


def test_the_health_check_fails_where_nobody_answers(tool: Tool, with_model: str) -> None:
    health = json.loads(tool("image", "inspect", with_model))[0]
    test = (health.get("Healthcheck") or health["Config"]["Healthcheck"])["Test"]
    assert test[0] == "CMD"
    arguments = ["--rm", *CONFINED, f"--env=GATEWAY_PORT={free_port()}", f"--entrypoint={test[1]}"]
    done = subprocess.run(
        [*tool.command, "run", *tool.run_options, *arguments, with_model, *test[2:]],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1


def test_what_it_lists_is_what_is_in_it(tool: Tool, image: str, tmp_path: Path) -> None:
    """Each package and distribution is listed, nothing else, and no code is there that none brought."""
    with root_of(tool, image, tmp_path) as root:
        components = json.loads((root / SBOM).read_text())["components"]
        listed = {each["purl"].partition("?")[0]: each for each in components}
        assert len(listed) == len(components)
        built = {purl for purl in listed if purl.startswith("pkg:generic/cpython@")}
        assert set(listed) == {*debian_packages(root), *python_distributions(root), *built}
        assert {path for path in code(root) - owned(root) if not (built and path.startswith(BUILT))} == set()
        assert bool(built) == any(path.startswith(BUILT) for path in code(root))
        places = [place["value"] for each in listed.values() for place in each.get("properties", [])]
        assert [place for place in places if not (root / place.lstrip("/")).exists()] == []
        assert [purl for purl, each in listed.items() if not {"licenses", "properties"} & each.keys()] == []
        carried = [inside["name"] for each in components for inside in each.get("components", [])]
        assert sorted(carried) == sorted(path.name for path in root.rglob("*.libs/*"))


def test_the_list_is_cyclonedx(tool: Tool, image: str, tmp_path: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="pip install -e '.[deploy]'")
    schema = pytest.importorskip("cyclonedx.schema")
    with root_of(tool, image, tmp_path) as root:
        text = (root / SBOM).read_text()
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(text) is None


def test_another_base_with_another_python(tool: Tool, make_image: MakeImage, tmp_path: Path) -> None:
    """As with a CUDA image: a base that has no such Python, and the packages that bring it."""
    image = make_image(
        "inference-gateway-test-base",
        BASE=BASE,
        BASE_PACKAGES="python3.14 python3.14-venv",
        BASE_PYTHON="python3.14",
        EXTRAS="",
    )
    said = tool.run("--rm", *CONFINED, "--entrypoint=python", image, "--version")
    assert re.fullmatch(r"Python 3\.14\.\d+\n", said)
    model = tmp_path / "my_model.py"
    model.write_text("def model(json_input, inputs, input_hash):\n    return {'parts': []}\n")
    with running(tool, image, "my_model:model", mounted=model) as (_, port):
        assert status(port, "/ping") == 200
    with root_of(tool, image, tmp_path) as root:
        listed = {
            each["purl"].partition("?")[0] for each in json.loads((root / SBOM).read_text())["components"]
        }
        assert listed == {*debian_packages(root), *python_distributions(root)}
        assert not {purl for purl in listed if purl.startswith("pkg:pypi/pydicom@")}


def debian_packages(root: Path) -> set[str]:
    """What dpkg has installed, read from its own file."""
    found = set()
    for entry in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][\w-]+): (.*)$", entry, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            version = fields["Version"].replace("+", "%2B").replace(":", "%3A")
            found.add(f"pkg:deb/debian/{fields['Package'].replace('+', '%2B')}@{version}")
    return found


def python_distributions(root: Path) -> set[str]:
    """The folders of metadata that pip has written, outside of Debian's packages."""
    found = set()
    for folder in (*(root / "opt/venv").rglob("*.dist-info"), *(root / "usr/local").rglob("*.dist-info")):
        fields = dict(re.findall(r"^(Name|Version): (.*)$", (folder / "METADATA").read_text(), re.MULTILINE))
        name = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
        found.add(f"pkg:pypi/{name}@{fields['Version']}")
    return found


def code(root: Path) -> set[str]:
    """Programs, libraries and Python's sources."""
    found = set()
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and is_code(path):
                found.add(f"/{path.relative_to(root)}")
    return found


def is_code(path: Path) -> bool:
    if path.suffix == ".py":
        return True
    with path.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def owned(root: Path) -> set[str]:
    """The files that Debian's packages and Python's distributions say that they brought."""
    found = set()
    for brought in (root / "var/lib/dpkg/info").glob("*.list"):
        found |= {
            re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", line) for line in brought.read_text().splitlines()
        }
    for record in root.rglob("*.dist-info/RECORD"):
        with record.open(newline="") as opened:
            rows = [row[0] for row in csv.reader(opened)]
        base = record.parent.parent
        found |= {os.path.normpath(f"/{base.relative_to(root)}/{row}") for row in rows}
    return found
