"""Folders, archives, DICOMDIRs and single files → DICOM files on this disk, and how much else there was.

What a file is, its first bytes tell, never its name. Files of archives and pictures that become DICOM are
written into a folder of the caller's, named by numbers. Costs one open file and one picture at a time.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import pydicom

from inference_gateway.dicom import attributes
from inference_gateway.dicom.capture import make_capture
from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.infer.pictures import PictureError, read_picture

Kind = Literal["dicom", "archive", "picture"]

_HEAD = 132
_NAMESPACE = uuid.UUID("0b7a3c52-3a53-5c0e-9d55-6b0a54f6a0de")


class GatherError(Exception):
    """A study cannot be gathered; the message says what to do."""


@dataclass
class Found:
    """DICOM files in order of their places, and numbers of what else there was.

    `pictures`: PNG and JPEG files that became DICOM, `archives`: those looked into, `directories`: DICOMDIRs,
    which only list files, `other`: neither DICOM nor picture, `damaged`: archives or pictures that cannot be
    read, `refused`: pictures that are too large, by reason, `missing`: files that a DICOMDIR lists and that
    are not there.
    """

    paths: list[Path] = field(default_factory=list)
    pictures: int = 0
    archives: int = 0
    directories: int = 0
    other: int = 0
    damaged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    missing: int = 0


def gather(
    places: Iterable[Path],
    workspace: Path,
    exclude: Path | None = None,
    seen: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> Found:
    """Find DICOM files in folders, .zip archives, DICOMDIRs and among files.

    `workspace` is an empty folder that must stay as long as the files are wanted; nothing is taken from below
    `exclude`. `seen` is called for each file looked at. The same file is taken once. `limits` say how large
    a picture may be. Raises `GatherError` where there is no room to unpack, or a DICOMDIR cannot be read,
    `OSError` where a file cannot.
    """
    return _Gathering(workspace, seen, limits or Limits()).gather(places, exclude)


class _Gathering:
    def __init__(self, workspace: Path, seen: Callable[[], None], limits: Limits) -> None:
        self._workspace = workspace
        self._seen = seen
        self._limits = limits
        self._found = Found()
        self._series = ""  # of the pictures
        self._numbers = itertools.count(len(os.listdir(workspace)))

    def gather(self, places: Iterable[Path], exclude: Path | None) -> Found:
        taken: set[str] = set()
        for path in _files(places, exclude, self._found):
            resolved = os.path.realpath(path)
            if resolved not in taken:
                taken.add(resolved)
                self._take(path)
        return self._found

    def _take(self, path: Path) -> None:
        self._seen()
        with path.open("rb") as file:
            kind = _kind_of(file.read(_HEAD))
        match kind:
            case "dicom":
                self._found.paths.append(path)
            case "picture":
                self._take_picture(path)
            case "archive":
                self._found.archives += 1
                try:
                    self._take_members(path)
                except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError):
                    self._found.damaged += 1  # RuntimeError: encrypted, or packed in a way unknown here
            case None:
                self._found.other += 1

    def _take_members(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if _is_directory(member.filename):
                    self._found.directories += 1
                    continue
                with archive.open(member) as file:
                    self._take_member(file, member.file_size)

    def _take_member(self, file: IO[bytes], size: int) -> None:
        self._seen()
        head = file.read(_HEAD)
        kind = _kind_of(head)
        if kind not in ("dicom", "picture"):
            self._found.other += 1
            return
        if size > shutil.disk_usage(self._workspace).free:
            raise GatherError(
                f"there is no room in {self._workspace} to unpack an archive: set TMPDIR to another"
            )
        unpacked = self._new_path()
        with unpacked.open("wb") as copy:
            copy.write(head)
            shutil.copyfileobj(file, copy, 1 << 20)
        if kind == "dicom":
            self._found.paths.append(unpacked)
        else:
            self._take_picture(unpacked)

    def _take_picture(self, path: Path) -> None:
        try:
            picture = read_picture(path, self._limits)
        except PictureError:
            self._found.damaged += 1
            return
        except LimitError as error:
            self._found.refused[str(error)] += 1
            return
        instance = _uid(hashlib.sha256(picture.tobytes() + str(picture.shape).encode()).hexdigest())
        self._series = self._series or instance
        self._found.pictures += 1
        capture = make_capture(picture, instance)
        capture.StudyInstanceUID = _uid(f"study {self._series}")
        capture.SeriesInstanceUID = _uid(f"series {self._series}")
        capture.InstanceNumber = self._found.pictures
        made = self._new_path()
        capture.save_as(made, enforce_file_format=True)
        self._found.paths.append(made)

    def _new_path(self) -> Path:
        return self._workspace / f"{next(self._numbers):06}.dcm"


def _files(places: Iterable[Path], exclude: Path | None, found: Found) -> Iterator[Path]:
    """Yield the files of all places, those of a folder before its folders, and what DICOMDIRs list."""
    excluded = None if exclude is None else exclude.resolve()
    for place in places:
        if place.is_dir():
            for folder, folders, names in os.walk(place):
                folders[:] = sorted(name for name in folders if (Path(folder) / name).resolve() != excluded)
                for path in (Path(folder) / name for name in sorted(names)):
                    if _is_directory(path.name):
                        found.directories += 1
                    elif path.is_file():
                        yield path
        elif _is_directory(place.name):
            found.directories += 1
            yield from _listed(place, found)
        else:
            yield place


def _listed(directory: Path, found: Found) -> Iterator[Path]:
    """Yield the files that a DICOMDIR lists (PS3.3 F.3.2.2) and that are in its folder."""
    try:
        records = attributes.items(pydicom.dcmread(directory), "DirectoryRecordSequence")
    except Exception as error:  # on damaged files pydicom's parser raises whatever it trips over
        raise GatherError(f"{directory} is no DICOMDIR that can be read: name its folder instead") from error
    root = directory.parent.resolve()
    for record in records:
        value = attributes.element(record, "ReferencedFileID")
        if value is None or not value.value:
            continue
        parts = [str(part) for part in ([value.value] if isinstance(value.value, str) else value.value)]
        path = _within(root, parts) or _within(root, [part.lower() for part in parts])
        if path is None:
            found.missing += 1
        else:
            yield path


def _within(root: Path, parts: Sequence[str]) -> Path | None:
    """Return the file below `root`, None where it is none or lies elsewhere."""
    try:
        path = root.joinpath(*parts).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError):  # too long, or with a NUL
        return None


def _is_directory(name: str) -> bool:
    return name.rpartition("/")[2].upper() == "DICOMDIR"


def _kind_of(head: bytes) -> Kind | None:
    if head[128:] == b"DICM":
        return "dicom"
    if head.startswith(b"PK\x03\x04"):
        return "archive"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    return None


def _uid(name: str) -> str:
    """Return a UID that follows from a name: the same picture is the same image in every run (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
