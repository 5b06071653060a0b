"""Every row on HTTP, sent to both servers."""

import pytest

from tests.harness.log import LogCapture
from tests.harness.raw import Answer, Connection
from tests.odd_inputs.bench import Bench, check_unsaid
from tests.odd_inputs.http import ROWS, HttpRow
from tests.odd_inputs.table import Refused

PROBLEM = "application/problem+json"


def converse(bench: Bench, row: HttpRow) -> Answer | None:
    with Connection(bench.address) as connection:
        connection.send_until_closed([row.sent])
        return connection.read_answer(head_only=row.method == b"HEAD")


def check_by_server(expected: Refused, answer: Answer | None, *, or_closed: bool) -> None:
    """An answer that the HTTP server may have given itself, so only its status counts."""
    if answer is None:
        assert or_closed, "the connection was closed without an answer"
        return
    assert answer.status in ((expected.status,) if isinstance(expected.status, int) else expected.status)


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=pytest.mark.wire(*row.pins)) for row in ROWS]
)
def test_http(row: HttpRow, any_bench: Bench, log: LogCapture) -> None:
    answer = converse(any_bench, row)
    own = answer is None or answer.header("content-type") != PROBLEM
    if isinstance(row.expected, Refused) and row.by_server and own:
        check_by_server(row.expected, answer, or_closed=row.or_closed)
    elif row.method == b"HEAD":
        assert answer is not None
        assert (answer.status, answer.header("content-type")) == (405, PROBLEM)
    else:
        any_bench.check(row.expected, answer)
    if isinstance(row.expected, Refused):
        check_unsaid(answer)
    if row.allow:
        assert answer is not None
        allowed = set((answer.header("allow") or "").split(", "))
        # GET and HEAD of the same path, without a body, ask who answers there.
        assert allowed == ({"POST"} if row.method in (b"GET", b"HEAD") else {"GET", "HEAD", "POST"})
    any_bench.check_after(log)
