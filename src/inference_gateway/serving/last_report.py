"""The report of the last request, as `infer` draws it, for the model's author: of `serve --dev` only.

A middleware keeps a copy of what comes and goes, and draws it when the answer is out. The report is a file in
a folder that only its owner may enter, and no page of the server: a server's page could be read by everybody
on this machine, and by web pages that its owner looks at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_gateway.client.answer import Answer, Refusal
from inference_gateway.client.result import ResultElement
from inference_gateway.dicom.series import read_study
from inference_gateway.errors import BrokenAnswer, ClientError, ProblemAnswer, RequestError
from inference_gateway.infer.report import Facts
from inference_gateway.infer.results import write_results
from inference_gateway.intake.assembler import RequestAssembler
from inference_gateway.intake.header import read_header
from inference_gateway.payload.contract import FAULTS_HEADER
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool
from inference_gateway.settings import Settings
from inference_gateway.telemetry.logs import logger

REPORT = "report.html"


class LastReport:
    """Middleware: writes the report of each request that a model answers, or fails at, into `folder`."""

    def __init__(self, app: ASGIApp, folder: Path, settings: Settings) -> None:
        self._app = app
        self._folder = folder
        self._settings = settings
        self._drawing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and draw it."""
        copy = None
        if scope["type"] == "http" and scope["method"] == "POST":
            with suppress(RequestError):  # none that a model is asked
                copy = _Copy(scope, receive, send, self._settings)
        if copy is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, copy.receive, copy.send)
            async with self._drawing:
                await asyncio.to_thread(copy.draw, self._folder)
        finally:
            await asyncio.to_thread(copy.close)


class _Copy:
    """What comes and goes of one request. Raises `RequestError` where its header says that it is no study."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        request_type, _ = read_header(scope, settings)
        self._receive, self._send = receive, send
        self._spool = Spool(settings.spool_dir, settings.spool_memory_bytes)
        self._request: RequestAssembler | None = RequestAssembler(request_type, self._spool, settings)
        self._answer: Answer | Refusal | None = None
        self._answered = False

    async def receive(self) -> Message:
        """Receive a message, and keep it."""
        message = await self._receive()
        wanted = message["type"] == "http.request" and not self._answered
        if wanted and self._request is not None and message.get("body"):
            try:
                await asyncio.to_thread(self._request.feed, bytearray(message["body"]))
            except RequestError:
                self._request = None  # the gateway finds the same, and says so
        return message

    async def send(self, message: Message) -> None:
        """Keep a message, and send it."""
        if message["type"] == "http.response.start":
            self._answered = True
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
            if message["status"] == 200:
                self._answer = Answer(headers["content-type"], headers.get(FAULTS_HEADER.decode(), ""))
            else:
                self._answer = Refusal(message["status"], headers)
        elif self._answer is not None and message.get("body"):
            try:
                await asyncio.to_thread(self._answer.feed, bytes(message["body"]))
            except (OSError, ClientError) as error:  # such as a disk without room: the client gets it all
                logger.warning("there will be no report of this request (%s)", type(error).__name__)
                self._answer = None
        await self._send(message)

    def draw(self, folder: Path) -> None:
        """Write the report, if the whole request has come, and say where it is. Blocks."""
        if self._request is None or self._answer is None:
            return
        try:
            request = self._request.finish()
            path = self._drawn(request.inputs, request.input_hash, folder)
        except (RequestError, BrokenAnswer):  # half a request, or half an answer: the log says why
            return
        except Exception as error:  # whatever a study is, the gateway serves on
            logger.warning("the report of this request cannot be drawn (%s)", type(error).__name__)
            return
        logger.info("the report of this request: %s", path.as_uri())

    def _drawn(self, inputs: Sequence[Part], input_hash: str, folder: Path) -> Path:
        answer: Any = {}
        elements: list[ResultElement] = []
        if isinstance(self._answer, Answer):
            result = self._answer.finish(input_hash, {})
            answer, elements = result.json, result.elements
            rows = [("Answer", "200"), ("Faults", str(result.faults))]
        else:
            assert self._answer is not None
            rows = _rows_of(self._answer.problem())
        study = read_study(inputs, without_decoder=True)
        with TemporaryDirectory(dir=folder) as staged:
            write_results(study, answer, elements, Path(staged), Facts(rows))
            os.replace(Path(staged) / REPORT, folder / REPORT)
        return folder / REPORT

    def close(self) -> None:
        """Let go of the copies."""
        self._spool.release()
        if isinstance(self._answer, Answer):
            self._answer.close()


def _rows_of(problem: ProblemAnswer) -> list[tuple[str, str]]:
    return [("Answer", str(problem)), ("Traceback", problem.traceback or "none")]
