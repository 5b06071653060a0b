"""The models of the faulty servers: `inference-gateway serve tests.faults.model:NAME`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def sizes(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Reads everything and says how much it was."""
    return [len(part.read()) for part in inputs]


def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Says that it has begun, and waits until it is let go: both by pipes in the folder of the test."""
    folder = Path(os.environ["GATEWAY_SPOOL_DIR"]).parent
    (folder / "begun").write_text("x")
    (folder / "go").read_text()
    return sizes(json_input, inputs, input_hash)


def large(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """An answer that no socket buffer holds, without a length."""

    def blocks() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    return {"parts": [{"binary_type": "heatmap"}]}, [blocks()]
