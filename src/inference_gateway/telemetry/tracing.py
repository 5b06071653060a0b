"""Whether spans are recorded, and what records them: in the gateway, and where its models have processes.

Asked for by a setting, or by the variables that OpenTelemetry has for it, which say where the spans go, too.
Nothing of OpenTelemetry is imported where it is not asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from inference_gateway.extras import extra
from inference_gateway.telemetry.logs import logger

if TYPE_CHECKING:
    from inference_gateway.telemetry.record import Record
    from inference_gateway.telemetry.spans import Spans

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OURS = "http/protobuf"


def variables(setting: bool | None, environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return OpenTelemetry's variables where spans are asked for, else None.

    `setting`: whether they are; None lets the environment say it, as OpenTelemetry has it: an exporter
    (`OTEL_TRACES_EXPORTER`), or where one sends (`OTEL_EXPORTER_OTLP_ENDPOINT` and that for traces).
    """
    found = {name: value for name, value in environment.items() if name.startswith("OTEL_")}
    is_asked_for = setting
    if setting is None:
        exporters = found.get("OTEL_TRACES_EXPORTER", "").split(",")
        endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        is_disabled = found.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        if exporters != [""]:
            is_asked_for = "otlp" in map(str.strip, exporters)
        else:
            is_asked_for = any(found.get(name) for name in endpoints)
        is_asked_for = is_asked_for and not is_disabled
    return found if is_asked_for else None


class Tracing:
    """The spans of a gateway's requests: an observer of their records, from `start` to `end`.

    `setting`: as above. Where the environment alone asks for spans, what is missing costs the spans only.
    """

    def __init__(self, setting: bool | None) -> None:
        self._setting = setting
        self._spans: Spans | None = None

    def start(self) -> None:
        """Begin to record. Takes a moment: call it beside the event loop.

        Raises `ModuleNotFoundError` or `ValueError` where the setting asks for what cannot be had.
        """
        try:
            self._spans = _start()
        except (ModuleNotFoundError, ValueError) as error:
            if self._setting:
                raise
            logger.warning("no spans are recorded, although the environment asks for them: %s", error)

    def begin(self, record: Record, scheme: str) -> None:
        """Begin the span of a request: from here on its record says whether it is recorded."""
        if self._spans is not None:
            self._spans.begin(record, scheme)

    def request_ended(self, record: Record, /) -> None:
        """Record the spans of a request that has ended."""
        if self._spans is not None:
            self._spans.request_ended(record)

    async def end(self, seconds: float) -> None:
        """Send what has not been sent, for so long at the most, and record no more."""
        spans, self._spans = self._spans, None
        if spans is not None:
            await spans.end_beside_the_loop(seconds)


class ModelTracing:
    """The spans of a model's own code, where it has a process. `variables`: OpenTelemetry's, as above."""

    def __init__(self, variables: Mapping[str, str] | None) -> None:
        self._spans: Spans | None = None
        if variables is None:
            return
        for name, value in variables.items():  # another machine's environment has none
            os.environ.setdefault(name, value)
        try:
            self._spans = _start()
        except (ModuleNotFoundError, ValueError) as error:
            logger.warning("no spans of the model's own are recorded: %s", error)

    def end(self, seconds: float) -> None:
        """Send what has not been sent, for so long at the most."""
        if self._spans is not None:
            self._spans.end(seconds)


def _start() -> Spans:
    told = next(filter(None, (os.environ.get(name) for name in _PROTOCOLS)), _OURS)
    if told != _OURS:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {told}, and only {_OURS} is known here")
    with extra("otel", "tracing"):
        from inference_gateway.telemetry.spans import Spans
    return Spans()
