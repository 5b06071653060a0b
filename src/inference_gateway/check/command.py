"""The command `inference-gateway check`."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from inference_gateway.caller.key import environment_key, key_header
from inference_gateway.caller.tls import remedy, tls_context
from inference_gateway.check.exchange import NoAnswer, Target
from inference_gateway.check.run import CHECKS, run_checks
from inference_gateway.check.study import NoStudy, make_study, read_study
from inference_gateway.check.verdict import PROBE_SECONDS, Finding, Subject, Verdict
from inference_gateway.payload.contract import BINARY_TYPES

FAILED, UNREACHABLE = 1, 3

_COLORS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.DIFFERS: "yellow", Verdict.SKIP: None}
_WIDTH = max(len(check.name) for check in CHECKS)


def _pairs(separator: str, example: str) -> Any:
    """Parse the values of a repeatable option into pairs."""

    def parse(context: click.Context, option: click.Parameter, values: Iterable[str]) -> Any:
        pairs = []
        for value in values:
            name, found, rest = (each.strip() for each in value.partition(separator))
            if not found or not name or not rest:
                raise click.BadParameter(f"write it as {example!r}")
            pairs.append((name, rest))
        return tuple(pairs)

    return parse


def _json(context: click.Context, option: click.Parameter, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise click.BadParameter('this is not JSON: write it as \'{"inference_command": "x"}\'') from None


def _route(context: click.Context, option: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value):
        raise click.BadParameter("a route begins with / and has no blanks")
    return value


@click.command()
@click.argument("url")
@click.argument("study", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--route", default="/", show_default=True, callback=_route, help="The inference route.")
@click.option(
    "--request",
    "asked",
    default="{}",
    show_default=True,
    metavar="JSON",
    callback=_json,
    help="JSON that goes with the study, where the model needs some.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_pairs(":", "Authorization: Bearer KEY"),
    help="Send this header with every request; repeatable. An API key may be in GATEWAY_API_KEY instead.",
)
@click.option(
    "--binary-type",
    "binary_types",
    multiple=True,
    metavar="NAME=TYPE",
    callback=_pairs("=", "my_type=application/x-mine"),
    help="A binary_type of your own and its media type; repeatable.",
)
@click.option("--old", is_flag=True, help="URL is the old Flask gateway: what it is known for is 'differs'.")
@click.option(
    "--patience",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for an answer that must come before the body.",
)
@click.option(
    "--timeout",
    default=660.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for the model's answer to begin.",
)
@click.option(
    "--ca-certs",
    type=click.Path(exists=True, dir_okay=False),
    help="CA certificates, PEM, for an https URL with a certificate of your own.",
)
@click.option(
    "--cert",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificate of yours, PEM, where the gateway asks for one.",
)
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False), help="Its key, PEM; by default in the same file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def check(
    url: str,
    study: Path | None,
    route: str,
    asked: Any,
    headers: tuple[tuple[str, str], ...],
    binary_types: tuple[tuple[str, str], ...],
    old: bool,
    patience: float,
    timeout: float,
    ca_certs: str | None,
    cert: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Check whether the gateway at URL keeps the wire contract.

    \b
    inference-gateway check http://127.0.0.1:8000
    inference-gateway check http://127.0.0.1:8000 my-study/ --request '{"inference_command": "segment"}'
    inference-gateway check http://old-host:8000 my-study/ --old

    STUDY is a DICOM file, or a folder with some. It goes through the model once. Without it a small made CT
    series is sent (extra "dicom"). Everything else is asked with requests that must be refused: routes and
    methods, framing, hashes, elements against 'parts', palettes, label maps, DICOM objects, refusals and
    their words.

    \b
    Each check is a line:
      pass     it is as it must be
      fail     it is not; the next line says what to do
      differs  it is not, but the old Flask gateway is known for it (with --old only)
      skip     there is nothing to look at, such as a palette where the answer has none

    With --old a few refusals are not ones: the old gateway calls its model for them, without images.

    Exit code 0 where nothing fails, 1 where something does, 2 for a wrong command line, 3 where nothing
    answers at URL.
    """
    try:
        headers += tuple(key_header(environment_key(), headers).items())
        target = Target(url, headers=headers, timeout=timeout, tls=tls_context(ca_certs, cert, key))
        sent = read_study(study) if study is not None else make_study()
    except (ValueError, NoStudy, OSError) as error:
        raise click.UsageError(str(error)) from None
    types = {**BINARY_TYPES, **dict(binary_types)}
    subject = Subject(target, sent, route, asked, old, patience, types)
    try:
        target.send("GET", "/ping", timeout=PROBE_SECONDS)
    except ValueError:
        raise click.UsageError("a --header has characters that no header can have") from None
    except NoAnswer as error:
        hint = remedy(error) or "Is the gateway running there?"
        if target.speaks_tls():
            hint = "The server speaks TLS at this port, not plain HTTP: its URL begins with https://"
        click.echo(f"Error: nothing answers at {url}: {error}. {hint}", err=True)
        sys.exit(UNREACHABLE)
    if sent.ignored:
        click.echo(f"left out of the study, as they are not DICOM: {sent.ignored}", err=True)
    findings = []
    with closing(subject):
        for finding in run_checks(subject):
            findings.append(finding)
            if not as_json:
                _print(finding)
    counts = Counter(finding.verdict for finding in findings)
    if as_json:
        click.echo(json.dumps(_document(url, old, findings, counts), indent=2))
    else:
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
        click.echo(f"{len(findings)} checks: {told}")
    sys.exit(FAILED if counts[Verdict.FAIL] else 0)


def _print(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLORS[finding.verdict])
    click.echo(f"{verdict} {finding.check:<{_WIDTH}}  {finding.detail}")
    if finding.advice:
        click.echo(f"{'':<8} {'':<{_WIDTH}}  → {finding.advice}")


def _document(url: str, old: bool, findings: list[Finding], counts: Counter[Verdict]) -> dict[str, Any]:
    return {
        "url": url,
        "old": old,
        "ok": not counts[Verdict.FAIL],
        "counts": {str(verdict): counts[verdict] for verdict in Verdict},
        "checks": [
            {"check": each.check, "verdict": each.verdict, "detail": each.detail, "advice": each.advice}
            for each in findings
        ],
    }
