"""Right gateways pass, and the old one passes with what it is known for."""

import ast
from contextlib import closing
from pathlib import Path

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.check.exchange import Target
from inference_gateway.check.run import CHECKS, run_checks
from inference_gateway.check.verdict import Subject, Verdict
from inference_gateway.demo.models import MODELS, get_model
from inference_gateway.serving.server import make_server
from tests.check.faulty import STUDY, complete, findings, url_of
from tests.conftest import Serve
from tests.harness.old_gateway import mock_server, serving_old
from tests.moving.application import NEW_LINES, load, pydicom_2

OLD_DIFFERENCES = {
    *("ping", "healthcheck", "unknown-path", "wrong-method", "boundary"),
    *("content-type-similar", "content-type-missing", "boundary-missing", "boundary-other", "empty-body"),
    *("cut-body", "bare-line-feeds", "bad-json", "content-encoding", "transfer-encoding", "early-length"),
    *("problems", "no-echo"),
}
"""What the old gateway does otherwise, by its design or by accident."""

BY_CHANCE = {"early-type", "seen-while-sending"}
"""Where its server is slow, an early answer is late for these tests, or it closes under a body."""


def test_every_check_has_its_own_name() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))


def test_there_is_a_fault_for_every_check() -> None:
    """Each is planted, and found, in the test module of its check: its table `FAULTS` says what is found."""
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    tables = [
        node.value
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FAULTS"
    ]
    found: set[str] = set()
    for table in tables:
        assert isinstance(table, ast.Dict)
        for row in table.values:
            assert isinstance(row, ast.Tuple)
            found |= ast.literal_eval(row.elts[1])
    assert len(tables) >= 4
    assert found == {check.name for check in CHECKS}


def test_a_right_gateway_passes_every_check(serve: Serve, spool_dir: Path) -> None:
    """On plain uvicorn: there is nothing that it skips."""
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", complete)
    with closing(Subject(Target(url_of(serve(app).address)), STUDY())) as subject:
        found = list(run_checks(subject))
    assert [each for each in found if each.verdict is not Verdict.PASS] == []
    assert [each.check for each in found] == [check.name for check in CHECKS]


@pytest.mark.parametrize("name", MODELS)
def test_demo_models_pass(name: str, serve: Serve, spool_dir: Path) -> None:
    """On the hardened server."""
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", get_model(name))
    found = findings(url_of(serve(app, make_server(app, port=0)).address))
    assert {each.verdict for each in found} <= {Verdict.PASS, Verdict.SKIP}
    assert {each.check for each in found if each.verdict is Verdict.SKIP} <= {
        *(
            "thresholds",
            "values",
            "palettes",
            "label-maps",
            "dicom",
            "element-size",
            "references",
            "binary-types",
        ),
    }


@pytest.mark.parametrize("name", ["2d", "3d", "box", "classification", "capture"])
@pytest.mark.slow
def test_the_old_gateway_passes_with_its_differences(name: str) -> None:
    with pydicom_2(), serving_old(mock_server(load(NEW_LINES).HANDLERS[name])) as running:
        found = {each.check: each for each in findings(running.url, old=True, patience=0.5)}
    assert [each for each in found.values() if each.verdict is Verdict.FAIL] == []
    differences = {each.check for each in found.values() if each.verdict is Verdict.DIFFERS}
    assert differences - BY_CHANCE == OLD_DIFFERENCES
    for check in ("inference", "framing", "part-names", "part-headers", "input-hash", "output-hash"):
        assert found[check].verdict is Verdict.PASS


def test_the_old_gateway_fails_where_it_is_not_told_to_be_old() -> None:
    with pydicom_2(), serving_old(mock_server(load(NEW_LINES).HANDLERS["box"])) as running:
        found = {each.check: each for each in findings(running.url, patience=0.5)}
    assert "--old" in found["boundary"].detail
    failing = {each.check for each in found.values() if each.verdict is Verdict.FAIL}
    assert failing - BY_CHANCE == OLD_DIFFERENCES
