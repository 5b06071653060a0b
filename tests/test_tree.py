"""The tree is what it says it is: tests beside modules, and documents that tell of what is there."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "inference_gateway"
TESTS = ROOT / "tests"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
DISTRIBUTION = "dicom-inference-gateway"

UNTESTED = {
    "app/runners": "where a model runs: the test of the gateway registers every kind of model",
    "audit/times": "one line of time: the tests of entries and ledger read it",
    "audit/bucket": "one request: the test of the sender makes it of a real service",
    "audit/metrics": "counts: the test of the auditor scrapes them",
    "__main__": "calls cli, whose test runs it",
    "serving/application": "the command, whose test serves each kind of target",
    "demo/__main__": "arguments for demo.run, which has the test",
    "demo/models/answer": "the shape of an answer: the test of each model holds it",
    "execution/batch_slot": "a place in a batch: the test of the batch runner takes every kind of place",
    "execution/job": "one step of a slot: its test makes every kind of call",
    "execution/actors/actor": "the other side of `host`: the tests of the runner and `test_isolation` run it",
    "execution/actors/host": "what a turn asks of an actor: the tests of the runner and `test_isolation` do",
    "execution/actors/leases": "what the runner has of the pool: its test has two gateways share it",
    "execution/actors/pool": "the slots: the test of the runner grows, shares, loses and ends them",
    "execution/process/asking": "what hosts have in common: the tests of both kinds ask",
    "execution/process/inside": "the other side of the host, whose test runs it",
    "execution/process/child": "the other side of the host, whose test runs it",
    "execution/process/child_loop": "the other side of the host, whose test runs `async def` callbacks",
    "execution/process/child_batch": "the other side of the host, with batches: their tests run it",
    "execution/process/keeper": "starts and ends processes: the tests of the host and the warden do both",
    "execution/process/log_lines": "the model's lines, wherever it runs: `test_isolation` has every place",
    "execution/process/messages": "what host and child tell each other: the test of the host tells it all",
    "execution/process/turn": "a part of the runner, whose test ends turns in every way",
    "execution/waiting": "a request's wait: the tests of slots and of batches run into each of its ends",
    "execution/runner": "a protocol: the test of what fulfils it holds it",
    "extensions": "two names: the tests of the hardened server use what they stand for",
    "intake/pace": "the time limits of an upload: the tests of the ingest run into each",
    "payload/contract": "constants of the wire: the tests of both sides compare what is sent",
    "results/faults": "one line of text: the test of validation reads fifty of them",
    "results/fields": "the contract: each wrong answer of the test of validation breaks one of them",
    "results/json_rules": "fields become faults: the test of validation sees each kind",
    "study/errors": "one class: the tests of what raises it match its sentences",
    "study/planes": "what series and volumes share: the tests of both ask for it",
    "study/identity": "codes and names: the tests of segmentations and reports read them back",
    "telemetry/context": "one variable: the tests of log lines and of the current request read it",
    "serving/exit_codes": "numbers: the tests of server and supervisor compare them",
    "tagged_logger": "another import path",
    "flask_names": "another import path",
}
"""Modules without a test module of their own, and why."""

OWN = {
    "test_imports": "what each module brings along and gives",
    "test_tree": "this one",
    "test_wire_rows": "the wire contract as a list",
    "multipart/test_oracle": "the decoder beside another parser",
    "description/test_schemathesis": "the document beside what a running gateway answers",
    "dicom/test_document": "the tables of docs/dicom.md",
    "dicom/test_foreign": "other projects' files beside another program",
    "execution/test_refusal": "models that refuse, on threads and in processes",
    "execution/process/test_cuda": "models in processes on a real GPU, where there is one",
    "execution/test_batches": "requests of one batch beside each other, on threads and in processes",
    "execution/test_isolation": "callbacks beside each other on threads, in processes and on Ray",
    "demo/models/test_models": "the table in the package's __init__",
}
"""Test modules without a module of their own, and why."""

BESIDE = (
    "deploy/",
    "examples/",
    "faults/",
    "harness/",
    "image/",
    "interop/",
    "manual/",
    "moving/",
    "odd_inputs/",
)
"""Tests that cut across the modules."""

STATIONS = ("cli", "serving", "app", "intake", "multipart", "payload", "execution", "answer", "telemetry")
"""Where a request passes, in the order of its journey; what serves several of them may stand between."""


def modules() -> set[str]:
    """`dicom/series` and so on; packages are tested by what they give."""
    paths = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    return {path.as_posix() for path in paths if path.name != "__init__" and "templates" not in path.parts}


def mirrors() -> set[str]:
    paths = (path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py"))
    return {path for path in paths if not path.startswith(BESIDE)}


def mirror(module: str) -> str:
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}" if folder else f"test_{name}"


def test_each_module_has_its_test_module() -> None:
    there = mirrors()
    missing = {module for module in modules() if mirror(module) not in there}
    assert missing == set(UNTESTED)


def test_each_test_module_has_its_module() -> None:
    assert mirrors() - {mirror(module) for module in modules()} == set(OWN)


def test_no_test_module_imports_a_test_module() -> None:
    """What several of them use stands in a plain module beside them."""
    imports = re.compile(r"^\s*(?:from|import) (?:tests)?\.(?:\w*\.)*test_", re.MULTILINE)
    assert imports.search("from tests.dicom.test_order import placed")
    paths = TESTS.rglob("*.py")
    importing = [str(path.relative_to(TESTS)) for path in paths if imports.search(path.read_text())]
    assert importing == []


# docs/architecture.md


def told() -> list[str]:
    """The rooms and the modules beside them that the document presents, in its order: `**`name.py`**`."""
    names = re.findall(r"\*\*`([a-z_]+)(?:\.py|/)`\*\*", ARCHITECTURE.read_text())
    assert names
    return names


def test_the_architecture_names_every_room_once() -> None:
    there = {
        path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(told()) == sorted(there - {"__init__"})


def test_the_architecture_follows_a_request() -> None:
    assert [name for name in told() if name in STATIONS] == list(STATIONS)


@pytest.mark.parametrize("room", STATIONS[1:])
def test_the_architecture_names_every_module_of_the_journey(room: str) -> None:
    text = ARCHITECTURE.read_text()
    for path in (SOURCE / room).glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in text, path.name


def test_a_module_is_a_room_of_one_screenful_or_a_few() -> None:
    long = {module for module in modules() if len((SOURCE / f"{module}.py").read_text().splitlines()) > 350}
    assert long == set()


# The name: on the public index `inference-gateway` is somebody else's package

TEXTS = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ""}


def written() -> list[Path]:
    """Every text of the project that may tell somebody what to install."""
    folders = (
        "src",
        "tests",
        "docs",
        "manual",
        "deploy",
        "examples",
        "benchmarks",
        "fuzz",
        "soak",
        ".github",
    )
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    paths = [*ROOT.glob("*"), *inside]
    return [path for path in paths if path.suffix in TEXTS and path.is_file() and path != Path(__file__)]


def test_nothing_installs_the_package_of_another_project() -> None:
    wrong = re.compile(r"\b(?:pip install|pip download|uv add) (?:-\S+ )*['\"]?inference[-_]gateway\b")
    assert wrong.search("pip install --upgrade 'inference-gateway[dicom]'")
    assert not wrong.search("pip install 'dicom-inference-gateway[dicom]'")
    texts = {path: path.read_text(errors="replace") for path in written()}
    assert ROOT / "README.md" in texts
    assert [str(path) for path, text in texts.items() if wrong.search(text)] == []


def test_the_metadata_name_this_distribution() -> None:
    """The extras that name the distribution again, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    required = [each for extra in project["optional-dependencies"].values() for each in extra]
    assert {each.partition("[")[0] for each in required if "inference-gateway" in each} == {DISTRIBUTION}
    assert metadata.version(DISTRIBUTION) == project["version"]


def test_extras_for_older_pythons_say_so_in_the_metadata() -> None:
    """The build drops the marker of an extra that another names; pip would compile what has no wheel."""
    required = metadata.requires(DISTRIBUTION) or []
    found = [each for each in required if each.startswith("highdicom") and re.search(r"'(all|dev)'", each)]
    assert len(found) == 2
    assert all("python_version < '3.14'" in each for each in found), found


def test_everybody_says_the_same_versions_of_python() -> None:
    """`requires-python`, the classifiers, README, the Makefile and the workflow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"])
    assert found
    first, last = int(found[1]), int(found[2]) - 1
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert classifiers == [f"3.{minor}" for minor in range(first, last + 1)]
    assert f"Python 3.{first} to 3.{last}" in (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert f"(3, {first}) <= sys.version_info < (3, {last + 1})" in makefile
    assert f"Python 3.{first} to 3.{last} is needed" in makefile
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    matrix = ", ".join(f'"3.{minor}"' for minor in range(first, last + 1))
    assert f"python: [{matrix}]" in workflow


# Links and mentions


def test_there_are_documents() -> None:
    assert {path.name for path in DOCUMENTS} >= {"README.md", "CHANGELOG.md", "architecture.md"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    relative = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    broken = [target for target in relative if target and not (document.parent / target).exists()]
    assert broken == []


def test_the_code_mentions_only_documents_that_are_there() -> None:
    paths = [*SOURCE.rglob("*.py"), *TESTS.rglob("*.py"), *DOCUMENTS]
    mentions = {found for path in paths for found in re.findall(r"\bdocs/decisions/\d{4}", path.read_text())}
    assert mentions
    assert {found for found in mentions if not list(ROOT.glob(f"{found}-*.md"))} == set()


def test_the_example_of_the_package_runs() -> None:
    """The docstring of the package and of `Gateway` show the same few lines."""
    import inference_gateway

    for text in (inference_gateway.__doc__, inference_gateway.Gateway.__doc__):
        found = re.search(r"```python\n(.*?)```", text or "", re.DOTALL)
        assert found
        code = re.sub(r"^    ", "", found[1], flags=re.MULTILINE) if found[1].startswith("    ") else found[1]
        names = {"Gateway": inference_gateway.Gateway, "model": print}
        exec(compile(code, "docstring", "exec"), names)
        assert isinstance(names["app"], inference_gateway.Gateway)
