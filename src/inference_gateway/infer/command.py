"""The command `inference-gateway infer`: options, what it says, exit codes."""

from __future__ import annotations

import json
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from inference_gateway.caller.key import environment_key, has_key
from inference_gateway.dicom.limits import Limits
from inference_gateway.errors import BrokenAnswer, ClientError, GatewayUnreachable, ProblemAnswer
from inference_gateway.infer.gather import GatherError
from inference_gateway.infer.geometry import plain
from inference_gateway.infer.hints import hint_on_no_answer, hint_on_refusal, refuser, why_no_file
from inference_gateway.infer.options import ManyValues, address_of, headers_of, pair_of, tls_of
from inference_gateway.infer.pictures import MOST_PIXELS
from inference_gateway.infer.progress import Phases
from inference_gateway.infer.run import Order, Outcome, OutputError, Reading, reading, said_of, send

LOCAL, WRONG, UNREACHABLE, REFUSED, FAILED, BROKEN, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130

# Statuses of the gateway that say that it did not call the model, besides 4xx.
_NOT_NOW = (503, 507)

_PATH = click.Path(exists=True, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "infer",
    cls=ManyValues,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The old test tool's option names, with underscores, are taken too: see docs/infer.md.",
)
@click.argument("study", nargs=-1, type=_PATH)
@click.option("-i", "--input", "inputs", multiple=True, type=_PATH, help="The same as STUDY.")
@click.option(
    "-o",
    "--output",
    default=Path("output"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the result. What a former run wrote into it is replaced.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway is.")
@click.option(
    "-p", "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Its port."
)
@click.option(
    "--url",
    help="Address of the model, instead of --host, --port and --route: https://gateway.example/liver. "
    "A --route goes behind its path.",
)
@click.option("-r", "--route", show_default="/", help="Route of the model.")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this header too; repeatable. A key is better given in the environment, GATEWAY_API_KEY: other "
    "users may see options.",
)
@click.option(
    "--ca-certs", type=_FILE, help="CA certificates, PEM, for https, instead of those that are known."
)
@click.option("--cert", type=_FILE, help="Certificate of yours, PEM, where the gateway asks for one.")
@click.option("--key", type=_FILE, help="Its key, PEM; by default in the same file.")
@click.option(
    "--follow-links", is_flag=True, help="Take files and folders that links lead to from within a folder."
)
@click.option(
    "-a",
    "--attachments",
    multiple=True,
    type=_FILE,
    help="Files to send before the images, as they are. Takes all that follows, up to the next option.",
)
@click.option(
    "-c", "--inference-command", "--inference_command", default="", help="inference_command of the request."
)
@click.option(
    "-R",
    "--request-options",
    "--request_options",
    multiple=True,
    metavar="KEY=VALUE...",
    help="More keys of the request's JSON; values are text. Takes all that follows with a = in it.",
)
@click.option(
    "-S",
    "--send-study-size",
    "--send_study_size",
    is_flag=True,
    help="Send depth (number of images), height and width.",
)
@click.option(
    "--request-study-path",
    "--request_study_path",
    default="",
    metavar="PATH",
    help="Send this path as studyPath instead of the images: the model reads them itself.",
)
@click.option(
    "-l",
    "--include-label-plots",
    "--include_label_plots",
    is_flag=True,
    help="Write classification labels on every plane, not only on the middle one.",
)
@click.option("--outlines", is_flag=True, help="Draw masks as outlines only.")
@click.option(
    "--timeout", default=660.0, show_default=True, help="Seconds that the model may take.", metavar="SECONDS"
)
@click.option(
    "--max-frame-pixels",
    default=Limits().frame_pixels,
    show_default=True,
    type=click.IntRange(1, MOST_PIXELS),
    help="Pixels of one image: what has more is not opened.",
)
@click.option(
    "--max-inflated-bytes",
    default=Limits().inflated_bytes,
    show_default=True,
    type=click.IntRange(1),
    help="Bytes that one deflated DICOM file may come to.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead, for scripts.")
def infer(
    study: tuple[Path, ...],
    inputs: tuple[Path, ...],
    output: Path,
    host: str,
    port: int,
    url: str | None,
    route: str | None,
    headers: tuple[str, ...],
    ca_certs: Path | None,
    cert: Path | None,
    key: Path | None,
    follow_links: bool,
    attachments: tuple[Path, ...],
    inference_command: str,
    request_options: tuple[str, ...],
    send_study_size: bool,
    request_study_path: str,
    include_label_plots: bool,
    outlines: bool,
    timeout: float,
    max_frame_pixels: int,
    max_inflated_bytes: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Send STUDY to a model and show what it does to it.

    STUDY: folders, .zip archives, DICOMDIRs or files. What is DICOM is found by its content; PNG and JPEG
    files become DICOM images; the rest is ignored. Images are sent by series, in order of place and time.

    \b
    inference-gateway infer study/
    inference-gateway infer scan.zip -o result --port 8900 -R organ=liver threshold=0.5
    inference-gateway infer study/ --json | jq .output_hash

    The result folder has response.json, each mask as .npy, each DICOM object as .dcm, a picture of every
    plane that has something on it, contact-sheet.png, and report.html to look at it all in a browser. It is
    written whole or not at all.

    \b
    Exit codes:
      0    the result is in the folder
      1    a file cannot be read or written here
      2    the command line or the study is wrong; nothing was sent
      3    unreachable: no gateway answered
      4    refused: by the gateway or by the model itself (4xx, 503, 507)
      5    failed: the model failed or took too long (other 5xx)
      6    broken: what came is not a whole and true answer
      130  interrupted by Ctrl-C or SIGTERM; the result folder is as it was
    """
    places = study + inputs
    if not places and not request_study_path:
        after = " (all that follows -a is an attachment: put STUDY before it)" if attachments else ""
        raise click.UsageError(f"name a STUDY: a folder, an archive or a DICOMDIR{after}")
    if any(place.resolve() == output.resolve() for place in places):
        raise click.UsageError("the result would go into the study itself: name another folder with -o")
    address = address_of(url or f"http://{f'[{host}]' if ':' in host else host}:{port}", route)
    order = Order(
        output=output,
        url=str(address),
        headers=headers_of(headers),
        tls=tls_of(address, ca_certs, cert, key),
        timeout=timeout,
        attachments=attachments,
        inference_command=inference_command,
        options=dict(pair_of(option) for option in request_options),
        study_size=send_study_size,
        study_path=request_study_path,
        labels_everywhere=include_label_plots,
        outlines=outlines,
        limits=Limits(max_frame_pixels, max_inflated_bytes),
    )
    say = _Voice(quiet, as_json)
    phases = Phases(show=not (quiet or as_json))
    with (
        _told(say, order, with_certificate=cert is not None),
        _terminable(),
        _without_warnings(),
        phases.shown(),
        reading(places, output, phases, follow_links=follow_links, limits=order.limits) as read,
    ):
        say.reading(read)
        outcome = send(read, order, phases)
    say.outcome(read, outcome)


class _Voice:
    """What the command says, in the way that was asked for."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet, self._as_json = quiet, as_json

    def reading(self, read: Reading) -> None:
        if not self._quiet and not self._as_json:
            click.echo(f"found {read}", err=True)

    def outcome(self, read: Reading, outcome: Outcome) -> None:
        if self._as_json:
            click.echo(json.dumps(_document(read, outcome), indent=2))
            return
        if not self._quiet:
            click.echo(str(outcome))
        for alarm in outcome.written.alarms:
            click.secho(alarm, fg="red", bold=True, err=True)

    def failure(self, kind: str, code: int, message: str, **more: Any) -> NoReturn:
        if self._as_json:
            document = {"status": kind, "exit_code": code, "message": message, **more}
            click.echo(json.dumps(document, indent=2))
        else:
            click.echo(f"Error: {message}", err=True)
            if "traceback" in more:  # a gateway for the model's author shows it
                click.echo(more["traceback"], err=True)
        sys.exit(code)


@contextmanager
def _told(say: _Voice, order: Order, *, with_certificate: bool) -> Iterator[None]:
    """Make of each way in which the journey may end badly a message and an exit code."""
    try:
        yield
    except GatherError as error:
        say.failure("wrong", WRONG, str(error))
    except ProblemAnswer as error:
        known = {"http_status": error.status, "request_id": error.request_id}
        if error.traceback is not None:
            known["traceback"] = error.traceback
        detail = f"{error.status}: {plain(error.detail, 500)}"
        if hint := hint_on_refusal(
            error, order.url, with_key=has_key(order.headers) or environment_key() is not None
        ):
            detail += f". {hint}"
        if error.status < HTTPStatus.BAD_REQUEST:  # such as a redirect of something in between
            say.failure("broken", BROKEN, f"no gateway answers so, {detail}. Is the URL its route?", **known)
        if error.status < 500 or error.status in _NOT_NOW:
            say.failure("refused", REFUSED, f"{refuser(error)} refused it, {detail}", **known)
        hint = f" (request {plain(error.request_id)} in the gateway's log)" if error.request_id else ""
        say.failure("failed", FAILED, f"the model failed, {detail}{hint}", **known)
    except GatewayUnreachable as error:
        hint = hint_on_no_answer(error, order.url, with_certificate=with_certificate)
        say.failure(
            "unreachable", UNREACHABLE, f"{error}{'' if str(error).endswith('?') else '.'} {hint}".strip()
        )
    except BrokenAnswer as error:
        say.failure("broken", BROKEN, f"{error}: nothing was written")
    except ClientError as error:
        say.failure("failed", FAILED, str(error))
    except OutputError as error:
        say.failure("local", LOCAL, str(error))
    except OSError as error:
        say.failure("local", LOCAL, why_no_file(error))
    except KeyboardInterrupt:
        say.failure("interrupted", INTERRUPTED, f"interrupted; {order.output} is as it was")


@contextmanager
def _terminable() -> Iterator[None]:
    """End on Ctrl-C and on SIGTERM with all that was begun cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep pydicom from warning of values that are not as the standard wants: the study is as it is."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(before)


def _document(read: Reading, outcome: Outcome) -> dict[str, Any]:
    written = outcome.written
    return {
        "status": "ok",
        "exit_code": 0,
        "url": outcome.url,
        "images": len(read.study.instances),
        "series": len(read.study.series),
        "not_dicom": read.found.other,
        "left_out": said_of(read.found),
        "files_sent": outcome.sent_files,
        "input_hash": outcome.input_hash,
        "output_hash": outcome.output_hash,
        "seconds": dict(outcome.seconds),
        "folder": str(outcome.folder),
        "response": str(outcome.folder / "response.json"),
        "report": str(outcome.folder / "report.html"),
        "masks": written.masks,
        "objects": written.objects,
        "pictures": written.pictures,
        "not_drawn": written.notes,
        "not_decoded": dict(written.undecoded),
        "warnings": written.warnings,
        "faults": list(outcome.faults),
    }
