"""What the gateway knows of uvicorn's inside, which uvicorn promises to nobody.

Three things rest on it: the short way of a body (`uvicorn_body.py`), a small answer that goes out by one
write, and the hardened connection of `serve`. Every private name that they use stands here, and is looked for
once. Where the first two lack one, bodies and answers go as ASGI messages, as under any other server. Where
the last lacks one, `serve` does not start.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from starlette.types import Message, Send

from inference_gateway.telemetry.logs import logger

if TYPE_CHECKING:
    import asyncio

    from httptools import HttpRequestParser
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HTTP, FLOW, SERVER = (
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.http.flow_control",
    "uvicorn.server",
)

_Names = Mapping[tuple[str, str], Sequence[str]]  # (module, class): its methods and attributes

_OF_BODIES: _Names = {
    (HTTP, "RequestResponseCycle"): (
        *("body", "disconnected", "flow", "message_event", "more_body", "receive", "send", "transport"),
        "waiting_for_100_continue",
    ),
    (HTTP, "HttpToolsProtocol"): (
        *("connection_lost", "cycle", "flow", "on_message_complete", "parser", "pause_writing"),
        *("resume_writing", "transport"),
    ),
    (FLOW, "FlowControl"): ("pause_reading", "resume_reading"),
}
_OF_SERVE: _Names = {
    (HTTP, "RequestResponseCycle"): (
        *("disconnected", "keep_alive", "message_event", "response_complete", "response_started"),
    ),
    (HTTP, "HttpToolsProtocol"): (
        *("_unset_keepalive_if_required", "connection_lost", "connection_made", "cycle", "data_received"),
        *("flow", "headers", "loop", "on_body", "on_header", "on_headers_complete", "on_message_begin"),
        *("on_message_complete", "on_url", "parser", "scope", "timeout_keep_alive"),
        *("timeout_keep_alive_handler", "timeout_keep_alive_task", "transport", "url"),
    ),
    (FLOW, "FlowControl"): ("resume_reading",),
    (SERVER, "Server"): (
        *("_log_started_message", "capture_signals", "config", "force_exit", "handle_exit", "lifespan"),
        *("run", "server_state", "servers", "should_exit", "shutdown", "started", "startup"),
    ),
}


def missing_for_serve() -> list[str]:
    """Return the names that the hardened server needs and this uvicorn has not."""
    return _missing(_OF_SERVE)


def probe() -> None:
    """Look, where uvicorn runs this process, whether it is as we know it; say in the log if not."""
    module = sys.modules.get(HTTP)
    if module is not None:
        _is_known(module)


def cycle_of(method: Any) -> RequestResponseCycle | None:
    """uvicorn's object behind a `receive` or `send`.

    None under another server or another of uvicorn's protocols, behind a middleware that has a `receive` of
    its own, and under a uvicorn that has changed inside.
    """
    module = sys.modules.get(HTTP)
    if module is None or not _is_known(module):
        return None
    cycle = getattr(method, "__self__", None)
    return cycle if isinstance(cycle, module.RequestResponseCycle) else None


class _OneWrite:
    """Stands in for a cycle's transport: keeps what is written until all that belongs together has come."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self._kept.append(data)

    def flush(self) -> None:
        """Write what was kept, unless the client has gone."""
        kept, self._kept = b"".join(self._kept), []
        if kept and not self._transport.is_closing():
            self._transport.write(kept)

    def __getattr__(self, name: str) -> Any:
        """Return what else the transport has, when it has what was kept."""
        self.flush()
        return getattr(self._transport, name)


async def send_together(send: Send, *messages: Message) -> None:
    """Send ASGI messages: under uvicorn by one write, which costs more than all else of a send."""
    cycle: Any = cycle_of(send)
    if cycle is None:
        for message in messages:
            await send(message)
        return
    transport = cycle.transport
    cycle.transport = joined = _OneWrite(transport)
    try:
        for message in messages:
            await send(message)
        joined.flush()
    finally:
        cycle.transport = transport


def fresh_parser(http: HttpToolsProtocol) -> HttpRequestParser:
    """Make a parser as uvicorn does for a new connection: what was let pass before is let pass again."""
    parser = type(http.parser)(http)
    with suppress(AttributeError):  # httptools before 0.6.3
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


@cache
def _is_known(module: ModuleType) -> bool:
    missing = _missing(_OF_BODIES)
    if missing:
        logger.warning(
            "this uvicorn has changed inside (%s): bodies take the long way, as ASGI messages",
            ", ".join(missing),
        )
    return not missing


def _missing(names: _Names) -> list[str]:
    return [
        f"{class_name}.{name}"
        for (module, class_name), wanted in names.items()
        for name in sorted(set(wanted) - set(_names_of(getattr(sys.modules.get(module), class_name, object))))
    ]


def _names_of(cls: type) -> Iterator[str]:
    """Yield what objects of the class have: what the class has, and what its methods set."""
    yield from dir(cls)
    for function in vars(cls).values():
        if isinstance(function, FunctionType):
            instructions = dis.get_instructions(function)
            yield from (each.argval for each in instructions if each.opname == "STORE_ATTR")
