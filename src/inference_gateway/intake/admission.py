"""Who may come in: upload slots of the process and places in a route's queue.

Asked when a request's header is in, before a byte of its body is read. Probes never ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from inference_gateway.errors import Unavailable


@dataclass
class Uploads:
    """Bodies being received at once, all routes together."""

    limit: int
    count: int = 0


@dataclass
class Queue:
    """Requests of one route that are admitted but not yet in their model slot; uploading ones count."""

    limit: int
    count: int = 0
    lock: Lock = field(default_factory=Lock)


@dataclass
class Ticket:
    """One request's admission: an upload slot and a place in the queue, each given back once.

    Use as a context manager: its end gives back what is still held. Raises `Unavailable` on entering where
    all slots or places are taken.
    """

    uploads: Uploads
    queue: Queue
    _uploading: bool = field(default=False, init=False)
    _queued: bool = field(default=False, init=False)

    def __enter__(self) -> Ticket:
        if self.uploads.count >= self.uploads.limit:
            raise Unavailable("too many uploads at once: try again later", kind="uploads_full")
        with self.queue.lock:
            if self.queue.count >= self.queue.limit:
                raise Unavailable("the queue of this model is full: try again later", kind="queue_full")
            self.queue.count += 1
        self.uploads.count += 1
        self._queued = self._uploading = True
        return self

    def uploaded(self) -> None:
        """Give the upload slot back: the body is complete, or given up."""
        if self._uploading:
            self._uploading = False
            self.uploads.count -= 1

    def in_slot(self) -> None:
        """Give the place in the queue back: the request has its model slot. For any thread."""
        with self.queue.lock:
            if self._queued:
                self._queued = False
                self.queue.count -= 1

    def __exit__(self, *exc_info: object) -> None:
        self.uploaded()
        if self._queued:
            self.in_slot()
