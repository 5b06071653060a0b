"""The tables of docs/answers.md, made of the fields.

`python -m inference_gateway.results.reference docs` writes them, and the schema, anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from inference_gateway.results import fields
from inference_gateway.results.schema import FILE, json_schema, schema_text

_TABLE = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table_of(model: type[BaseModel]) -> str:
    """Return the fields of a model as a table of Markdown: key, type, whether it is needed, what it is."""
    properties = json_schema()["$defs"][model.__name__]["properties"]
    rows = ["| key | type | needed | what |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        needed = "yes" if field.is_required() else ""
        told = properties[name]
        rows.append(f"| `{name}` | {_type(told)} | {needed} | {_what(field.description, told)} |")
    return "\n".join(rows) + "\n"


def with_tables(document: str) -> str:
    """Return a document with the tables between its marks, `<!-- fields: Shape -->`, made anew."""
    return _TABLE.sub(lambda found: found[1] + table_of(getattr(fields, found[2])) + found[3], document)


def _what(description: str | None, told: dict[str, Any]) -> str:
    if description:
        return description.replace("|", "\\|")
    values = [f"`{value}`" for value in _values(told)]
    return " or ".join(values) if values else "text"


def _values(told: dict[str, Any]) -> list[str]:
    return [told["const"]] if "const" in told else told.get("enum", [])


def _type(told: dict[str, Any]) -> str:
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in told or "oneOf" in told:
        kinds = [_type(one) for one in told.get("anyOf", told.get("oneOf", [])) if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if told.get("type") == "array":
        inner = _type(told.get("items", {}))
        return f"list of {inner}" if "any of" not in inner else "list"
    if told.get("type") == "object":
        return "object"
    return {"string": "text", "integer": "whole number", "number": "number"}.get(told.get("type", ""), "any")


def write(folder: Path) -> None:
    """Write the schema into the package and into `folder`, and the tables into its answers.md."""
    for path in (Path(__file__).parent / FILE, folder / FILE):
        path.write_text(schema_text(), encoding="utf-8")
    document = folder / "answers.md"
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
