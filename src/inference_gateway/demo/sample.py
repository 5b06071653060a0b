"""The sample study: the phantom, and real images that pydicom brings along in its package.

Only images that need neither network nor a further codec are taken.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydicom.data import get_testdata_file

from inference_gateway.demo.phantom import write_phantom

# CT of a vertebra and a vessel, MR of a vessel, MR of an abdomen, colour Doppler: signed, unsigned, RGB.
REAL_IMAGES = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "examples_rgb_color.dcm")


def write_phantom_series(folder: Path) -> list[Path]:
    """Write the phantom of 48 slices into a folder; return its files from the feet to the head."""
    write_phantom(folder)
    return sorted(folder.glob("slice-*.dcm"))


def write_real_images(folder: Path) -> list[Path]:
    """Copy pydicom's own images into a folder, made if need be; return them.

    Raises `FileNotFoundError` where pydicom was installed without them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for name in REAL_IMAGES:
        source = get_testdata_file(name, download=False)
        if not isinstance(source, str):
            raise FileNotFoundError(f"pydicom has no {name}: install the pydicom wheel from PyPI")
        copies.append(Path(shutil.copyfile(source, folder / name)))
    return copies


def write_sample_study(folder: Path) -> list[Path]:
    """Write the phantom and the real images below a folder; return all files."""
    return [*write_phantom_series(folder / "phantom"), *write_real_images(folder / "real")]
