"""The tables of docs/metrics.md are those of the metrics."""

import re
from pathlib import Path

from inference_gateway.telemetry.families import FAMILIES
from inference_gateway.telemetry.reference import FILE, with_tables, write

TEXT = (Path(__file__).parents[2] / "docs" / FILE).read_text()


def test_the_document_has_the_tables_of_now() -> None:
    """Else: `python -m inference_gateway.telemetry.reference docs`."""
    assert with_tables(TEXT) == TEXT


def test_the_document_names_every_metric_and_no_other() -> None:
    """In its queries, a histogram goes by its three names."""
    named = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"gateway_[a-z_]+", TEXT)}
    assert named - {"gateway_error"} == {family.name for family in FAMILIES}


def test_everything_can_be_written_anew(tmp_path: Path) -> None:
    empty = re.sub(r"(<!-- \w+ -->\n).*?(<!-- end)", r"\1\2", TEXT, flags=re.DOTALL)
    assert "|---|" not in empty
    (tmp_path / FILE).write_text(empty)
    write(tmp_path)
    assert (tmp_path / FILE).read_text() == TEXT
