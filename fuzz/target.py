"""One target under Atheris: `python -m fuzz.target NAME [libFuzzer's options]`."""

from __future__ import annotations

import importlib
import sys

import atheris

name = sys.argv.pop(1)
with atheris.instrument_imports(include=["inference_gateway"]):
    check = importlib.import_module(f"fuzz.{name}").check
atheris.Setup(sys.argv, check)
atheris.Fuzz()
