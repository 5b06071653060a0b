"""The documents of the project, and the blocks of code in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])

_FENCED = re.compile(r"^(?:<!-- ([a-z]+) -->\n+)?```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a document, in which language it is, and the mark in front of it: `<!-- test -->`."""

    document: str
    line: int
    language: str
    code: str
    mark: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks() -> Iterator[Block]:
    for path in PATHS:
        text = text_of(path)
        name = path.relative_to(ROOT).as_posix()
        for found in _FENCED.finditer(text):
            line = text.count("\n", 0, found.start(2)) + 1
            yield Block(name, line, found[2], found[3], found[1] or "")


BLOCKS = list(blocks())


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]
