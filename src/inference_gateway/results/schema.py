"""The contract of the JSON as a JSON Schema (draft 2020-12), as it is published and served."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

FILE = "answers.schema.json"
"""Its file, in this package and in docs/."""


def json_schema() -> dict[str, Any]:
    """Return the schema: of an answer's JSON, and of a request's under `#/$defs/RequestJson`."""
    # Here, and not above: a gateway serves the file, and is up a tenth of a second sooner without the models.
    from pydantic.json_schema import models_json_schema

    from inference_gateway.results.fields import AnswerJson, RequestJson

    made = models_json_schema([(AnswerJson, "validation"), (RequestJson, "validation")])[1]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The JSON of an answer",
        "$ref": "#/$defs/AnswerJson",
        "$defs": made["$defs"],
    }


def schema_text() -> str:
    """Return the schema as it is written into the files."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def published() -> bytes:
    """Return the schema that lies in the package."""
    return files(__package__).joinpath(FILE).read_bytes()
