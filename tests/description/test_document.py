"""The document is made of the code, says the truth of what is sent, and is a valid OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from inference_gateway.description.document import FILE, document, document_text, published, write
from inference_gateway.description.problems import problem_kinds
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.results import json_schema

DOCS = Path(__file__).parents[2] / "docs"
SHAPE = {"height": 1, "width": 1}


def test_the_files_are_what_the_code_says() -> None:
    """Else: `python -m inference_gateway.description.document docs`."""
    assert published().decode() == document_text()
    assert (DOCS / FILE).read_text() == document_text()


def test_it_is_written_into_package_and_folder(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / FILE).read_bytes() == published()


def test_the_shapes_are_those_of_the_schema() -> None:
    shapes = json.dumps(document()["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
    told = json.loads(shapes)
    del told["Problem"]
    assert told == json_schema()["$defs"]


def references(inside: Any) -> set[str]:
    if isinstance(inside, dict):
        own = {inside["$ref"]} if isinstance(inside.get("$ref"), str) else set()
        return own.union(*map(references, inside.values()))
    return set().union(*map(references, inside)) if isinstance(inside, list) else set()


def test_every_reference_leads_somewhere() -> None:
    found = document()
    assert references(found)
    for reference in references(found):
        place: Any = found
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [told["operationId"] for path in document()["paths"].values() for told in path.values()]
    assert len(names) == len(set(names)) > 8


def test_every_problem_of_the_tree_is_an_answer_of_inference() -> None:
    answers = document()["paths"]["/"]["post"]["responses"]
    assert {int(status) for status in answers if status.isdigit()} == {
        200,
        *(kind.status for kind in problem_kinds()),
    }


def schema_of(name: str) -> jsonschema_rs.Draft202012Validator:
    found = document()
    schema = {"$ref": f"#/components/schemas/{name}", "components": found["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def entry(binary_type: str) -> dict[str, Any]:
    told: dict[str, Any] = {"binary_type": binary_type, "SeriesInstanceUID": "1.2", "label_map": {"1": "a"}}
    return told if binary_type.startswith("dicom") else {**told, "binary_data_shape": SHAPE}


@pytest.mark.parametrize("binary_type", [*BINARY_TYPES, "of_the_application"])
def test_each_entry_of_parts_is_of_one_shape(binary_type: str) -> None:
    """It was of two, its own and that of an application's type, so that no answer kept the schema."""
    answer = {"protocol_version": "1.0", "parts": [entry(binary_type)]}
    assert schema_of("AnswerJson").is_valid(answer)
    assert jsonschema_rs.Draft202012Validator(json_schema()).is_valid(answer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"binary_type": "boolean_mask"},
        {"binary_type": "boolean_mask", "binary_data_shape": {"height": 0, "width": 1}},
        {"label": "no type"},
    ],
)
def test_an_entry_that_contradicts_its_shape_is_refused(wrong: dict[str, Any]) -> None:
    assert not schema_of("AnswerJson").is_valid({"protocol_version": "1.0", "parts": [wrong]})
