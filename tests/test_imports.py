"""What an import brings along, and what it gives."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import inference_gateway

HEAVY = {
    "pydicom",
    "highdicom",
    "nibabel",
    "httpx",
    "uvicorn",
    "matplotlib",
    "PIL",
    "rich",
    "aiohttp",
    "requests",
    "opentelemetry",
}
SERVER = {"starlette", "pydantic", "uvicorn"}
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(inference_gateway.__path__, "inference_gateway.")
)


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement, by their first and full names."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; before = set(sys.modules); {statement}\nprint(*(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    names = set(done.stdout.split())
    assert names
    return names | {name.partition(".")[0] for name in names}


def test_the_package_loads_nothing_that_hangs_on_an_extra() -> None:
    loaded = loaded_by("import inference_gateway; inference_gateway.Gateway")
    assert loaded & HEAVY == set()
    assert "starlette" in loaded


def test_a_gateway_is_up_without_the_models_of_the_contract() -> None:
    """They cost a tenth of a second; what they say lies in the package as files."""
    loaded = loaded_by("import inference_gateway; inference_gateway.Gateway()")
    assert "inference_gateway.results.fields" not in loaded
    assert "inference_gateway.description.document" in loaded


def test_the_codec_loads_neither_framework_nor_event_loop() -> None:
    loaded = loaded_by("import inference_gateway.multipart")
    assert loaded & {*HEAVY, "starlette", "asyncio", "anyio", "numpy", "pydantic"} == set()
    assert "inference_gateway.multipart.decoder" in loaded


def test_the_client_needs_no_server() -> None:
    loaded = loaded_by("import inference_gateway.client")
    assert "httpx" in loaded
    assert loaded & (HEAVY - {"httpx", "rich"}) == set()  # httpx loads rich, where it is, for its own command


def test_the_command_loads_the_server_only_to_serve() -> None:
    assert loaded_by("import inference_gateway.cli") & (HEAVY | SERVER) == set()


def test_a_models_process_loads_neither_server_nor_event_loop() -> None:
    """It is started again when a model has crashed: what it imports is what the next request waits for."""
    loaded = loaded_by("import inference_gateway.execution.process.child")
    assert loaded & (HEAVY | SERVER | {"asyncio", "ssl", "anyio"}) == set()
    assert "numpy" in loaded


@pytest.mark.parametrize(
    "statement",
    [
        "import inference_gateway.check",
        "import inference_gateway.cli, inference_gateway.check.command",
        "import inference_gateway.client",
        "import inference_gateway.cli, inference_gateway.infer.command",
    ],
)
def test_who_calls_a_gateway_loads_no_server(statement: str) -> None:
    """It would be a quarter of the test tool's memory."""
    assert loaded_by(statement) & {*SERVER, "httptools", "uvloop"} == set()


def test_the_study_loads_neither_highdicom_nor_nibabel() -> None:
    assert loaded_by("import inference_gateway.study") & {"highdicom", "nibabel"} == set()


def test_the_check_needs_no_http_client() -> None:
    assert loaded_by("import inference_gateway.check.command") & HEAVY == set()


def test_public_names() -> None:
    assert inference_gateway.__all__ == sorted(inference_gateway.__all__)
    assert set(inference_gateway.__all__) >= {
        "CurrentRequest",
        "Gateway",
        "Part",
        "Settings",
        "TaggedLogger",
        "current_request",
    }


@pytest.mark.parametrize("name", ["inference_gateway", *MODULES])
def test_what_a_module_exports_is_there(name: str) -> None:
    if name.endswith("__main__"):
        return
    if name.startswith("inference_gateway.execution.actors.") and not name.endswith(".model"):
        pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
    if name in ("inference_gateway.study.report", "inference_gateway.study.segmentation"):
        pytest.importorskip("highdicom", reason="highdicom has no wheels for this Python yet")
    module = importlib.import_module(name)
    assert module.__doc__, "a module says what it is for"
    exported = getattr(module, "__all__", [])
    assert len(exported) == len(set(exported))
    for each in exported:
        assert hasattr(module, each)
    if exported and hasattr(module, "__path__"):
        public = {
            key
            for key, value in vars(module).items()
            if not key.startswith("_") and getattr(value, "__module__", "").startswith("inference_gateway")
        }
        assert public <= set(exported), "a package exports what it imports"


def test_the_package_is_typed() -> None:
    from importlib.resources import files

    assert files("inference_gateway").joinpath("py.typed").is_file()
