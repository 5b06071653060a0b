"""Whether requests are taken, and if not, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from inference_gateway.errors import SetupFailed
from inference_gateway.execution.runner import Runner
from inference_gateway.settings import Settings

SHUTTING_DOWN = "the gateway is shutting down: send this to another instance"
_BEING_SET_UP = "the model is being set up: try again later"
_NOT_SET_UP = "the model could not be set up: its operator finds the reason in the log"
_STUCK = "a model does not come back"
_TEAR_DOWN_SECONDS = 1.0  # that the models' ends may take longer than the drain


class Readiness:
    """The one truth about set-up, drain and stuck models, for endpoints, probes and the supervisor.

    `runners`: of all models; the list may grow. `setup_failed` is set when the gateway will never be ready.
    """

    def __init__(self, settings: Settings, runners: Sequence[Runner]) -> None:
        self.setup_failed = asyncio.Event()
        self.setup_error: SetupFailed | None = None
        self.draining = False
        self.audit: Callable[[], str | None] = lambda: (
            None
        )  # why no audit log can be written, where that counts
        self._drain_timeout = settings.drain_timeout
        self._unready_after = settings.orphaned_unready_after
        self._unhealthy_after = settings.orphaned_unhealthy_after
        self._drain_end: float | None = None  # by time.monotonic()
        self._runners = runners
        self._refusals: dict[str, str] = {}  # route → why it takes no request

    def wait_for(self, routes: Iterable[str]) -> None:
        """Note that these routes take no request before their set-up is over."""
        self._refusals.update(dict.fromkeys(routes, _BEING_SET_UP))

    def set_up(self, route: str) -> None:
        """Note that the model of `route` may be called."""
        self._refusals.pop(route, None)

    def fail(self, routes: Iterable[str], error: SetupFailed | None = None) -> None:
        """Note that these routes will never take a request, for this reason."""
        self.setup_error = self.setup_error or error
        self._refusals.update(dict.fromkeys(routes, _NOT_SET_UP))
        self.setup_failed.set()

    def drain(self) -> None:
        """No new requests from now on; those in flight go on."""
        if not self.draining and self._drain_timeout is not None:
            self._drain_end = time.monotonic() + self._drain_timeout + _TEAR_DOWN_SECONDS
        self.draining = True

    @property
    def seconds_to_tear_down(self) -> float | None:
        """What is left of the drain's time; None where it has no end."""
        return None if self._drain_end is None else self._drain_end - time.monotonic()

    @property
    def is_set_up(self) -> bool:
        """Whether all models may be called."""
        return not self.draining and not self._refusals

    def refusal(self, route: str) -> str | None:
        """Why a request to `route` is refused now, for its sender."""
        return SHUTTING_DOWN if self.draining else self._refusals.get(route)

    @property
    def unready(self) -> str | None:
        """Why `/healthcheck` says no, before its handler is asked."""
        if self.draining:
            return "shutting down"
        if self._refusals:
            return "a model is not set up"
        for runner in self._runners:
            load = runner.readiness
            if load.unready or load.unhealthy:
                return load.unready or load.unhealthy
        return self._stuck_for(self._unready_after) or self.audit()

    @property
    def unhealthy(self) -> str | None:
        """Why `/ping` says no: the process should be started anew."""
        if self.setup_failed.is_set():
            return "a model could not be set up"
        for runner in self._runners:
            if (reason := runner.readiness.unhealthy) is not None:
                return reason
        return self._stuck_for(self._unhealthy_after)

    def _stuck_for(self, limit: float | None) -> str | None:
        """Says so where no call of some route has come back for so long, although nobody waits for them."""
        if limit is None or all(runner.readiness.stuck_for <= limit for runner in self._runners):
            return None
        return _STUCK
