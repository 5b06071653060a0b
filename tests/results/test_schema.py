"""The published schema is that of the models, everywhere where it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.results import json_schema
from inference_gateway.results.schema import FILE, published, schema_text
from tests.conftest import Serve
from tests.harness.asking import call, media_type

DOCS = Path(__file__).parents[2] / "docs"


def test_the_files_are_what_the_models_say() -> None:
    """Else: `python -m inference_gateway.results.reference docs`."""
    assert published().decode() == schema_text()
    assert (DOCS / FILE).read_text() == schema_text()


def test_it_says_what_is_needed() -> None:
    told = json_schema()
    assert told["$ref"] == "#/$defs/AnswerJson"
    definitions: dict[str, Any] = told["$defs"]
    assert definitions["AnswerJson"]["required"] == ["protocol_version"]
    assert definitions["NumericLabelMask"]["required"] == ["binary_data_shape", "binary_type", "label_map"]
    assert "RequestJson" in definitions


@pytest.mark.wire("routes: /schema")
def test_it_is_served(serve: Serve, spool_dir: Path) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", print)
    answer = call(serve(app).address, b"/schema")
    assert (answer.status, media_type(answer)) == (200, "application/schema+json")
    assert json.loads(answer.body) == json_schema()
