"""Every row of the wire contract is named by a test, and tests name no other rows."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.odd_inputs import http
from tests.odd_inputs.sections import ROWS
from tests.wire_rows import WIRE_ROWS

TESTS = Path(__file__).parent


def marked(source: str) -> Iterator[str]:
    """The ids in every `pytest.mark.wire(...)` of a source text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.wire":
            for argument in node.args:
                # A row of the odd inputs brings its ids along; those are read from the table itself.
                if isinstance(argument, ast.Constant):
                    yield str(argument.value)


@cache
def named() -> set[str]:
    sources = (path.read_text() for path in TESTS.rglob("test_*.py"))
    markers = {row for source in sources for row in marked(source)}
    pins = [row.pins for row in ROWS] + [row.pins for row in http.ROWS]
    return markers.union(*pins)


def test_every_row_of_the_contract_is_named_by_a_test() -> None:
    assert sorted(set(WIRE_ROWS) - named()) == []


def test_tests_name_only_rows_of_the_contract() -> None:
    assert sorted(named() - set(WIRE_ROWS)) == []


def test_no_row_is_listed_twice() -> None:
    assert len(WIRE_ROWS) == len(set(WIRE_ROWS))
