"""One journey: a study, a gateway in front of an embedded model, the answer, and pictures of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from inference_gateway.client import InferenceClient, Progress
from inference_gateway.demo.drawings import Json
from inference_gateway.demo.gateway_process import DemoError, free_port, running_gateway, serve_command
from inference_gateway.demo.pictures import MASK_TYPES, Element, write_answer
from inference_gateway.dicom.series import Study, read_study
from inference_gateway.errors import ClientError

# What a former run left in the same folder; nothing else is ever deleted.
_OWN_FILES = ("series-*.png", "element-*.*", "contact-sheet.png", "response.json")


@dataclass(frozen=True)
class Limits:
    """Seconds that the gateway may take to become ready, and the answer to come."""

    start: float = 30.0
    answer: float = 600.0


@dataclass
class Phases:
    """Names and durations in seconds of what was done, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long the block takes as the phase `name`."""
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

    def __str__(self) -> str:
        return "\n".join(f"  {name:<18}{seconds:7.2f} s" for name, seconds in self.seconds.items())


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder in order of their paths, without hidden ones.

    Raises `DemoError` where there is none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [path for path in paths if not any(one.startswith(".") for one in path.relative_to(folder).parts)]
    if not files:
        raise DemoError(f"there is no file in {folder}: name a folder with DICOM files")
    return files


def run_model(model: str, gather: Callable[[], Sequence[Path]], folder: Path, limits: Limits) -> None:
    """Send a study through the embedded model of that name, write its answer into a folder, say what came.

    `gather` finds or makes the files of the study. Raises `DemoError` where anything fails, with what to do
    about it.
    """
    phases = Phases()
    with phases.timed("make, read study"):
        files = gather()
        study = read_study(files)
    if not study.series:
        raise DemoError("none of the files is a DICOM image that can be read: name a folder with some")
    images = len(study.instances)
    click.echo(f"{model}: {images} images in {len(study.series)} series, {len(study.skipped)} other files")
    _clear(folder)
    try:
        _converse(model, study, files, folder, limits, phases)
    except ClientError as error:
        raise DemoError(
            f"{error}\nThe gateway's own words to that are in {folder / 'gateway.log'}"
        ) from error
    click.echo(f"{phases}\n  all of it is in {folder.resolve()}")


def _converse(
    model: str, study: Study, files: Sequence[Path], folder: Path, limits: Limits, phases: Phases
) -> None:
    port = free_port()
    with ExitStack() as stack:
        with phases.timed("start gateway"):
            gateway = running_gateway(serve_command(model, port), port, folder / "gateway.log", limits.start)
            stack.enter_context(gateway)
        # A proxy that the environment names is not for this machine.
        client = InferenceClient(f"http://127.0.0.1:{port}", timeout=limits.answer, trust_env=False)
        stack.enter_context(client)
        with tqdm(desc="upload", unit="B", unit_scale=True) as bar:
            result = stack.enter_context(client.infer({}, files, on_progress=partial(_show, bar)))
        phases.seconds.update(result.timings)
        click.echo(_description(result.json, result.elements))
        (folder / "response.json").write_text(json.dumps(result.json, indent=2) + "\n", encoding="utf-8")
        with phases.timed("write pictures"):
            pictures = write_answer(study, result.json, result.elements, folder)
        click.echo(f"  {len(pictures)} pictures and a contact sheet")


def _show(bar: Any, progress: Progress) -> None:
    bar.total = progress.total
    bar.update(progress.sent - bar.n)


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _OWN_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def _description(answer: Json, elements: Sequence[Element]) -> str:
    """Return lines that say what an answer holds, without UIDs."""
    lines = [f"  {_describe_element(element)}" for element in elements]
    boxes = answer.get("bounding_boxes_2d")
    if boxes is not None:
        lines.append(f"  {len(boxes)} bounding boxes")
    for number, labels in enumerate((answer.get("series_ml_json") or {}).values(), start=1):
        lines.append(f"  labels of series {number}: {json.dumps(labels)}")
    if "study_ml_json" in answer:
        lines.append(f"  labels of the study: {json.dumps(answer['study_ml_json'])}")
    return "\n".join(lines) or "  nothing came back"


def _describe_element(element: Element) -> str:
    label, kind = element.part.get("label", ""), element.part["binary_type"]
    if kind not in MASK_TYPES:
        return f"{kind} {label}"
    mask = element.array()
    size = " x ".join(map(str, mask.shape))
    return f"{kind} {label}: {size}, {np.count_nonzero(mask)} of {mask.size} set"
