"""The gateway's life: what is set for the process, the models' set-up and their end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from inference_gateway.app.forks import keep_from_children
from inference_gateway.app.process import (
    exempt_from_collection,
    keep_freed_memory,
    share_the_lock,
    teach_pydicom,
)
from inference_gateway.app.readiness import Readiness
from inference_gateway.audit.auditor import Auditor
from inference_gateway.errors import SetupFailed
from inference_gateway.execution.runner import Runner
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.uvicorn_inside import probe
from inference_gateway.payload.spool import check_directory
from inference_gateway.settings import Settings
from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.stacks import report_crashes
from inference_gateway.telemetry.tracing import Tracing

_MOMENT = 0.5  # seconds; shorter than a probe's patience
_FLUSH_SECONDS = 2.0  # for the last spans to be sent
_NO_LIFESPAN = (
    "the gateway was not started before its first message: its server has the lifespan off or knows none, or "
    "the application that it is mounted in does not pass it on. The models are set up now, and will not be "
    "torn down. Run the server with --lifespan on; the lifespan of an application around the gateway has to "
    "enter gateway.router.lifespan_context(gateway)"
)


class Life:
    """Sets up and tears down the models. `lifespan`: the application's own, which goes around that.

    `runners`: of all models; the list may grow until the life begins.
    """

    def __init__(
        self,
        settings: Settings,
        runners: Sequence[Runner],
        readiness: Readiness,
        api_keys: ApiKeys | None,
        tracing: Tracing | None,
        auditor: Auditor | None,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None,
    ) -> None:
        self.begun = False
        self._settings = settings
        self._readiness = readiness
        self._api_keys = api_keys
        self._tracing = tracing
        self._auditor = auditor
        self._lifespan = lifespan
        self._runners = runners
        self._stack = AsyncExitStack()  # what would end, where nobody tells the gateway to
        self._alone_task: asyncio.Task[None] | None = None
        self._setting_up: list[asyncio.Task[None]] = []
        self._watching: list[asyncio.Task[None]] = []  # those that may be lost

    @asynccontextmanager
    async def lived(self) -> AsyncIterator[Any]:
        """Live the whole of it, as a server with lifespan has it; give the state of the application's own."""
        async with AsyncExitStack() as stack:
            yield await self._begin(stack)

    async def begin_alone(self) -> None:
        """Begins without a lifespan, at the first message, and says once what is missing.

        Waits a moment for the end of the set-up, so that one that takes no time costs nobody a second try.
        """
        logger.warning(_NO_LIFESPAN)
        self.begun = True
        waits = any(each is not None for each in (self._api_keys, self._auditor, self._lifespan))
        self._readiness.wait_for(runner.route for runner in self._runners if waits or runner.needs_set_up)
        self._alone_task = asyncio.create_task(self._alone())
        await asyncio.wait([self._alone_task], timeout=_MOMENT)

    async def _alone(self) -> None:
        try:
            await self._begin(self._stack)
            await asyncio.gather(*self._setting_up)
        except Exception as error:
            logger.error("%s", error, exc_info=None if isinstance(error, SetupFailed) else error)
            self._readiness.fail(runner.route for runner in self._runners)

    async def _begin(self, stack: AsyncExitStack) -> Any:
        self.begun = True
        share_the_lock()
        keep_freed_memory()
        report_crashes()
        await asyncio.to_thread(teach_pydicom)
        exempt_from_collection()
        stack.callback(gc.unfreeze)
        keep_from_children()
        probe()
        await asyncio.to_thread(check_directory, self._settings.spool_dir)
        if self._tracing is not None:
            await self._start_tracing(self._tracing, stack)
        if self._api_keys is not None:
            await asyncio.to_thread(self._api_keys.load)
            stack.callback(asyncio.create_task(self._api_keys.keep_fresh()).cancel)
        if self._auditor is not None:
            await asyncio.to_thread(self._auditor.begin)
            stack.push_async_callback(asyncio.to_thread, self._auditor.end)
        state = None
        if self._lifespan is not None:
            state = await stack.enter_async_context(self._lifespan())
        stack.push_async_callback(self._tear_down_all)
        for runner in self._runners:
            if runner.needs_set_up:
                self._readiness.wait_for([runner.route])
                self._setting_up.append(asyncio.create_task(self._set_up(runner)))
            else:
                self._readiness.set_up(runner.route)
        self._say_when_ready()
        stack.callback(self._readiness.drain)
        return state

    async def _start_tracing(self, tracing: Tracing, stack: AsyncExitStack) -> None:
        try:
            await asyncio.to_thread(tracing.start)
        except (ModuleNotFoundError, ValueError) as error:
            raise SetupFailed(f"GATEWAY_TRACING: {error}") from None

        async def end() -> None:
            """After the models: what is left of the drain's time may be less."""
            left = self._readiness.seconds_to_tear_down
            await tracing.end(_FLUSH_SECONDS if left is None else max(0.0, min(left, _FLUSH_SECONDS)))

        stack.push_async_callback(end)

    def _say_when_ready(self) -> None:
        if self._runners and self._readiness.is_set_up:
            routes = ", ".join(runner.route for runner in self._runners)
            logger.info("the models are set up: POST to %s", routes)

    async def _set_up(self, runner: Runner) -> None:
        try:
            await runner.set_up()
        except SetupFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
            self._readiness.fail([runner.route], error)
        else:
            await asyncio.to_thread(exempt_from_collection)
            self._readiness.set_up(runner.route)
            self._say_when_ready()
            self._watching.append(asyncio.create_task(self._watch(runner)))

    async def _watch(self, runner: Runner) -> None:
        logger.error("%s", await runner.lost())
        self._readiness.fail([runner.route])

    async def _tear_down_all(self) -> None:
        """All at once, in what is left of the drain's time."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*map(self._tear_down, self._runners))

    async def _tear_down(self, runner: Runner) -> None:
        if runner.readiness.orphaned:  # after the drain: it will not come back; a turn that is ending will
            logger.warning("model %s is still busy: ended without its teardown", runner.name)
            runner.close()
            return
        try:
            async with asyncio.timeout(self._readiness.seconds_to_tear_down):
                await runner.tear_down()
        except TimeoutError:
            logger.warning("teardown of model %s took too long", runner.name)
        except Exception:
            logger.exception("teardown of model %s failed", runner.name)
