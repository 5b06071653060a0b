"""What may be tried again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import tenacity

from inference_gateway.errors import BrokenAnswer, GatewayUnreachable, Overloaded, ProblemAnswer

# A gateway's or proxy's connection to what is behind it was lost: the model may have run.
_LOST_BEHIND = (502, 504)


class _Options(TypedDict):
    retry: tenacity.retry_if_exception
    wait: tenacity.wait.WaitBaseT
    stop: tenacity.stop.StopBaseT
    reraise: bool


@dataclass(frozen=True)
class RetryPolicy:
    """Tries a call again where the model cannot have run: the connection was not made, or 503.

    `attempts`: calls in all; 1 never tries again. Between them it waits for the gateway's `Retry-After`, and
    on top of it a random time that grows from `backoff` seconds on, so that many clients do not come back at
    once. `longest_wait`: seconds; where the gateway asks for more, the error is raised at once.

    `rerun`: tries again also where the model may have run: a lost connection, a read timeout, a broken
    answer, 502 and 504. Ask for it where running the model twice does no harm.
    """

    attempts: int = 3
    backoff: float = 0.5
    longest_wait: float = 60.0
    rerun: bool = False

    def allows(self, error: BaseException) -> bool:
        """Whether a call that ended with this error may be tried again."""
        match error:
            case Overloaded():
                return (error.retry_after or 0) <= self.longest_wait
            case GatewayUnreachable():
                return self.rerun or not error.sent
            case ProblemAnswer():
                return self.rerun and error.status in _LOST_BEHIND
            case BrokenAnswer():
                return self.rerun
        return False

    def _wait(self, state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        asked = error.retry_after if isinstance(error, Overloaded) else None
        spread = tenacity.wait_random_exponential(self.backoff, max=self.longest_wait)(state)
        return (asked or 0) + spread

    def options(self) -> _Options:
        """For `tenacity.Retrying` and `tenacity.AsyncRetrying`."""
        return {
            "retry": tenacity.retry_if_exception(self.allows),
            "wait": self._wait,
            "stop": tenacity.stop_after_attempt(self.attempts),
            "reraise": True,
        }
