"""A thread that sends what lies in the outbox, and tries again, later and later, where that fails."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from inference_gateway.audit.bucket import AT_ONCE, Bucket, NotSent
from inference_gateway.audit.outbox import Outbox, objects_in
from inference_gateway.telemetry.logs import logger

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds between two attempts
_IDLE = 0.5  # seconds until it looks for more
_LOOK_AROUND = 5.0  # seconds until it looks for what other processes have left
_LAST_SECONDS = 2.0  # for what is left at the end, while it can be sent


class Sender:
    """Sends the objects of an outbox to a bucket. `sent`: how many; `failing`: the last try went wrong."""

    def __init__(self, outbox: Outbox, bucket: Bucket) -> None:
        self.sent = 0
        self.failing = False
        self._outbox = outbox
        self._bucket = bucket
        self._said = ""  # why it fails
        self._begun: tuple[Path, int] | None = None  # a file, and how many of its objects are sent
        self._ending = threading.Event()
        self._end = 0.0  # by time.monotonic()
        self._thread = threading.Thread(target=self._run, name="audit sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, as long as that goes well and takes no longer than a moment; blocks."""
        self._end = time.monotonic() + _LAST_SECONDS
        self._ending.set()
        self._thread.join(1.5 * _LAST_SECONDS)

    def _run(self) -> None:
        pause, looked = _FIRST_PAUSE, 0.0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit sender") as threads:
            while True:
                ending = self._ending.is_set()
                try:
                    self._send_all(self._outbox, threads)
                    if time.monotonic() > looked + _LOOK_AROUND and not ending:
                        self._send_what_is_left_behind(threads)
                        looked = time.monotonic()
                    self._note("")
                    pause = _FIRST_PAUSE
                except (NotSent, OSError) as error:
                    self._note(str(error) if isinstance(error, NotSent) else error.strerror or "OSError")
                    if not ending:
                        self._ending.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                        pause = min(2 * pause, _LONGEST_PAUSE)
                if ending:
                    break
                if not self.failing:
                    self._ending.wait(_IDLE)
        self._bucket.close()

    def _send_what_is_left_behind(self, threads: ThreadPoolExecutor) -> None:
        while (other := self._outbox.left_behind()) is not None:
            try:
                self._send_all(other, threads)
            finally:
                other.close()

    def _send_all(self, outbox: Outbox, threads: ThreadPoolExecutor) -> None:
        """Send every file. Raises `NotSent` and `OSError`, at the end also where the time is up."""
        while (path := outbox.oldest()) is not None:
            at = self._begun[1] if self._begun is not None and self._begun[0] == path else 0
            objects = objects_in(path)
            while at < len(objects):
                if self._ending.is_set() and time.monotonic() > self._end:
                    raise NotSent("the gateway ends")
                some = objects[at : at + AT_ONCE]
                for _ in threads.map(lambda each: self._bucket.put(*each), some):
                    self.sent += 1
                at += len(some)
                self._begun = path, at
            outbox.sent(path)

    def _note(self, reason: str) -> None:
        """Say it once, where sending begins to fail, fails for another reason, and goes well again."""
        self.failing = bool(reason)
        if reason != self._said:
            if reason:
                logger.error(
                    "audit records cannot be sent to the bucket (%s): they wait in the outbox", reason
                )
            else:
                logger.warning("audit records are sent to the bucket again")
        self._said = reason
