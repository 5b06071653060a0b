"""Writes the seed corpus from the tables of odd inputs: `python -m fuzz.seeds`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.odd_inputs.sections import SECTIONS

HERE = Path(__file__).parent
PER_SECTION = 8
LONGEST = 600  # bytes: short seeds are mutated to more effect


def main() -> None:
    for row in (
        row for section in SECTIONS.values() for row in section[:: max(1, len(section) // PER_SECTION)]
    ):
        kinds = [value for name, value in row.headers if name.lower() == b"content-type"]
        if len(row.body) > LONGEST or len(kinds) != 1 or len(kinds[0]) > LONGEST:
            continue
        lines = [line for line in row.body.split(b"\r\n") if line.lower().startswith(b"content-")]
        write("ingest", kinds[0] + b"\n" + row.body)
        write("decoder", row.body.replace(b"--bnd", b"--b"))
        write("grammar", kinds[0] + b"\n" + (lines[-1] if lines else b""))


def write(target: str, data: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:12]).write_bytes(data)


if __name__ == "__main__":
    main()
