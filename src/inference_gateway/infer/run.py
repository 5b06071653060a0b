"""One journey: a study is read, sent, and what a model found in it is written down."""

from __future__ import annotations

import ipaddress
import json
import os
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from inference_gateway.client import InferenceClient, InferenceResult, RetryPolicy
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.series import NO_PIXELS, Study, read_study
from inference_gateway.errors import BrokenAnswer
from inference_gateway.infer.gather import Found, GatherError, gather
from inference_gateway.infer.geometry import plain
from inference_gateway.infer.progress import Phases
from inference_gateway.infer.report import Facts
from inference_gateway.infer.request import objects_in_order, request_json
from inference_gateway.infer.results import RESULT_FILES, Written, write_json, write_results
from inference_gateway.infer.words import counted, listed


class OutputError(Exception):
    """The result folder cannot be made or written into; the message says why and what to do."""


@dataclass(frozen=True)
class Order:
    """What is to be sent where, and where the result goes.

    `url`: of the model's route. `headers`: sent besides. `tls`: what to trust and show, for https. `timeout`:
    seconds that the answer may take to begin. `inference_command`, `options`, `study_size` and `study_path`
    go into the request's JSON; with `study_path` no image is sent. `limits` say what one image may take, of
    those that come back too.
    """

    output: Path
    url: str = "http://127.0.0.1:8000/"
    headers: Sequence[tuple[str, str]] = ()
    tls: ssl.SSLContext | bool = True
    timeout: float = 660.0
    attachments: Sequence[Path] = ()
    inference_command: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    study_size: bool = False
    study_path: str = ""
    labels_everywhere: bool = False
    outlines: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Reading:
    """A study that was read. Its files are there as long as `reading` lasts."""

    found: Found
    study: Study

    def __str__(self) -> str:
        """Say how much of what there is."""
        images, series = len(self.study.instances), len(self.study.series)
        objects = sum(skipped.is_object for skipped in self.study.skipped)
        others = [
            (objects, "other DICOM object", None),
            (self.found.pictures, "of them PNG or JPEG", "of them PNG or JPEG"),
        ]
        here = f"{counted(images, 'image')} in {counted(series, 'series', 'series')}"
        return ", ".join([here, *listed(others), *self.left_out()])

    def left_out(self) -> list[str]:
        """Return in words what is left out, and why; what is sent and not drawn is among it."""
        reasons = self.found.refused + Counter(
            one.reason for one in self.study.skipped if one.reason != NO_PIXELS
        )
        skipped = [f"{count} left out: {reason}" for reason, count in reasons.items()]
        return [*said_of(self.found), *skipped]


def said_of(found: Found) -> list[str]:
    """Return in words what of the places is left out, and why."""
    return listed(
        [
            (found.other, "file that is not DICOM, ignored", "files that are not DICOM, ignored"),
            (
                found.damaged,
                "archive, file of one or picture that is damaged, left out",
                "archives, files of them or pictures that are damaged, left out",
            ),
            (
                found.unreadable,
                "file or folder that cannot be read, left out",
                "files or folders that cannot be read, left out",
            ),
            (
                found.links,
                "link that leads out of its folder, left out (--follow-links takes it)",
                "links that lead out of their folder, left out (--follow-links takes them)",
            ),
            (found.dangling, "link to nowhere", "links to nowhere"),
            (
                found.missing,
                "file that a DICOMDIR lists but that is not there",
                "files that a DICOMDIR lists but that are not there",
            ),
        ]
    )


@dataclass(frozen=True)
class Outcome:
    """What came of it. `seconds`: of each phase. `faults`: of the answer, by the rules of the contract."""

    folder: Path
    url: str
    sent_files: int
    input_hash: str
    output_hash: str
    seconds: Mapping[str, float]
    answer: Any
    elements: int
    written: Written
    faults: Sequence[str] = ()

    def __str__(self) -> str:
        """Say what came back, how long it took, and where it is."""
        found = listed(
            [
                (self.elements, "element", None),
                (_length(self.answer, "bounding_boxes_2d"), "bounding box", "bounding boxes"),
                (_length(self.answer, "linear_measurements_2d"), "linear measurement", None),
                (_length(self.answer, "series_ml_json"), "labelled series", "labelled series"),
                (_length(self.answer, "study_ml_json"), "label of the study", "labels of the study"),
                (len(self.written.pictures), "picture", None),
            ]
        )
        if self.written.pictures:  # the others have nothing to be seen
            found[-1] += f" of {counted(self.written.planes, 'plane')}"
        spent = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.seconds.items())
        return "\n".join(
            [
                ", ".join(found) or "nothing was found",
                f"sent {counted(self.sent_files, 'file')} to {self.url}",
                spent,
                *(f"the model warns: {warning}" for warning in self.written.warnings),
                *(f"the answer has a fault: {fault}" for fault in self.faults),
                *self.written.notes,
                f"Look at it: {self.folder / 'report.html'}",
            ]
        )


@contextmanager
def reading(
    places: Sequence[Path],
    output: Path,
    phases: Phases,
    *,
    follow_links: bool = False,
    limits: Limits | None = None,
) -> Iterator[Reading]:
    """Read the study in folders, archives, DICOMDIRs and files; what lies in `output` is none of it.

    `follow_links`: those that lead out of a folder too.

    Raises `GatherError` where there is no DICOM object.
    """
    with TemporaryDirectory(prefix="inference-gateway-infer-") as workspace:
        phases.begin("find", "files")
        found = gather(
            places, Path(workspace), output, phases.advance, follow_links=follow_links, limits=limits
        )
        phases.begin("read", "files", len(found.paths))
        study = read_study(_counted(found.paths, phases), without_decoder=True, limits=limits)
        phases.end()
        read = Reading(found, study)
        if places and not objects_in_order(study, found.paths):
            left = "; ".join(read.left_out())
            raise GatherError(
                "there is no DICOM object in it: name a folder, archive or DICOMDIR with some"
                + (f" ({left})" if left else "")
            )
        yield read


def send(reading: Reading, order: Order, phases: Phases) -> Outcome:
    """Send a study and write what comes back into the folder of the order: all of it, or nothing.

    Raises `OutputError` before anything is sent, `ClientError` where no whole answer came, `OSError` where
    something cannot be read or written.
    """
    inputs = list(order.attachments)
    if not order.study_path:
        inputs += objects_in_order(reading.study, reading.found.paths)
    asked = request_json(
        reading.study,
        inference_command=order.inference_command,
        options=order.options,
        study_size=order.study_size,
        study_path=order.study_path,
    )
    with (
        _staging(order.output) as staged,
        InferenceClient(
            order.url,
            timeout=httpx.Timeout(30, read=order.timeout),
            retry=RetryPolicy(attempts=1),  # who looks on wants to know at once
            headers=list(order.headers),
            verify=order.tls,
            trust_env=not _is_here(order.url),
        ) as client,
        client.infer(asked, inputs, route=order.url, on_progress=phases.called) as result,
    ):
        phases.begin("write", "planes")
        url = str(httpx.URL(order.url).copy_with(userinfo=b"", fragment=None))
        seconds = {**phases.seconds, **result.timings}
        rows = [
            ("Sent to", url),
            ("Study", str(reading)),
            ("Files sent", str(len(inputs))),
            ("JSON sent", plain(json.dumps(asked), 1000)),
            ("Input hash", result.input_hash),
            ("Output hash", result.output_hash),
        ]
        try:
            write_json(result.json, staged / "response.json")
            written = write_results(
                reading.study,
                result.json,
                result.elements,
                staged,
                Facts(rows, seconds),
                labels_everywhere=order.labels_everywhere,
                outlines=order.outlines,
                limits=order.limits,
                progress=phases.update,
            )
            faults = _faults_of(result, inputs)  # last: the rules take the room that pictures took
        except RecursionError:
            raise BrokenAnswer("the answer's JSON is nested too deep") from None
        _move(staged, order.output)
        phases.end()
    return Outcome(
        order.output.resolve(),
        url,
        len(inputs),
        result.input_hash,
        result.output_hash,
        {**seconds, "write": phases.seconds["write"]},
        result.json,
        len(result.elements),
        written,
        faults,
    )


def _faults_of(result: InferenceResult, inputs: Sequence[Path]) -> list[str]:
    """Return what is wrong with an answer, a line each, by the rules that a gateway has, too.

    They are imported here: they need what a command that only shows its help can do without.
    """
    from inference_gateway.payload.element import FileElement
    from inference_gateway.results.faults import told
    from inference_gateway.results.validation import faults_in

    if not isinstance(result.json, dict):
        return []
    files = [element.file for element in result.elements]
    elements = [FileElement(file, file.size) for file in files]
    heads = [partial(_head_of, path) for path in inputs]
    return told(faults_in(json.dumps(result.json).encode(), files, elements, heads))


def _head_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Make a folder, and one within for what is not whole yet; where the block fails, both are taken away."""
    made: list[Path] = []
    try:
        with _begun(path, made) as staged:
            yield Path(staged)
    except BaseException:
        for each in made:
            with suppress(OSError):  # it was not made, or somebody else has put something into it
                each.rmdir()
        raise


def _begun(path: Path, made: list[Path]) -> TemporaryDirectory[str]:
    """Make both folders; `made` takes those that were not there."""
    try:
        made += [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=".infer-", dir=path)
    except OSError as error:
        raise OutputError(
            f"the result cannot be written into {path} ({error.strerror}): "
            "name a folder with -o that can be made and written; nothing was sent"
        ) from error


def _length(answer: Any, key: str) -> int:
    value = answer.get(key) if isinstance(answer, dict) else None
    return len(value) if isinstance(value, list | dict) else 0


def _counted(paths: Sequence[Path], phases: Phases) -> Iterator[Path]:
    for path in paths:
        yield path
        phases.advance()


def _is_here(url: str) -> bool:
    """Return whether a URL is of this machine: a proxy that the environment names is not for it."""
    host = httpx.URL(url).host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def _move(staged: Path, folder: Path) -> None:
    """Put new files in place of those of a former run."""
    for pattern in RESULT_FILES:
        for path in folder.glob(pattern):
            path.unlink()
    for path in sorted(staged.iterdir()):
        os.replace(path, folder / path.name)
