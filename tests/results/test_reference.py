"""The tables of docs/answers.md are those of the fields."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from inference_gateway.results import AnswerJson, fields
from inference_gateway.results.reference import table_of, with_tables, write

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "answers.md").read_text()
MODELS = [
    name
    for name, value in vars(fields).items()
    if isinstance(value, type) and issubclass(value, BaseModel) and name[0] != "_" and name != "BaseModel"
]


def test_the_document_has_the_tables_of_now() -> None:
    """Else: `python -m inference_gateway.results.reference docs`."""
    assert with_tables(TEXT) == TEXT


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_table(name: str) -> None:
    assert f"<!-- fields: {name} -->\n| key |" in TEXT


def test_every_link_of_a_table_has_its_heading() -> None:
    links = set(re.findall(r"\]\(#([a-z]+)\)", TEXT))
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    assert links - headings == set()


def test_a_table_says_what_is_needed() -> None:
    assert "| `width` | whole number | yes | the columns of a plane, a whole number over 0 |" in table_of(
        fields.Shape
    )


def test_the_examples_of_palettes_keep_the_contract() -> None:
    palettes = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert palettes
    AnswerJson.model_validate({"protocol_version": "1.0", "palettes": json.loads(palettes[1])})


def test_everything_can_be_written_anew(tmp_path: Path) -> None:
    (tmp_path / "answers.md").write_text(
        re.sub(r"(<!-- fields: \w+ -->\n).*?(<!-- end)", r"\1\2", TEXT, flags=re.S)
    )
    write(tmp_path)
    assert (tmp_path / "answers.md").read_text() == TEXT
