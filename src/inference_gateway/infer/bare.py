"""DICOM without the preamble of PS3.10 §7.1, as old scanners and archives wrote it → a file that has one.

Such a file begins with its first element. It is known by it: a group that comes first, a length that leads to
another element of that group. What is sent is the file as it was, behind a preamble and the meta information.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference_gateway.dicom.metering import Metered

_META, _IDENTIFYING = 0x0002, 0x0008
_LONG = (b"OB", b"UN", b"UT", b"SQ")  # VRs of four bytes of length (PS3.5 §7.1.2)


def is_bare(head: bytes) -> bool:
    """Return whether a file is DICOM without a preamble, by its first bytes: some 200 are enough."""
    first = _element(head, 0)
    if first is None or first[0] not in (_META, _IDENTIFYING):
        return False
    second = _element(head, first[3])
    return second is not None and first[:2] < second[:2] and second[0] in (_META, _IDENTIFYING)


def _element(head: bytes, at: int) -> tuple[int, int, bool, int] | None:
    """Return group, number, whether the VR is told, and where the next element is; None for none."""
    if len(head) < at + 12:
        return None
    group, number = (int.from_bytes(head[at + here : at + here + 2], "little") for here in (0, 2))
    vr = head[at + 4 : at + 6]
    explicit = vr.isalpha() and vr.isupper()
    if not explicit:
        begin, length = at + 8, int.from_bytes(head[at + 4 : at + 8], "little")
    elif vr in _LONG:
        begin, length = at + 12, int.from_bytes(head[at + 8 : at + 12], "little")
    else:
        begin, length = at + 8, int.from_bytes(head[at + 6 : at + 8], "little")
    return group, number, explicit, begin + length


def with_preamble(path: Path, to: Path) -> None:
    """Write the file with a preamble. Raises `OSError`, or what pydicom raises on a damaged file.

    Raises `LimitError` where there are more elements than in a header.
    """
    with path.open("rb") as file:
        first = _element(file.read(64), 0)
        file.seek(0)
        assert first is not None
        with to.open("wb") as made:
            made.write(bytes(128) + b"DICM")
            if first[0] == _IDENTIFYING:
                meta = DicomBytesIO()
                write_file_meta_info(meta, _meta(path, explicit=first[2]))
                made.write(meta.getvalue())
            shutil.copyfileobj(file, made, 1 << 20)


def _meta(path: Path, *, explicit: bool) -> FileMetaDataset:
    wanted: Any = ["SOPClassUID", "SOPInstanceUID"]
    with path.open("rb") as file:
        metered: Any = Metered(file)
        dataset = pydicom.dcmread(metered, force=True, stop_before_pixels=True, specific_tags=wanted)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    return meta
