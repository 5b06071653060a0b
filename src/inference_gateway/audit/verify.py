"""Reads audit files again and finds what is not as it was written: which line of which file, and what of it.

Memory does not grow with the files. What this proves, and what it cannot, stands in docs/audit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inference_gateway.audit.chain import MOST_BYTES, NOTHING, Link, link_of
from inference_gateway.audit.ledger import BEGINNINGS, FILE_NAME, Head, head_of


@dataclass
class Report:
    """What was found of one chain. `faults` and `notes`: sentences, each with file and line."""

    files: list[Path]
    lines: int = 0
    records: int = 0  # of inferences
    first: int = 0  # the number of its first line
    last: Link | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def chains_of(paths: Iterable[Path]) -> list[list[Path]]:
    """Return the files of each chain, in order. A folder stands for all audit files in it.

    Files of other names are one chain, in the order in which they are given. Raises `FileNotFoundError` for
    a folder without any.
    """
    found: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    for given in paths:
        files = (
            [path for path in given.iterdir() if FILE_NAME.fullmatch(path.name)]
            if given.is_dir()
            else [given]
        )
        if not files:
            raise FileNotFoundError(f"there is no audit file in {given}")
        for path in files:
            name = FILE_NAME.fullmatch(path.name)
            chain = found.setdefault((path.parent, name[1]) if name else (Path(), ""), [])
            chain.append((int(name[2]) if name else len(chain), path))
    return [[path for _, path in sorted(files)] for _, files in sorted(found.items())]


def verify(files: list[Path], end: str | None = None) -> Report:
    """Look through one chain. `end`: a hash that was noted earlier, which one of the lines must have.

    Raises `OSError` for what cannot be read.
    """
    head = _head_beside(files[-1])  # before the files, which may grow meanwhile
    walk = _Walk(files, head, end)
    for path in files:
        walk.file(path)
    walk.finish()
    return walk.report


class _Walk:
    """One way through a chain."""

    def __init__(self, files: list[Path], head: Head | None, end: str | None) -> None:
        self.report = Report(files)
        self._head = head
        self._end = end
        self._end_seen = False
        self._spoilt: list[
            tuple[str, bytes]
        ] = []  # lines that are not as they were written, before the next good one

    def file(self, path: Path) -> None:
        """Look through a file."""
        number = 0
        for number, line in enumerate(_lines(path), 1):
            place = f"{path.name} line {number}"
            self.report.lines += 1
            if not line.endswith(b"\n"):
                self._fault(
                    place,
                    "is cut short: somebody cut it, or the gateway is writing it or was ended meanwhile",
                )
                return
            link = link_of(line[:-1])
            if link is None:
                self._spoilt.append((place, line[:-1]))
                continue
            if number == 1 and link.event not in BEGINNINGS:
                self._fault(place, "is not what a file begins with: lines before it were removed")
            self._link(place, link)
        if not number:
            self.report.notes.append(f"{path.name} is empty")

    def finish(self) -> None:
        """Look whether the end is there."""
        self._settle(None)
        last = self.report.last
        name = self.report.files[-1].name
        if self._head is not None and last is not None and self._head.number > last.number:
            count = self._head.number - last.number
            self.report.faults.append(
                f"{name}: after its last line {count} more are missing: they were removed"
            )
        elif last is None:
            self.report.faults.append(f"{name}: there is no line of an audit log in it")
        if self._end is not None and not self._end_seen:
            self.report.faults.append(
                f"{name}: no line has the hash that was given: lines were removed or changed"
            )

    def _link(self, place: str, link: Link) -> None:
        """Take a line that is as it was written, wherever it was written."""
        fields = link.fields() if link.event != "inference" else {}
        spoilt = len(self._spoilt)
        self._settle((place, fields))
        before = self.report.last
        if before is None:
            self._begin(place, link)
        elif link.number <= before.number:
            self._fault(place, f"has number {link.number}: it was inserted, repeated or moved here")
            return  # what follows goes on from the line before it
        elif link.number > before.number + 1 + spoilt:
            self._fault(
                place,
                f"follows number {before.number}, but is {link.number}: lines between were removed or moved",
            )
        elif link.number == before.number + 1 and link.previous != before.hash:
            self._fault(
                place, "does not carry the hash of the line before it: one of the two is not the one that was"
            )
        if fields.get("missing"):
            self._fault(
                place, f"says that {fields['missing']} lines were missing before it when the gateway began"
            )
        self._take(place, link)

    def _begin(self, place: str, link: Link) -> None:
        self.report.first = link.number
        if link.number > 1:
            self.report.notes.append(
                f"{place} goes on after number {link.number - 1}, which is in none of these files"
            )
        elif link.previous != NOTHING:
            self._fault(place, "is number 1, but carries the hash of a line before it")

    def _take(self, place: str, link: Link) -> None:
        self.report.last = link
        self.report.records += link.event == "inference"
        self._end_seen = self._end_seen or link.hash == self._end
        if link.event == "lost":
            self.report.notes.append(f"{place} says that {link.fields()['records']} records had no room")
        if self._head is not None and link.number == self._head.number and link.hash != self._head.hash:
            self._fault(place, "is another one than the gateway noted as its last: it was put in its place")

    def _settle(self, following: tuple[str, dict[str, object]] | None) -> None:
        """Say of lines that are not as they were written what they are, now that the next one is known."""
        if not self._spoilt:
            return
        torn = b"\n".join(line for _, line in self._spoilt)
        if following is not None and following[1].get("torn_hash") == hashlib.sha256(torn).hexdigest():
            places = ", ".join(place for place, _ in self._spoilt)
            self.report.notes.append(
                f"{places}: torn when the gateway ended or its disk was full, as {following[0]} says"
            )
        else:
            for place, _ in self._spoilt:
                self._fault(place, "is not as it was written: it was changed, or inserted")
        self._spoilt.clear()

    def _fault(self, place: str, what: str) -> None:
        self.report.faults.append(f"{place} {what}")


def _lines(path: Path) -> Iterator[bytes]:
    """Give the lines; of one that is longer than any line, pieces."""
    with path.open("rb") as file:
        while line := file.readline(4 * MOST_BYTES):
            yield line


def _head_beside(newest: Path) -> Head | None:
    """Return what the gateway noted beside the newest file of a chain as its end, if this is the newest."""
    name = FILE_NAME.fullmatch(newest.name)
    if name is None:
        return None
    try:
        head = Head.of(head_of(newest.parent, int(name[1])).read_bytes())
    except FileNotFoundError:
        return None
    following = newest.with_name(f"audit-{name[1]}-{int(name[2]) + 1:06d}.jsonl")
    return None if following.exists() else head
