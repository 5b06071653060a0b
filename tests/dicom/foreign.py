"""Files of other projects' test data, where they are installed, and dcmtk's picture of an image.

`pip install pydicom-data nibabel pynetdicom` and `apt-get install dcmtk` give all of them.
"""

import gzip
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEGLSTransferSyntaxes

# Package and folder of its files; what ends otherwise is no image of theirs.
PACKAGES = {
    "pydicom": "data",
    "data_store": "data",  # the package pydicom-data
    "nibabel": "nicom/tests/data",
    "pynetdicom": "tests/dicom_files",
}
_NO_IMAGES = {".py", ".pyc", ".json", ".txt", ".md", ".bin", ".html"}


def files_of(package: str) -> list[Path]:
    """The test files of a package in order of their names, none where it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(spec.submodule_search_locations[0]) / PACKAGES[package]
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path.suffix not in _NO_IMAGES and "__pycache__" not in path.parts)


def unpacked(path: Path, folder: Path) -> Path:
    """The file itself, or what it is when it is not gzipped."""
    if path.suffix != ".gz":
        return path
    plain = folder / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    return plain


def without_jpeg_2000(path: Path, folder: Path) -> Path:
    """The file with native pixels as Pillow decodes them."""
    dataset = dcmread(path)
    dataset.decompress(decoding_plugin="pillow", as_rgb=False)
    plain = folder / "native.dcm"
    dataset.save_as(plain)
    return plain


def dcmtk(path: Path, frame: int, options: Sequence[str], syntax: str, folder: Path) -> NDArray[Any] | None:
    """The 8-bit picture that dcmtk makes of a frame, counted from 1, None where it makes none."""
    tool = "dcml2pnm" if syntax in JPEGLSTransferSyntaxes else "dcmj2pnm"
    made = folder / "picture.pnm"
    made.unlink(missing_ok=True)
    command = [tool, "-O", "+op", "+F", str(frame), *options, str(path), str(made)]
    subprocess.run(command, capture_output=True, check=False, timeout=60)
    if not made.exists() or not made.stat().st_size:
        return None
    with Image.open(made) as picture:
        return np.asarray(picture)


def has_dcmtk() -> bool:
    return shutil.which("dcmj2pnm") is not None and shutil.which("dcml2pnm") is not None
