"""What the options of the command mean: where the model is, what goes with a request, many values of one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import click
import httpx

from inference_gateway.caller.key import environment_key
from inference_gateway.caller.tls import tls_context

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2

# They say what the body is, which is not for anybody else to say.
_OWN = ("content-type", "content-length", "content-encoding", "transfer-encoding")


class ManyValues(click.Command):
    """A command whose options `-a` and `-R` take all that follows them, up to the next option.

    So did the old tool: `-a notes.txt table.csv -R threshold=0.5 organ=liver`. Of `-R` the values stop where
    there is no `=`.
    """

    _MANY: ClassVar[dict[str, Callable[[str], bool]]] = {
        "-a": lambda value: True,
        "--attachments": lambda value: True,
        "-R": lambda value: "=" in value,
        "--request-options": lambda value: "=" in value,
        "--request_options": lambda value: "=" in value,
    }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them as click does, with one option for each value."""
        return super().parse_args(ctx, list(self._one_each(args)))

    def _one_each(self, args: Sequence[str]) -> Iterator[str]:
        """Yield `-a x -a y` for `-a x y`."""
        option, count = "", 0
        for at, arg in enumerate(args):
            if arg == "--":
                yield from args[at:]
                return
            if arg.startswith("-"):
                option, count = arg, 0
            else:
                if count and option in self._MANY and self._MANY[option](arg):
                    yield option
                count += 1
            yield arg


def address_of(text: str, route: str | None) -> httpx.URL:
    """Return the URL of a model's route: as it was written, and behind its path the route if there is one.

    Raises `click.UsageError` where it is none.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise click.UsageError("that is no address of a gateway: write http://host:port or https://host:port")
    if route is None:
        return url
    path, mark, query = url.raw_path.partition(b"?")
    behind = quote(route if route.startswith("/") else f"/{route}", safe="/%?&=:@!$'()*+,;~")
    return url.copy_with(raw_path=path.rstrip(b"/") + behind.encode() + mark + query)


def headers_of(given: Sequence[str]) -> list[tuple[str, str]]:
    """Return headers as pairs. Raises `click.UsageError` where one, or the environment's key, is none."""
    headers = []
    for text in given:
        name, colon, value = (each.strip() for each in text.partition(":"))
        if not (colon and _NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise click.UsageError("a --header is no header: write it as 'X-API-Key: KEY'")
        if name.lower() in _OWN:
            raise click.UsageError(
                f"a --header says what is sent ({name.lower()}): that is not for you to say"
            )
        headers.append((name, value))
    try:
        environment_key()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return headers


def tls_of(
    address: httpx.URL, ca_certs: Path | None, cert: Path | None, key: Path | None
) -> ssl.SSLContext | bool:
    """Return what to trust and show. Raises `click.UsageError` where it is for nothing, or cannot be used."""
    if address.scheme == "http":
        if ca_certs or cert or key:
            raise click.UsageError("certificates are for https: write --url https://host:port")
        return True
    try:
        return tls_context(ca_certs, cert, key, default=httpx.create_ssl_context)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def pair_of(option: str) -> tuple[str, str]:
    """Return key and value of KEY=VALUE. Raises `click.UsageError` where it is not that."""
    key, equals, value = option.partition("=")
    if not equals or not key.strip():
        raise click.UsageError("an option of -R has no =: write KEY=VALUE")
    return key.strip(), value
