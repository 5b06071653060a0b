"""The tables of docs/metrics.md, made of the metrics.

`python -m inference_gateway.telemetry.reference docs` writes them anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from inference_gateway.telemetry.families import FAILURES, FAMILIES, REFUSALS

FILE = "metrics.md"
_TABLE = re.compile(r"(<!-- (metrics|buckets|refusals|failures) -->\n).*?(<!-- end -->)", re.DOTALL)


def families() -> str:
    """Return all metrics as a table of Markdown."""
    rows = ["| name | type | labels | what |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        only = f" (only {family.only})" if family.only else ""
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.meaning}{only} |")
    return "\n".join(rows) + "\n"


def buckets() -> str:
    """Return the bounds of each histogram as a table of Markdown."""
    told = {family.name: " ".join(map(str, family.bounds)) for family in FAMILIES if family.bounds}
    rows = ["| name | upper bounds of the buckets |", "|---|---|"]
    rows += [f"| `{name}` | {bounds} |" for name, bounds in told.items()]
    return "\n".join(rows) + "\n"


def reasons(told: Mapping[str, str]) -> str:
    """Return the values of a label `reason` as a table of Markdown."""
    rows = ["| reason | when |", "|---|---|", *(f"| `{word}` | {when} |" for word, when in told.items())]
    return "\n".join(rows) + "\n"


def with_tables(document: str) -> str:
    """Return a document with the tables between its marks, such as `<!-- metrics -->`, made anew."""
    tables = {
        "metrics": families(),
        "buckets": buckets(),
        "refusals": reasons(REFUSALS),
        "failures": reasons(FAILURES),
    }
    return _TABLE.sub(lambda found: found[1] + tables[found[2]] + found[3], document)


def write(folder: Path) -> None:
    """Write the tables into `metrics.md` of `folder`."""
    document = folder / FILE
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
