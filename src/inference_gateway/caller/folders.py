"""The files below a folder, and what of it is left out, so that nothing is missing without a word.

A link may lead anywhere: to another patient's study, or to a device. It is followed to what lies below the
folder that somebody has named, and further only where that is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class LeftOut:
    """Numbers of what was not taken.

    `links`: to files and folders outside. `dangling`: links to nowhere. `unreadable`: folders without the
    right to read them. `other`: pipes, sockets, devices.
    """

    links: int = 0
    dangling: int = 0
    unreadable: int = 0
    other: int = 0


def files_below(
    folder: Path,
    left: LeftOut,
    *,
    follow_links: bool = False,
    taken: Callable[[Path], bool] = lambda path: True,
    unreadable: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Yield the files below a folder, at any depth: by name, those of a folder before its folders.

    `left` is told what is left out. `taken` says which files and folders count at all. `unreadable` is called
    with the error of a folder that cannot be read, in place of counting it.
    """

    def count(error: OSError) -> None:
        left.unreadable += 1

    root = os.path.realpath(folder)
    walked = {root}
    for place, folders, names in os.walk(folder, followlinks=follow_links, onerror=unreadable or count):
        here = Path(place)
        paths = [here / name for name in sorted(folders) if taken(here / name)]
        folders[:] = [path.name for path in paths if _is_new(path, root, walked, left, follow_links)]
        for path in (here / name for name in sorted(names)):
            if taken(path) and _is_file(path, root, left, follow_links):
                yield path


def _is_new(path: Path, root: str, walked: set[str], left: LeftOut, follow_links: bool) -> bool:
    """Return whether to go into a folder: a linked one only where asked for, and none twice."""
    if path.is_symlink() and not follow_links:
        left.links += not _is_below(path, root)
        return False
    real = os.path.realpath(path)
    new = real not in walked
    walked.add(real)
    return new


def _is_file(path: Path, root: str, left: LeftOut, follow_links: bool) -> bool:
    if path.is_symlink():
        if not path.exists():
            left.dangling += 1
            return False
        if not follow_links and not _is_below(path, root):
            left.links += 1
            return False
    if path.is_file():
        return True
    left.other += 1
    return False


def _is_below(path: Path, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)
