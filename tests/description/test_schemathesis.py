"""schemathesis against a real gateway: what the document says is what is answered (`make test-api`)."""

import importlib.util
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("schemathesis") is None,
        reason="schemathesis is not installed: make test-api",
    ),
]

ROOT = Path(__file__).parents[2]
KEY = "open-sesame"


def counted(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """As many elements as there are inputs, each of an application's own type."""
    parts = [{"binary_type": "size"} for _ in inputs]
    return {"protocol_version": "1.0", "parts": parts}, [b"%d" % each.size for each in inputs]


def examine(arguments: list[str], folder: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", *arguments]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.description.related", "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout


def gateway(spool_dir: Path, **settings: Any) -> Gateway:
    chosen = Settings(spool_dir=spool_dir, validation="strict", **settings)
    app = Gateway(settings=chosen, binary_types={"size": "text/plain"})
    app.add_inference_route("/", counted)
    app.add_inference_route("/organ/{organ}/{number:int}", counted)
    app.add_inference_route("/docs", counted)
    return app


def test_it_finds_no_failure(serve: Serve, spool_dir: Path, tmp_path: Path) -> None:
    app = gateway(spool_dir)
    host, port = serve(app, make_server(app, port=0)).address
    url = f"http://{host}:{port}/openapi.json"
    examine(["run", url, "--checks", "all", "--max-examples", "25", "--seed", "1"], tmp_path)


def test_it_finds_no_failure_where_keys_are_asked_for(serve: Serve, spool_dir: Path, tmp_path: Path) -> None:
    app = gateway(spool_dir, api_keys=SecretStr(KEY))
    host, port = serve(app, make_server(app, port=0)).address
    url = f"http://{host}:{port}"
    asked = urllib.request.Request(f"{url}/openapi.json", headers={"X-API-Key": KEY})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        (tmp_path / "openapi.json").write_bytes(answer.read())
    (tmp_path / "keys.toml").write_text(f'[auth.openapi.apiKey]\napi_key = "{KEY}"\n')
    run = ["--config-file", "keys.toml", "run", "openapi.json", "--url", url]
    examine([*run, "--checks", "all", "--max-examples", "10", "--seed", "1"], tmp_path)
