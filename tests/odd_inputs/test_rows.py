"""Every row of the table, sent to a real server."""

import pytest

from tests.harness.log import LogCapture
from tests.harness.raw import exchange, request
from tests.harness.wire import decoded
from tests.odd_inputs.bench import GOOD_REQUEST, in_one_piece, piece_size
from tests.odd_inputs.conftest import Benches
from tests.odd_inputs.sections import ROWS
from tests.odd_inputs.table import Accepted, Row

TABLE = [pytest.param(row, id=row.name, marks=pytest.mark.wire(*row.pins)) for row in ROWS]
LONG = 20_000
"""Longer bodies are not read back with `email`, which takes seconds for them."""


@pytest.mark.wire(
    "routes: inference POST",
    "aftermath: model not called, next request served",
    "aftermath: no file left",
    "errors: problem+json",
    "errors: nothing that came in is echoed",
    "response: framing byte for byte",
    "response: JSON as json.dumps writes it",
    "response: output_hash",
    "response: Content-Length when sizes are known",
    "element: bytes",
)
@pytest.mark.parametrize("row", TABLE)
def test_in_one_piece(row: Row, benches: Benches, log: LogCapture) -> None:
    bench = benches(limited=row.limited)
    answer = exchange(bench.address, in_one_piece(row))
    bench.check(row.expected, answer, *row.hidden)
    if isinstance(row.expected, Accepted) and len(row.body) < LONG:
        assert answer is not None
        parts = decoded(answer)
        assert [name for name, _, _ in parts][1:-1] == [f"elem_{i}" for i in range(len(parts) - 2)]
        assert tuple(body for _, _, body in parts[1:-1]) == row.expected.inputs
    bench.check_after(log)


@pytest.mark.wire("request: Content-Length or chunked", "aftermath: the same however the bytes are cut")
@pytest.mark.parametrize("row", TABLE)
def test_in_small_chunks(row: Row, benches: Benches, log: LogCapture) -> None:
    """In chunks of one byte where the body is short, and through a file."""
    bench = benches(limited=row.limited, spooled=True)
    answer = exchange(bench.address, request(row.headers, row.body, chunk=piece_size(row)))
    bench.check(row.expected, answer, *row.hidden)
    bench.check_after(log)


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.slow
def test_of_a_model_in_a_process(row: Row, process_benches: Benches, log: LogCapture) -> None:
    """Through memory and through a file by turns."""
    bench = process_benches(limited=row.limited, spooled=len(row.name) % 2 == 1)
    bench.check(row.expected, exchange(bench.address, in_one_piece(row)), *row.hidden)
    bench.check_after(log)


@pytest.mark.wire("response: fresh random boundary")
def test_each_answer_has_a_boundary_of_its_own(benches: Benches) -> None:
    bench = benches()
    answers = [exchange(bench.address, GOOD_REQUEST) for _ in range(5)]
    bench.model.take()
    types = {answer.header("content-type") for answer in answers if answer is not None}
    assert len(types) == 5


def test_names_of_rows_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
