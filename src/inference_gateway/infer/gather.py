"""Folders, archives, DICOMDIRs and single files → DICOM files on this disk, and how much else there was.

What a file is, its first bytes tell, never its name. Files of archives and pictures that become DICOM are
written into a folder of the caller's, named by numbers. Costs one open file and one picture at a time.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from inference_gateway.caller.folders import LeftOut, files_below
from inference_gateway.dicom.capture import make_capture
from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.infer.bare import is_bare, with_preamble
from inference_gateway.infer.dicomdir import HEAD, NoDirectory, is_directory, listed
from inference_gateway.infer.pictures import PictureError, read_picture

Kind = Literal["dicom", "bare", "directory", "archive", "picture"]

_NAMESPACE = uuid.UUID("0b7a3c52-3a53-5c0e-9d55-6b0a54f6a0de")


class GatherError(Exception):
    """A study cannot be gathered; the message says what to do."""


class _Damaged(Exception):
    """A file is not what its first bytes say."""


@dataclass
class Found(LeftOut):
    """DICOM files in order of their places, and numbers of what else there was.

    `pictures`: PNG and JPEG files that became DICOM, `archives`: those looked into, `directories`: DICOMDIRs,
    which only list files, `damaged`: archives, files of archives or pictures that cannot be read, `refused`:
    pictures that are too large, by reason, `missing`: files that a DICOMDIR lists and that are not there. Of
    `LeftOut`, `unreadable` counts files too, and `other` what is neither DICOM nor picture.
    """

    paths: list[Path] = field(default_factory=list)
    pictures: int = 0
    archives: int = 0
    directories: int = 0
    damaged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    missing: int = 0


def gather(
    places: Iterable[Path],
    workspace: Path,
    exclude: Path | None = None,
    seen: Callable[[], None] = lambda: None,
    *,
    follow_links: bool = False,
    limits: Limits | None = None,
) -> Found:
    """Find DICOM files in folders, .zip archives, DICOMDIRs and among files.

    `workspace` is an empty folder that must stay as long as the files are wanted; nothing is taken from below
    `exclude`. `seen` is called for each file looked at. The same file is taken once; one that cannot be used
    is counted, and ends nothing. A link that leads out of its folder is followed with `follow_links` only.
    `limits` say how large a picture, and a deflated DICOMDIR, may be.

    Raises `GatherError` where there is no room to unpack, or a DICOMDIR cannot be read, `OSError` where a
    file that is itself a place cannot.
    """
    return _Gathering(workspace, seen, limits or Limits()).gather(places, exclude, follow_links)


class _Gathering:
    def __init__(self, workspace: Path, seen: Callable[[], None], limits: Limits) -> None:
        self._workspace = workspace
        self._seen = seen
        self._limits = limits
        self._found = Found()
        self._series = ""  # of the pictures
        self._numbers = itertools.count(len(os.listdir(workspace)))

    def gather(self, places: Iterable[Path], exclude: Path | None, follow_links: bool) -> Found:
        taken: set[str] = set()
        named = dict.fromkeys(places)
        for path in _files(named, exclude, self._found, self._limits, follow_links=follow_links):
            resolved = os.path.realpath(path)
            if resolved not in taken:
                taken.add(resolved)
                self._take(path, must=path in named)
        return self._found

    def _take(self, path: Path, *, must: bool) -> None:
        """Take a file for what it is. Raises `OSError` where it cannot be read, but must."""
        self._seen()
        try:
            head = _head_of(path)
        except OSError:
            if must:
                raise
            self._found.unreadable += 1
            return
        match _kind_of(head):
            case "directory":
                self._found.directories += 1
            case "dicom":
                self._found.paths.append(path)
            case "bare":
                self._take_bare(path)
            case "picture":
                self._take_picture(path)
            case "archive":
                self._found.archives += 1
                self._take_members(path)
            case None:
                self._found.other += 1

    def _take_members(self, path: Path) -> None:
        with ExitStack() as stack:
            try:
                with _reading():
                    archive = stack.enter_context(zipfile.ZipFile(path))
                    members = archive.infolist()
            except _Damaged:
                self._found.damaged += 1
                return
            for member in members:
                if member.is_dir():
                    continue
                if is_directory(member.filename):
                    self._found.directories += 1
                    continue
                try:
                    self._take_member(archive, member)
                except _Damaged:
                    self._found.damaged += 1

    def _take_member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        """Take one file of an archive; raises `_Damaged` where it cannot be unpacked."""
        self._seen()
        with ExitStack() as stack:
            with _reading():
                file = stack.enter_context(archive.open(member))
                head = file.read(HEAD)
            kind = _kind_of(head)
            if kind == "directory":
                self._found.directories += 1
                return
            if kind not in ("dicom", "bare", "picture"):
                self._found.other += 1
                return
            if member.file_size > shutil.disk_usage(self._workspace).free:
                raise GatherError(
                    f"there is no room in {self._workspace} to unpack an archive: set TMPDIR to another"
                )
            unpacked = self._new_path()
            try:
                _copy(head, file, unpacked)
            except _Damaged:
                unpacked.unlink()
                raise
        match kind:
            case "dicom":
                self._found.paths.append(unpacked)
            case "bare":
                self._take_bare(unpacked)
            case _:
                self._take_picture(unpacked)

    def _take_bare(self, path: Path) -> None:
        made = self._new_path()
        try:
            with _reading():
                with_preamble(path, made)
        except _Damaged as damage:
            made.unlink(missing_ok=True)
            cause = damage.__cause__
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise cause from None
            self._found.damaged += 1
        else:
            self._found.paths.append(made)

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


@contextmanager
def _reading() -> Iterator[None]:
    """Make `_Damaged` of whatever is raised in reading what may be damaged.

    The readers of archives and pictures have no common error: zlib, bz2, lzma and Pillow raise their own,
    `OSError`, `EOFError`, `struct.error`, `SyntaxError`, `NotImplementedError`, `RuntimeError` for what is
    encrypted, and whatever they trip over. Nothing is written within.
    """
    try:
        yield
    except Exception as error:
        raise _Damaged from error


def _copy(head: bytes, file: IO[bytes], to: Path) -> None:
    """Write what was read of a member, and the rest of it."""
    with to.open("wb") as copy:
        block = head
        while block:
            copy.write(block)
            with _reading():
                block = file.read(1 << 20)


def _files(
    places: Iterable[Path], exclude: Path | None, found: Found, limits: Limits, *, follow_links: bool
) -> Iterator[Path]:
    """Yield the files of all places, those of a folder before its folders, and what DICOMDIRs list."""
    excluded = None if exclude is None else exclude.resolve()
    for place in places:
        if place.is_dir():
            for path in files_below(
                place,
                found,
                follow_links=follow_links,
                taken=lambda path: excluded is None or path.resolve() != excluded,
            ):
                if is_directory(path.name):
                    found.directories += 1
                else:
                    yield path
        elif is_directory(place.name, _head_of(place)):
            yield from _listed(place, found, limits)
        else:
            yield place


def _listed(directory: Path, found: Found, limits: Limits) -> Iterator[Path]:
    """Yield the files that a DICOMDIR lists; those that are not there are counted."""
    found.directories += 1
    try:
        for path in listed(directory, limits):
            if path is None:
                found.missing += 1
            else:
                yield path
    except NoDirectory as error:
        raise GatherError(f"{directory} is no DICOMDIR that can be read: name its folder instead") from error


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _kind_of(head: bytes) -> Kind | None:
    if head[128:132] == b"DICM":
        return "directory" if is_directory("", head) else "dicom"
    if is_bare(head):
        return "bare"
    if head.startswith(b"PK\x03\x04"):
        return "archive"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    return None


def _uid(name: str) -> str:
    """Return a UID that follows from a name: the same picture is the same image in every run (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
