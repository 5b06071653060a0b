"""One request's whole journey: header, admission, body, slot, model, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from inference_gateway.answer.client_watch import ClientWatch
from inference_gateway.answer.problem import Problem
from inference_gateway.answer.stream import ResponseStream, sending_bytes
from inference_gateway.app.failures import failure_of, forget, log_failure
from inference_gateway.app.readiness import SHUTTING_DOWN, Readiness
from inference_gateway.audit.auditor import Auditor
from inference_gateway.errors import (
    ClientDisconnected,
    ModelError,
    RequestError,
    ResponseCut,
    Unavailable,
)
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.runner import ModelSlot, Runner
from inference_gateway.extensions import ABORT, UNSENT
from inference_gateway.intake.admission import Queue, Ticket, Uploads
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.body import AsgiBody, Body, WholeBody
from inference_gateway.intake.header import RequestType, read_header, subject_of
from inference_gateway.intake.ingest import Ingest, inline_bytes
from inference_gateway.intake.uvicorn_body import body_of
from inference_gateway.intake.uvicorn_inside import send_together
from inference_gateway.intake.workers import Workers
from inference_gateway.payload.contract import FAULTS_HEADER
from inference_gateway.payload.spool import Spool
from inference_gateway.payload.spool_budget import SpoolBudget
from inference_gateway.settings import Settings
from inference_gateway.telemetry.identity import identify, new_request_id
from inference_gateway.telemetry.record import Observer, Record
from inference_gateway.telemetry.tracing import Tracing

_DISK_SECONDS = 10.0  # for the disk: to say how much room it has, to take the last bytes, to free them
_DISK_HANGS = "the gateway's disk does not answer: try again later"
# With these words uvicorn cancels what goes on when its drain is over. The gateway may not have been told of
# that drain: under uvicorn as it is the lifespan ends later.
_DRAIN_IS_OVER = "Task cancelled, timeout graceful shutdown exceeded"


@dataclass
class Shared:
    """What the routes of one gateway share."""

    settings: Settings
    uploads: Uploads
    budget: SpoolBudget
    workers: Workers
    observers: Sequence[Observer]  # of each request
    readiness: Readiness
    api_keys: ApiKeys | None
    auditor: Auditor | None
    tracing: Tracing | None = None  # one of the observers, where spans are asked for
    on_failure: Callable[[Exception], str | None] | None = None  # see Gateway.on_failure


class InferenceEndpoint:
    """The ASGI application of one inference route."""

    def __init__(self, runner: Runner, shared: Shared) -> None:
        self.runner = runner
        self.queue = Queue(shared.settings.max_queue)
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens.

        Raises `CancelledError` where somebody cancels it, such as a middleware with a time limit, except at
        the end of a drain, and `ResponseCut` where the answer has begun and the server has no abort.
        """
        journey = _Journey(self.runner, self.queue, self._shared, scope, receive, send)
        try:
            await journey.run()
        except asyncio.CancelledError as cancelled:
            if not self._shared.readiness.draining and cancelled.args != (_DRAIN_IS_OVER,):
                journey.abandon()
                raise
            await journey.end_by_drain()
        except Exception as error:
            await journey.fail(error)
        finally:
            journey.record.end()


class _Journey:
    """One request on its way."""

    def __init__(
        self, runner: Runner, queue: Queue, shared: Shared, scope: Scope, receive: Receive, send: Send
    ) -> None:
        request_id, trace, parent = identify(scope["headers"])
        self.record = Record(request_id, runner.route, shared.observers, trace, parent)
        if shared.tracing is not None:
            shared.tracing.begin(self.record, scope.get("scheme", "http"))
        self._body: Body = AsgiBody(receive)
        self._answering = False
        self._runner = runner
        self._queue = queue
        self._shared = shared
        self._scope = scope
        self._receive = receive
        self._send = sending_bytes(send)

    async def run(self) -> None:
        """From the header to the last byte of the answer: accept, compute, answer."""
        shared = self._shared
        request_type, declared = self._look_at_header()
        self._body = body_of(self._receive, declared)
        with Ticket(shared.uploads, self._queue) as ticket:
            spool = Spool(
                shared.settings.spool_dir,
                shared.settings.spool_memory_bytes,
                shared.budget,
                shared.workers.give_back,
            )
            try:
                request = await self._accept(request_type, declared, spool)
                ticket.uploaded()
                unsent = self._scope.get("extensions", {}).get(UNSENT, {}).get("unsent")
                with ClientWatch(self._receive, shared.settings.send_timeout, unsent) as client:
                    slot = self._runner.slot(self.record.request_id, ticket.in_slot, self.record.model_trace)
                    try:
                        response = await self._compute(slot, request)
                        try:
                            await self._answer(response, request.input_hash, slot, client)
                        finally:
                            response.close()
                    finally:
                        slot.release()
            finally:
                if spool.in_memory:
                    spool.release()
                else:
                    await self._release(spool)

    def _look_at_header(self) -> tuple[RequestType, int]:
        """Refuses what can be refused before a byte of the body is read."""
        if self._shared.auditor is not None:
            self.record.caller_subject = subject_of(self._scope)
        if self._shared.api_keys is not None:
            self.record.caller_key = self._shared.api_keys.check(self._scope["headers"])
        refusal = self._shared.readiness.refusal(self.record.route)
        if refusal is not None:
            draining = self._shared.readiness.draining
            raise Unavailable(refusal, kind="draining" if draining else "not_ready")
        return read_header(self._scope, self._shared.settings)

    async def _accept(self, request_type: RequestType, declared: int, spool: Spool) -> InferenceRequest:
        """Receives the body into the spool. `declared`: its length in bytes, or 0."""
        assembler = RequestAssembler(request_type, spool, self._shared.settings)
        try:
            if isinstance(self._body, WholeBody) and declared <= inline_bytes(self._shared.settings):
                self.record.received = declared  # and nothing to wait for
                assembler.feed(self._body.data)
                request = assembler.finish()
            else:
                request = await self._ingest(assembler, declared)
        finally:
            self.record.phase("upload")
        self.record.received_parts = 1 + len(request.inputs)
        self.record.tags["input_hash"] = request.input_hash
        return request

    async def _ingest(self, assembler: RequestAssembler, declared: int) -> InferenceRequest:
        settings = self._shared.settings
        if declared > settings.spool_memory_bytes:
            await self._reserve(assembler.spool, declared)
        ingest = Ingest(assembler, settings, self._shared.workers, declared)
        try:
            if ingest.needs_no_thread:
                return await ingest.run(self._body)
            # The client's time is the ingest's business; what it waits for beyond that is the disk.
            limit = settings.upload_timeout
            async with asyncio.timeout(limit and limit + _DISK_SECONDS):
                return await ingest.run(self._body)
        except TimeoutError:
            raise Unavailable(_DISK_HANGS, kind="disk") from None
        finally:
            self.record.received = ingest.received

    async def _reserve(self, spool: Spool, size: int) -> None:
        """Asks the disk, which may take its time, whether it can hold the body."""
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                await self._shared.workers.run(spool.reserve, size)
        except TimeoutError:
            raise Unavailable(_DISK_HANGS, kind="disk") from None

    async def _release(self, spool: Spool) -> None:
        """Free the blocks of a file, which takes time; it goes on where that is too long to wait."""
        release = asyncio.ensure_future(self._shared.workers.run(spool.release))
        await asyncio.wait((release,), timeout=_DISK_SECONDS)

    async def _compute(self, slot: ModelSlot, request: InferenceRequest) -> InferenceResponse:
        """Wait for the turn, call the model and check its result."""
        try:
            response: InferenceResponse = await slot.compute(request)
            for warning in response.warnings:
                self.record.log.warning("%s", warning)
            return response
        finally:
            if slot.tags:
                self.record.tags.update(slot.tags)
            self.record.phase("queue", slot.started)
            if slot.started is not None:
                self.record.phase("model")

    async def _answer(
        self, response: InferenceResponse, input_hash: str, slot: ModelSlot, client: ClientWatch
    ) -> None:
        """Send the answer; what of it is still to be made comes from the model, in its turn."""
        boundary = new_request_id()  # as random as a boundary must be
        stream = ResponseStream(response, boundary, input_hash, self._shared.workers.run, slot.call)
        headers = [
            (b"content-type", f"multipart/related; boundary={boundary}".encode()),
            (b"x-request-id", self.record.request_id.encode()),
            (b"traceparent", self.record.trace.traceparent.encode()),
            (b"server-timing", self.record.server_timing),
        ]
        info = self._runner.model_info
        if info is not None:
            headers.extend(info.headers)
        if response.faults:
            headers.append((FAULTS_HEADER, str(response.faults).encode()))
        if stream.content_length is not None:
            headers.append((b"content-length", str(stream.content_length).encode()))
        self._answering = True
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        whole = stream.in_one_piece()
        if whole is not None:
            client.offered()
            await send_together(self._send, start, {"type": "http.response.body", "body": whole})
            client.taken()
            self.record.sent = len(whole)
        else:
            await self._send(start)
            await self._send_blocks(stream, client)
        self.record.status = 200
        self.record.sent_parts = len(response.elements) + 2  # the JSON and the hashes
        self.record.tags["output_hash"] = stream.output_hash
        self.record.phase("answer")

    async def _send_blocks(self, stream: ResponseStream, client: ClientWatch) -> None:
        async with aclosing(stream.body()) as body:
            async for block, more in body:
                client.offered()
                await self._send({"type": "http.response.body", "body": block, "more_body": more})
                client.taken()
                self.record.sent += len(block)
                if more:  # a fast client's socket is never full, and the other requests want their turn
                    await asyncio.sleep(0)

    async def fail(self, error: Exception) -> None:
        """Says what went wrong: to the operator, and to the client, where it is there and can be told."""
        log_failure(self.record, error)
        self.record.failure = failure_of(error, answering=self._answering)
        traceback = None
        if self._shared.on_failure is not None:
            traceback = self._shared.on_failure(error)
        else:
            forget(error)
        if isinstance(error, ClientDisconnected):
            return
        if self._answering:
            self._cut()
        else:
            after_body = self._shared.settings.refuse_after_body
            told = error if isinstance(error, RequestError) else ModelError()
            await self._refuse(told, self._body, after_body, traceback)

    async def end_by_drain(self) -> None:
        """End with the server's drain: the last chance to say so."""
        self.record.log.warning("the drain is over")
        if not self._answering:
            self.record.failure = "draining"
            await self._refuse(Unavailable(SHUTTING_DOWN), None)
        elif self.record.status != 200:
            self.record.failure = ResponseCut.kind
            self._cut()

    def abandon(self) -> None:
        """Somebody cancels the request: what has begun must not look whole."""
        self.record.log.info("cancelled")
        self.record.failure = self.record.failure or "cancelled"
        if self._answering and self.record.status != 200:
            extension = self._scope.get("extensions", {}).get(ABORT)
            if extension is not None:
                extension["abort"]()

    async def _refuse(
        self, error: RequestError, body: Body | None, after_body: bool = False, traceback: str | None = None
    ) -> None:
        self.record.status = error.status
        problem = Problem.of(
            error,
            self.record.request_id,
            traceparent=self.record.trace.traceparent,
            timing=self.record.server_timing,
            after_body=after_body,
            traceback=traceback,
        )
        await problem.send(self._send, body, self._scope)

    def _cut(self) -> None:
        """Has the server cut the connection: an answer that has begun cannot be taken back."""
        extension = self._scope.get("extensions", {}).get(ABORT)
        if extension is None:  # any server closes the connection then, and logs a traceback
            raise ResponseCut from None
        extension["abort"]()
