"""The application of the old gateway, with the import lines of either gateway."""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest

SOURCE = (Path(__file__).parent / "old_mock_server.txt").read_text()

OLD_LINES = (
    "from utils import tagged_logger\n",
    "from gateway import Gateway\nfrom flask import make_response\n",
)
NEW_LINES = (
    "from inference_gateway import tagged_logger\n",
    "from inference_gateway.flask_names import Gateway, make_response\n",
)
STAND_IN_LINES = (
    "from inference_gateway import tagged_logger\n",
    "from tests.harness.old_gateway import OldGateway as Gateway\nfrom flask import make_response\n",
)


def source(lines: tuple[str, str]) -> str:
    """The application with other import lines, and nothing else changed."""
    text = SOURCE
    for old, new in zip(OLD_LINES, lines, strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def load(lines: tuple[str, str]) -> Any:
    """The application as a module."""
    module = types.ModuleType("old_mock_server")
    exec(compile(source(lines), "old_mock_server.txt", "exec"), module.__dict__)
    return module


@contextmanager
def pydicom_2() -> Iterator[None]:
    """pydicom as before 3.0: `read_file` is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom, "read_file", pydicom.dcmread, raising=False)
        yield


@contextmanager
def pydicom_3() -> Iterator[None]:
    """pydicom as it is, whoever has given it `read_file` back before, and as it was at the end."""
    with pydicom_2():
        del pydicom.read_file  # type: ignore[attr-defined]
        try:
            yield
        finally:
            pydicom.read_file = pydicom.dcmread  # type: ignore[attr-defined]
