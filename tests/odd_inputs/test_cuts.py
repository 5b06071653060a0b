"""Every row once more, cut into single bytes with empty messages between.

A socket cannot prove this, because the server joins what came meanwhile; so the app is called directly.
"""

import pytest

from tests.harness.asgi import cuts
from tests.harness.log import LogCapture
from tests.harness.server import left_in
from tests.odd_inputs.bench import check_accepted, check_refused, check_unlogged, piece_size
from tests.odd_inputs.conftest import CallBenches
from tests.odd_inputs.sections import ROWS
from tests.odd_inputs.table import Accepted, Row


@pytest.mark.wire("aftermath: the same however the bytes are cut")
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_byte_by_byte(row: Row, call_benches: CallBenches, log: LogCapture) -> None:
    bench = call_benches(limited=row.limited)
    answer = bench.app.post(row.headers, cuts(row.body, piece_size(row)))
    calls = bench.model.take()
    if isinstance(row.expected, Accepted):
        check_accepted(row.expected, answer, calls)
    else:
        assert calls == []
        check_refused(row.expected, answer, *row.hidden)
    assert left_in(bench.spool_dir) == []
    check_unlogged(log)
