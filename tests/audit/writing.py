"""Ledgers and chains for the tests of the audit log."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference_gateway.audit.ledger import Ledger


def entry(number: int) -> str:
    return compact({"event": "inference", "request_id": f"{number:032x}", "status": 200})


def compact(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


def written(folder: Path, batches: Sequence[int], file_bytes: int = 1 << 20) -> None:
    """One life of a gateway that writes batches of so many lines."""
    ledger = Ledger(folder, file_bytes)
    ledger.open()
    at = 0
    for size in batches:
        ledger.append([entry(at + each) for each in range(size)])
        at += size
    ledger.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*.jsonl"))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def read(folder: Path) -> list[dict[str, Any]]:
    """Every line there is, held against the form that docs/audit.md describes, without the product's code."""
    found: list[dict[str, Any]] = []
    for path in files(folder):
        for line in lines(path):
            told = json.loads(line)
            covered, _, _ = line.rpartition(b',"hash":"')
            assert told["hash"] == hashlib.sha256(covered).hexdigest()
            found.append(told)
    chains: dict[str, list[dict[str, Any]]] = {}
    for path in files(folder):
        chains.setdefault(path.name.split("-")[1], []).extend(map(json.loads, lines(path)))
    for chain in chains.values():
        previous = "0" * 64
        for number, told in enumerate(chain, 1):
            assert (told["number"], told["previous"]) == (number, previous)
            previous = told["hash"]
    return found


def records(folder: Path) -> list[dict[str, Any]]:
    """What is said of inferences."""
    return [told for told in read(folder) if told["event"] == "inference"]
