"""A DICOMDIR (PS3.3 F) → the files that it lists and that are there.

On their way from a disc, files change their names: other letters, a version of ISO 9660 (`;1`), an extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from inference_gateway.dicom import attributes
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.sources import opened, read_dataset

HEAD = 1024
"""Bytes of a file that tell whether it is one: the meta information comes first."""

# Media Storage SOP Class UID (0002,0002) of a Media Storage Directory, as PS3.10 §7.1 has it encoded.
_SOP_CLASS = re.compile(rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.1\.3\.10(\x00|\x02)", re.DOTALL)

_VERSION = re.compile(r"\.?;[0-9]+$")


class NoDirectory(Exception):
    """It cannot be read."""


def is_directory(name: str, head: bytes = b"") -> bool:
    """Return whether a file is a DICOMDIR, by its name or by its first `HEAD` bytes."""
    return _shown(name.rpartition("/")[2]) == "dicomdir" or bool(_SOP_CLASS.search(head))


def listed(directory: Path, limits: Limits) -> Iterator[Path | None]:
    """Yield for each file that is listed (PS3.3 F.3.2.2) where it is below the folder, None where it is not.

    `limits` say what a deflated one may come to. Raises `NoDirectory`.
    """
    try:
        with opened(directory, limits) as file:
            records = attributes.items(read_dataset(file, header_only=False), "DirectoryRecordSequence")
    except Exception as error:  # on damaged files pydicom's parser raises whatever it trips over
        raise NoDirectory from error
    folders: dict[Path, dict[str, Path]] = {}
    root = directory.parent.resolve()
    for record in records:
        value = attributes.element(record, "ReferencedFileID")
        if value is not None and value.value:
            parts = [value.value] if isinstance(value.value, str) else value.value
            yield _within(root, [str(part) for part in parts], folders)


def _within(root: Path, parts: Sequence[str], folders: dict[Path, dict[str, Path]]) -> Path | None:
    """Return the file below `root`, None where it is none or lies elsewhere."""
    path = root
    try:
        for part in parts:
            if path not in folders:
                folders[path] = _names(path)
            found = folders[path].get(part) or folders[path].get(part.casefold())
            if found is None:
                return None
            path = found.resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError):  # no folder, too long, or with a NUL
        return None


def _names(folder: Path) -> dict[str, Path]:
    """Return what is in a folder by its name, and by what the name may have been, in small letters."""
    paths = sorted(folder.iterdir())
    names = {_shown(path.name).rpartition(".")[0]: path for path in paths}
    names |= {_shown(path.name): path for path in paths}
    return names | {path.name: path for path in paths}


def _shown(name: str) -> str:
    return _VERSION.sub("", name).casefold()
