"""One request's whole journey: header, admission, body, slot, model, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial

from starlette.types import Receive, Scope, Send

from inference_gateway.answer.check import InferenceResponse, prepare
from inference_gateway.answer.client_watch import ClientWatch
from inference_gateway.answer.problem import Problem
from inference_gateway.answer.stream import ResponseStream
from inference_gateway.errors import (
    ClientDisconnected,
    InvalidModelOutput,
    ModelError,
    RequestError,
    ResponseCut,
    Unavailable,
)
from inference_gateway.execution.call import guarded
from inference_gateway.execution.runner import ModelRunner
from inference_gateway.execution.slot import Slot
from inference_gateway.extensions import ABORT, UNSENT
from inference_gateway.intake.admission import Queue, Ticket, Uploads
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.body import AsgiBody, Body
from inference_gateway.intake.header import read_header
from inference_gateway.intake.ingest import SMALL, Ingest, SmallIngest
from inference_gateway.intake.uvicorn_body import body_of
from inference_gateway.intake.workers import Workers
from inference_gateway.payload.spool import Spool, SpoolBudget
from inference_gateway.settings import Settings
from inference_gateway.telemetry.record import Observer, Record, new_request_id

SHUTTING_DOWN = "the gateway is shutting down: send this to another instance"
_DISK_SECONDS = 10.0  # for the disk: to say how much room it has, to take the last bytes, to free them
_DISK_HANGS = "the gateway's disk does not answer: try again later"


@dataclass
class Shared:
    """What the routes of one gateway share."""

    settings: Settings
    binary_types: Mapping[str, str]
    uploads: Uploads
    budget: SpoolBudget
    workers: Workers
    observers: Sequence[Observer]  # of each request
    api_keys: ApiKeys | None


class InferenceEndpoint:
    """The ASGI application of one inference route. `unavailable` says why it takes no request now."""

    def __init__(self, runner: ModelRunner, shared: Shared) -> None:
        self.runner = runner
        self.queue = Queue(shared.settings.max_queue)
        self.unavailable: str | None = None
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens; raises `ResponseCut` only for a server that has no abort."""
        journey = _Journey(self, self._shared, scope, receive, send)
        record = journey.record
        try:
            await journey.run()
        except ClientDisconnected:
            record.log.info("the client left")
        except asyncio.CancelledError:  # the server's drain is over
            record.log.warning("the drain is over")
            if not journey.answering:
                record.status = Unavailable.status
                await Problem.of(Unavailable(SHUTTING_DOWN), record.request_id).send(send, None)
            elif record.status != 200:
                _cut(scope)
        except Exception as error:
            _log(record, error)
            if journey.answering:
                _cut(scope)
            else:
                problem_cause = error if isinstance(error, RequestError) else ModelError()
                record.status = problem_cause.status
                problem = Problem.of(problem_cause, record.request_id)
                await problem.send(send, journey.body)
        finally:
            record.end()


class _Journey:
    """One request on its way."""

    def __init__(
        self, endpoint: InferenceEndpoint, shared: Shared, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.record = Record(new_request_id(), endpoint.runner.route, shared.observers)
        self.body: Body = AsgiBody(receive)
        self.answering = False
        self._scope = scope
        self._endpoint = endpoint
        self._runner = endpoint.runner
        self._shared = shared
        self._receive = receive
        self._send = send

    async def run(self) -> None:
        """From the header to the last byte of the answer."""
        shared = self._shared
        if shared.api_keys is not None:
            shared.api_keys.check(self._scope["headers"])
        if self._endpoint.unavailable:
            raise Unavailable(self._endpoint.unavailable)
        request_type, declared = read_header(self._scope, shared.settings)
        self.body = body_of(self._receive, declared)
        with Ticket(shared.uploads, self._endpoint.queue) as ticket:
            spool = Spool(shared.settings.spool_dir, shared.settings.spool_memory_bytes, shared.budget)
            try:
                if declared > shared.settings.spool_memory_bytes:
                    await self._reserve(spool, declared)
                assembler = RequestAssembler(request_type, spool, shared.settings)
                request = await self._read_body(assembler, declared)
                ticket.uploaded()
                unsent = self._scope.get("extensions", {}).get(UNSENT, {}).get("unsent")
                async with ClientWatch(self._receive, shared.settings.send_timeout, unsent) as client:
                    with (
                        self._runner.slot(self.record.request_id, on_start=ticket.in_slot) as slot,
                        closing(await self._call_model(slot, request)) as response,
                    ):
                        await self._answer(response, request.input_hash, slot, client)
            finally:
                await self._release(spool)

    async def _reserve(self, spool: Spool, size: int) -> None:
        """Asks the disk, which may take its time, whether it can hold the body."""
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                await self._shared.workers.run(spool.reserve, size)
        except TimeoutError:
            raise Unavailable(_DISK_HANGS) from None

    async def _release(self, spool: Spool) -> None:
        if spool.in_memory:
            spool.release()
        else:  # freeing the blocks of a large file takes time; it goes on where that is too long to wait
            release = asyncio.ensure_future(self._shared.workers.run(spool.release))
            await asyncio.wait((release,), timeout=_DISK_SECONDS)

    async def _read_body(self, assembler: RequestAssembler, declared: int) -> InferenceRequest:
        shared = self._shared
        small = 0 < declared <= min(SMALL, shared.settings.spool_memory_bytes)
        ingest: Ingest | SmallIngest
        try:
            if small:
                ingest = SmallIngest(assembler, shared.settings, declared)
                request = await ingest.run(self.body)
            else:
                ingest = Ingest(assembler, shared.settings, shared.workers)
                limit = shared.settings.upload_timeout
                # The client's time is the ingest's business; what it waits for beyond that is the disk.
                async with asyncio.timeout(limit and limit + _DISK_SECONDS):
                    request = await ingest.run(self.body)
        except TimeoutError:
            raise Unavailable(_DISK_HANGS) from None
        finally:
            self.record.received = ingest.received
            self.record.phase("upload")
        self.record.tags["input_hash"] = request.input_hash
        return request

    async def _call_model(self, slot: Slot, request: InferenceRequest) -> InferenceResponse:
        """Calls the model and checks its result, on its thread; the spool stays as long as the call does."""
        model = self._runner.model

        def call() -> InferenceResponse:
            with request.spool:
                result = guarded(model, request.json_input, request.inputs, request.input_hash)
                response: InferenceResponse = guarded(
                    prepare, result, self._shared.binary_types, self._shared.settings.spool_dir
                )
                slot.at_end = response.end_iterables
                for warning in response.warnings:
                    self.record.log.warning("%s", warning)
                return response

        try:
            return await slot.call(call, keep=lambda response: response.needs_model)
        finally:
            if slot.started is not None:
                self.record.phase("queue", slot.started)
                self.record.phase("model")

    async def _answer(
        self, response: InferenceResponse, input_hash: str, slot: Slot, client: ClientWatch
    ) -> None:
        boundary = self.record.request_id  # as random as a boundary must be
        on_thread = partial(slot.call, keep=lambda _: True)
        stream = ResponseStream(response, boundary, input_hash, self._shared.workers.run, on_thread)
        headers = [
            (b"content-type", f"multipart/related; boundary={boundary}".encode()),
            (b"x-request-id", self.record.request_id.encode()),
        ]
        length = stream.content_length
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        self.answering = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(stream.body()) as body:
            async for block, more in body:
                client.offered()
                await self._send({"type": "http.response.body", "body": block, "more_body": more})
                client.taken()
                self.record.sent += len(block)
                if more:  # a fast client's socket is never full, and the other requests want their turn
                    await asyncio.sleep(0)
        self.record.status = 200
        self.record.tags["output_hash"] = stream.output_hash
        self.record.phase("answer")


def _cut(scope: Scope) -> None:
    """Has the server cut the connection: an answer that has begun cannot be taken back."""
    extension = scope.get("extensions", {}).get(ABORT)
    if extension is None:  # any server closes the connection then, and logs a traceback
        raise ResponseCut from None
    extension["abort"]()


def _log(record: Record, error: Exception) -> None:
    """An operator's line; the traceback where the model or the gateway is to blame."""
    match error:
        case InvalidModelOutput():
            record.log.error("the model's result does not fit the wire contract: %s", error.reason)
        case ModelError():
            record.log.error("the model failed", exc_info=error.__cause__)
        case RequestError():
            level = logging.INFO if error.status < 500 else logging.WARNING
            record.log.log(level, "refused: %s", error.detail)
        case ResponseCut():
            record.log.warning("the answer was cut: %s", error)
        case _:
            record.log.error("an error of the gateway itself", exc_info=error)
