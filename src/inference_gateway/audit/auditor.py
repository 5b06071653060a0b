"""Takes what is known of each request that has ended, and hands it to a thread, which writes it down.

On the event loop it costs one entry in a queue. The thread gathers what comes within a moment, makes lines of
it, writes them with one `write` and one `fsync`, and puts what is for the bucket into the outbox, from which
another thread sends it. No answer waits for any of this, and none fails of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference_gateway.audit.entry import entry_of, event_of, object_of
from inference_gateway.audit.ledger import Ledger
from inference_gateway.audit.outbox import Outbox
from inference_gateway.audit.sender import Sender
from inference_gateway.audit.store import MOST_WAITING, NotWritten, Store
from inference_gateway.audit.times import now
from inference_gateway.errors import SetupFailed
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.settings import Settings
from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.record import Record

_GATHER_SECONDS = (
    0.1  # from a request's end to the write; what is not synced yet is no older, but for the disk
)
_END_SECONDS = 5.0  # for a disk, at the end
_LOOK_SECONDS = 1.0  # until it looks again whether a disk takes what waits


class Auditor:
    """An observer of requests' records that has them written down. Without `begin` they wait.

    `Auditor.of` a gateway's settings is None where they ask for no audit. Raises `SetupFailed` for settings
    that do not go together.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: deque[tuple[float, Record, ModelInfo]] = deque()
        self._models: dict[str, Any] = {}  # route → what has its `model_info`
        self._not_queued = 0  # since the queue was full
        self._told_lost = 0  # records of which a line says that they are lost
        self._waiting = threading.Event()  # records are
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._ledger: Ledger | None = None
        self.outbox: Outbox | None = None
        self.sender: Sender | None = None
        self.stores: dict[str, Store] = {}
        if settings.audit_dir is not None:
            self._ledger = Ledger(settings.audit_dir, settings.audit_file_bytes)
            self.stores["file"] = Store("the audit log", self._append)
        if settings.audit_s3_bucket is not None:
            self.outbox = Outbox(_outbox_dir(settings), settings.audit_outbox_bytes)
            self.stores["s3"] = Store("the audit outbox", self.outbox.add)

    @classmethod
    def of(cls, settings: Settings) -> Auditor | None:
        """Return the auditor of a gateway, None where the settings ask for none."""
        asked = settings.audit_dir is not None or settings.audit_s3_bucket is not None
        return cls(settings) if asked else None

    def add_route(self, route: str, model: Any) -> None:
        """Take the requests of `route`; `model.info`: what its model says it is, at any time."""
        self._models[route] = model

    # On the event loop

    def request_ended(self, record: Record, /) -> None:
        """Put the record into the queue."""
        if len(self._queue) >= MOST_WAITING:
            self._not_queued += 1
            return
        self._queue.append((now(), record, self._models[record.route].info))
        if not self._waiting.is_set():
            self._waiting.set()

    @property
    def unready(self) -> str | None:
        """Why the gateway takes no more requests, where the settings ask for that."""
        if not self._settings.audit_required:
            return None
        if any(store.failing for store in self.stores.values()) or (self.outbox and self.outbox.full):
            return "the audit log cannot be written"
        return None

    # Beside it

    def begin(self) -> None:
        """Open files and outbox, and start the threads; blocks. Raises `SetupFailed`."""
        try:
            if self._ledger is not None:
                self._ledger.open()
        except OSError as error:
            raise SetupFailed(f"GATEWAY_AUDIT_DIR cannot be written: {error.strerror}") from error
        if self.outbox is not None:
            self.sender = self._opened(self.outbox)
            self.sender.start()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def _opened(self, outbox: Outbox) -> Sender:
        from inference_gateway.audit.bucket import Bucket, NotSent

        settings = self._settings
        try:
            outbox.open()
            assert settings.audit_s3_bucket is not None
            bucket = Bucket(settings.audit_s3_bucket, settings.audit_s3_vendor, settings.audit_s3_endpoint)
        except OSError as error:
            raise SetupFailed(f"GATEWAY_AUDIT_OUTBOX_DIR cannot be written: {error.strerror}") from error
        except ModuleNotFoundError as error:
            raise SetupFailed(str(error)) from error
        except NotSent as error:
            raise SetupFailed(f"the bucket of GATEWAY_AUDIT_S3_BUCKET cannot be used: {error}") from error
        return Sender(outbox, bucket)

    def end(self) -> None:
        """Write what waits, send what can be sent in a moment, and end the threads; blocks."""
        self._ending.set()
        self._waiting.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)
            if self._thread.is_alive():
                logger.error("the disk of the audit log hangs: what it has not taken is lost")
                return
        if self.sender is not None:
            self.sender.stop()
        if self._ledger is not None:
            self._ledger.close()
        if self.outbox is not None:
            self.outbox.close()

    # On the thread

    def _run(self) -> None:
        while not self._ending.is_set():
            self._waiting.wait(
                _LOOK_SECONDS if any(store.waiting for store in self.stores.values()) else None
            )
            self._ending.wait(_GATHER_SECONDS)
            self._waiting.clear()
            self._write()
        self._write(at_once=True)
        for store in self.stores.values():
            if store.waiting:
                logger.error("%s: %d records are lost, the gateway ends", store.name, store.waiting)

    def _write(self, *, at_once: bool = False) -> None:
        try:
            taken = self._taken()
            entries = [entry_of(record, at, info) for at, record, info in taken]
            names = [object_of(record) for _, record, _ in taken]
            objects = [(name, entry) for name, entry in zip(names, entries, strict=True) if name is not None]
            lost, self._not_queued = self._not_queued, 0
            for name, records in (("file", entries), ("s3", objects)):
                if (store := self.stores.get(name)) is not None:
                    store.lost += lost
                    store.add(records)
                    store.push(at_once=at_once)
        except Exception:  # a mistake of this program: the records of one moment, not of all that come
            logger.exception("the audit log could not take some records")

    def _append(self, entries: Sequence[str]) -> None:
        """Write lines, and one that says how many records had no room. Raises `NotWritten`."""
        assert self._ledger is not None
        self._ledger.append(entries)
        lost = self.stores["file"].lost - self._told_lost
        if lost:
            try:
                self._ledger.append([event_of("lost", now(), records=lost)])
            except NotWritten as error:
                raise NotWritten(len(entries), error) from None
            self._told_lost += lost

    def _taken(self) -> list[tuple[float, Record, ModelInfo]]:
        return [self._queue.popleft() for _ in range(len(self._queue))]


def _outbox_dir(settings: Settings) -> Path:
    """Return the folder of the outbox. Raises `SetupFailed` where the settings name none."""
    if settings.audit_outbox_dir is not None:
        return settings.audit_outbox_dir
    if settings.audit_dir is None:
        raise SetupFailed(
            "GATEWAY_AUDIT_S3_BUCKET needs a folder for what is still to be sent: name it by "
            "GATEWAY_AUDIT_OUTBOX_DIR, or have an audit log, too, by GATEWAY_AUDIT_DIR"
        )
    return settings.audit_dir / "outbox"
