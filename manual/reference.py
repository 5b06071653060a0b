"""The pages of docs/ that are wholly made of the code: settings, commands, errors, the list of decisions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from inference_gateway import errors
from inference_gateway.answer.problem import Problem
from inference_gateway.cli import main
from inference_gateway.description.problems import ProblemKind, problem_kinds
from inference_gateway.serving.command import variable_of
from inference_gateway.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"

_MADE = "<!-- Made of the code by `python -m manual`: change it there. -->\n"
_UNITS = ((30, "GiB"), (20, "MiB"), (10, "KiB"))


# Settings


def settings() -> str:
    """Return the page of all settings."""
    rows = [
        (f"`{variable_of(field.validation_alias or name)}`", _default(name), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return f"""# Settings

{_MADE}
Every limit is an environment variable. Sizes are in bytes (`8GiB` works too), times in seconds; zero or
`none` switches a time limit off. A value that does not fit ends the start with exit code 2.
`inference-gateway settings` prints them with the values of now, and no key. In code they are
`Settings(max_body_bytes=...)`, for `Gateway(settings=...)`.
[Operations](operations.md#what-each-limit-protects) says what each limit protects. What `serve` takes besides
them is in [the command line](command-line.md).

{_table(("variable", "default", "what it is for"), rows)}"""


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "the system's temp folder"
    value = field.default
    if value is None:
        return "off"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if Settings.__annotations__[name] in ("Bytes", "PositiveBytes"):
        return f"`{_size(value)}`"
    return f"`{value}`"


def _size(value: int) -> str:
    for power, unit in _UNITS:
        if value and value % (1 << power) == 0:
            return f"{value >> power}{unit}"
    return str(value)


# The command line


def command_line() -> str:
    """Return the page of all commands and their options."""
    return f"""# The command line

{_MADE}
`inference-gateway COMMAND`, or `python -m inference_gateway COMMAND`. `--help` of each says the same.

{"".join(_sections(main, click.Context(main, info_name="inference-gateway")))}"""


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        # Some commands are of modules that are imported when they are called: the context has the real one.
        own = found.make_context(name, [], parent=context, resilient_parsing=True)
        yield _section(own)
        if isinstance(own.command, click.Group):
            yield from _sections(own.command, own)


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    records = [option.get_help_record(context) for option in command.params]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record and record[1]]
    told = "\n".join(_paragraphs(command.help or "") + _paragraphs(command.epilog or ""))
    options = f"\n{_table(('option', 'what'), rows)}" if rows else ""
    return f"## `{context.command_path}`\n\n```text\n{usage}\n```\n\n{told}{options}\n"


def _paragraphs(text: str) -> list[str]:
    """Return a help text as Markdown: what click leaves as it is written becomes a block."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            found.append("```text\n" + paragraph.removeprefix("\b\n") + "\n```\n")
        elif paragraph:
            found.append(" ".join(paragraph.split()) + "\n")
    return found


# Decisions


def decisions() -> str:
    """Return the list of all decisions, by their headings."""
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    found = [(path.name, path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for path in pages]
    listed = "\n".join(f"- [{title}]({name})" for name, title in found)
    return f"""# Decisions

{_MADE}
What somebody will want to reverse one day, with its reason.

{listed}
"""


# Errors


def errors_page() -> str:
    """Return the page of everything that can go wrong."""
    kinds = problem_kinds()
    rows = [
        (str(kind.status), f"`{kind.error.__name__}`", _when(kind), f"`{kind.type}`", kind.detail)
        for kind in kinds
    ]
    shown = Problem.document(503, errors.Unavailable.sentence, "7be9c2f14d3a4c0f9d5b6a7e8f901234")
    return f"""# Errors

{_MADE}
## What a gateway answers

Whatever is not 200 is a problem document (RFC 9457), `application/problem+json`. It says the cause and the
next step in `detail`, and nothing of what came in. The log has more under the same `request_id`, which is in
the header `X-Request-ID` too.

```json
{json.dumps(shown, indent=2)}
```

{_table(("status", "in the code", "when", "`type`", "`detail`, where nothing more is known"), rows)}
404 names the inference routes, 405 has `Allow`, 401 has `WWW-Authenticate: Bearer`. Before a request reaches
the gateway, `inference-gateway serve` answers 400 to what is no HTTP and 431 to a header over its limits, as
problems too.
[The wire contract](wire.md#what-is-refused-the-gateway-never-guesses) has every input that is refused.

## What a model raises

`Refused` of `inference_gateway` is a model's way to say no: its sentence is the client's `detail`. Any other
exception is 500 for the client, and a traceback in the log.

{_table(("class", "when"), [_told(errors.Refused), _told(errors.RequestCancelled)])}
## What the client raises

All are in `inference_gateway.errors`. [The client](client.md) shows how to take them.

{_table(("class", "is a", "when"), _client_errors())}
## What ends the start

{_table(("class", "when"), [_told(errors.SetupFailed), _told(errors.UnusableModel)])}"""


def _when(kind: ProblemKind) -> str:
    return kind.meaning + ("; with `Retry-After`" if kind.says_when else "")


def _told(error: type[Exception]) -> tuple[str, str]:
    first = (error.__doc__ or "").partition("\n\n")[0]
    return f"`{error.__name__}`", " ".join(first.split())


def _client_errors() -> Iterator[tuple[str, str, str]]:
    for error in _below(errors.ClientError):
        name, when = _told(error)
        yield name, f"`{error.__bases__[0].__name__}`", when


def _below(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for child in error.__subclasses__():
        yield from _below(child)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "command-line.md": command_line,
    "errors.md": errors_page,
    "decisions/README.md": decisions,
}
"""Page of docs/ → what returns its text."""
