"""The gateway, in process: no socket, and all else as behind `inference-gateway serve`.

A request is encoded, goes through the very application that is served, and its answer is decoded by the
client: what is wrong with either is wrong here too. Only what a model raises is not hidden from its author.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from inference_gateway.app.gateway import Gateway
from inference_gateway.errors import InvalidModelOutput, ModelFailed, UnusableModel
from inference_gateway.extras import extra
from inference_gateway.results.mode import Mode
from inference_gateway.settings import Settings
from inference_gateway.telemetry.stacks import of_the_author

with extra("author", needs="inference_gateway.testing"):
    import httpx

    from inference_gateway.client import AsyncInferenceClient, InferenceResult, RetryPolicy

if TYPE_CHECKING:
    from inference_gateway.client import Input

_LOOK = 0.005  # seconds between two looks whether a model is set up


class RunModel(Protocol):
    """`run_model`, as the function and the fixture of pytest."""

    def __call__(
        self, model: Any, /, *inputs: Input, json_input: Any = None, **options: Any
    ) -> InferenceResult:
        """Return what a client would get."""
        ...


class _Infer(Protocol):
    def __call__(self, *inputs: Input, json_input: Any = None) -> InferenceResult: ...


def run_model(
    model: Any, /, *inputs: Input, json_input: Any = None, validate: Mode = "strict", **options: Any
) -> InferenceResult:
    """Set a model up, call it with a study as the gateway would, tear it down, and return what a client gets.

    `model`: what `inference-gateway serve` takes, a callback or a class. `inputs`: folders, files, bytes,
    pydicom data sets, as of `InferenceClient.infer`. `json_input`: the request's JSON, {} by default.
    `validate`: what is done about faults of the answer (docs/answers.md); they are errors here. `options`:
    more of `Gateway.add_inference_route`. Limits are those of the environment.

    Raises what the model raises, `Refused` too; `InvalidModelOutput`, which says why, for an answer that no
    client gets; `RequestError` where the gateway would refuse the request; `UnusableModel` for what cannot be
    called as a model.
    """
    __tracebackhide__ = True
    with set_up(model, validate=validate, **options) as infer:
        return infer(*inputs, json_input=json_input)


@contextmanager
def set_up(model: Any, /, *, validate: Mode = "strict", **options: Any) -> Iterator[_Infer]:
    """Set a model up, and tear it down at the end: gives `infer(*inputs, json_input=...)` for many calls.

    Raises what the model's `setup` raises; the rest is as of `run_model`.
    """
    if isinstance(model, Gateway):
        raise UnusableModel("this is an application: give the model itself, and the options of its route")
    gateway = Gateway(settings=Settings(api_keys=None, api_keys_file=None))
    gateway.add_inference_route("/", model, validate=validate, **options)
    failures = _Failures()
    gateway.on_failure(failures.take)
    with _alive(gateway) as loop:

        def infer(*inputs: Input, json_input: Any = None) -> InferenceResult:
            __tracebackhide__ = True
            asked = _infer(gateway, {} if json_input is None else json_input, inputs)
            failures.error = None
            try:
                return asyncio.run_coroutine_threadsafe(asked, loop).result()
            except Exception:
                if failures.error is None:
                    raise
            raise failures.taken()

        yield infer


async def _infer(gateway: Gateway, json_input: Any, inputs: tuple[Input, ...]) -> InferenceResult:
    async with AsyncInferenceClient(
        "http://in-process", transport=httpx.ASGITransport(gateway), retry=RetryPolicy(attempts=1)
    ) as client:
        return await client.infer(json_input, inputs)


class _Failures:
    """What the last request failed of, as its author wants to see it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def take(self, error: Exception) -> None:
        """Keep an error of the gateway, or what the model raised."""
        if isinstance(error, InvalidModelOutput):
            error.args = (error.reason,)  # the client's sentence says where the reason is: here
        self.error = error.__cause__ or error if isinstance(error, ModelFailed) else error

    def taken(self) -> BaseException:
        """Return it, and keep it no longer."""
        assert self.error is not None
        error, self.error = self.error, None
        return of_the_author(error)


@contextmanager
def _alive(gateway: Gateway) -> Iterator[asyncio.AbstractEventLoop]:
    """Let a gateway live, on an event loop of its own. Raises what its model's set-up raises."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=_run, args=(gateway, ready), name="gateway", daemon=True)
    thread.start()
    loop, stop = ready.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _run(gateway: Gateway, ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    try:
        asyncio.run(_live(gateway, ready))
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


async def _live(gateway: Gateway, ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    stop = asyncio.Event()
    async with gateway.router.lifespan_context(gateway):
        while not gateway.is_set_up:
            if gateway.setup_error is not None:
                raise gateway.setup_error.__cause__ or gateway.setup_error
            await asyncio.sleep(_LOOK)
        ready.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
