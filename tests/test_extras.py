"""A module that needs an extra says which, in an interpreter that lacks what the extra brings."""

import subprocess
import sys
from pathlib import Path

import pytest

from inference_gateway.extras import extra


def imported_without(tmp_path: Path, absent: str, module: str) -> str:
    """What a fresh interpreter says that cannot find `absent`."""
    blocker = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {absent!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{blocker}import {module}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "absent", "brings"),
    [
        ("inference_gateway.client", "httpx", "client"),
        ("inference_gateway.client", "tenacity", "client"),
        ("inference_gateway.client.clients", "anyio", "client"),
        ("inference_gateway.infer", "httpx", "infer"),
        ("inference_gateway.infer.run", "rich", "infer"),
        ("inference_gateway.infer.results", "PIL", "infer"),
        ("inference_gateway.infer.gather", "pydicom", "infer"),
        ("inference_gateway.dicom.series", "pydicom", "dicom"),
        ("inference_gateway.dicom.overlay", "PIL", "dicom"),
        ("inference_gateway.study", "pydicom", "dicom"),
        ("inference_gateway.study.nifti", "nibabel", "nifti"),
        ("inference_gateway.study.report", "highdicom", "highdicom"),
        ("inference_gateway.study.segmentation", "highdicom", "highdicom"),
        ("inference_gateway.testing.run", "httpx", "author"),
        ("inference_gateway.demo", "pydicom", "demo"),
        ("inference_gateway.demo.run", "rich", "demo"),
        ("inference_gateway.demo.models", "pydicom", "demo"),
    ],
)
@pytest.mark.slow
def test_what_is_missing_and_what_brings_it(module: str, absent: str, brings: str, tmp_path: Path) -> None:
    said = imported_without(tmp_path, absent, module)
    assert f" needs {absent}: pip install 'dicom-inference-gateway[{brings}]'" in said
    assert said.startswith("ModuleNotFoundError: inference_gateway.")


def test_what_is_not_of_an_extra_is_left_alone() -> None:
    for name in ("inference_gateway.absent", None):
        with pytest.raises(ModuleNotFoundError, match=r"^as it was$"), extra("client", needs="x"):
            raise ModuleNotFoundError("as it was", name=name)
