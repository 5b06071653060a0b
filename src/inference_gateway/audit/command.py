"""The command `inference-gateway audit`: its `verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from inference_gateway.audit.verify import Report, chains_of, verify


@click.group()
def audit() -> None:
    """Work with the audit log of a gateway (GATEWAY_AUDIT_DIR)."""


@audit.command("verify")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--end", metavar="HASH", help="The hash of a last line that was noted earlier: it must be there."
)
def verify_files(files: tuple[Path, ...], end: str | None) -> None:
    """Find out whether audit files are as the gateway wrote them.

    \b
    inference-gateway audit verify /var/log/gateway            every chain in a folder
    inference-gateway audit verify audit-0-00000*.jsonl        some files of one chain
    inference-gateway audit verify FOLDER --end 5f8a...        ... which once ended with this hash

    Each line carries the hash of the line before it, and a file begins with that of the last line of the file
    before. So this finds a line that was changed, removed, inserted, moved or cut short, and says which one.
    It may run while the gateway writes. Each worker of `serve --workers` has a chain of its own.

    It cannot find lines that somebody removed from the end together with the file audit-N.head, nor a chain
    that somebody wrote anew as a whole: keep the hash that it prints elsewhere, and give it the next time as
    --end. The files do not prove who wrote them (docs/audit.md).

    Exit code 0: nothing was changed. 1: something was. 2: nothing to read.
    """
    try:
        reports = [verify(chain, end) for chain in chains_of(files)]
    except OSError as error:
        raise click.UsageError(str(error)) from None
    if end is not None and len(reports) > 1:
        raise click.UsageError("--end is of one chain: give the files of that one")
    for report in reports:
        _tell(report)
    sys.exit(1 if any(report.faults for report in reports) else 0)


def _tell(report: Report) -> None:
    names = [path.name for path in report.files]
    which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} files)"
    for sentence in report.notes:
        click.echo(f"note   {sentence}")
    for sentence in report.faults:
        click.echo(f"FAULT  {sentence}")
    count = f"{report.lines} lines, {report.records} inferences"
    if report.faults:
        click.echo(f"BROKEN {which}: {count}, {len(report.faults)} faults")
    elif report.last is not None:
        click.echo(f"ok     {which}: {count}, numbers {report.first} to {report.last.number}")
        click.echo(f"       ends with {report.last.hash}: note it elsewhere, and ask for it by --end")
