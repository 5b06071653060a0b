"""What lies in the outbox comes into a real bucket: once each, later where it has to, whatever fails."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_gateway.audit import sender as module
from inference_gateway.audit.bucket import AT_ONCE, NotSent
from inference_gateway.audit.bucket import Bucket as Sink
from inference_gateway.audit.outbox import Outbox
from inference_gateway.audit.sender import Sender
from tests.audit.buckets import Bucket, free_port
from tests.harness.log import LogCapture
from tests.harness.waiting import until

OBJECTS = [(f"{number:064x}:{number + 1:064x}", f'{{"number":{number}}}') for number in range(20)]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox", 1 << 20)
    made.open()
    yield made
    made.close()


def sink(bucket: Bucket, vendor: str = "Us") -> Sink:
    return Sink(bucket.name, vendor, bucket.endpoint)


def test_an_object_has_its_name_its_tag_and_its_content(bucket: Bucket) -> None:
    name, content = OBJECTS[0]
    to = sink(bucket, "Ours + Sons: a/b@c=d")
    to.put(name, content.encode())
    to.close()
    assert bucket.names() == [name]
    assert bucket.content(name) == content.encode()
    assert bucket.tags(name) == {"Vendor": "Ours + Sons: a/b@c=d"}


def test_why_it_is_not_taken_is_one_word(bucket: Bucket) -> None:
    to = Sink("no-such-bucket", "Us", bucket.endpoint)
    with pytest.raises(NotSent, match=r"^NoSuchBucket$"):
        to.put(OBJECTS[0][0], b"{}")
    to.close()
    nowhere = Sink(bucket.name, "Us", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotSent, match=r"^EndpointConnectionError$"):
        nowhere.put(OBJECTS[0][0], b"{}")
    nowhere.close()


def test_an_endpoint_that_is_none(credentials: None) -> None:
    with pytest.raises(NotSent, match=r"^ValueError$"):
        Sink("bucket", "Us", "not a URL")


def test_all_of_it_is_sent_and_gone(outbox: Outbox, bucket: Bucket) -> None:
    outbox.add(OBJECTS[:10])
    sender = Sender(outbox, sink(bucket))
    sender.start()
    until(lambda: sender.sent == 10)
    outbox.add(OBJECTS[10:])
    sender.stop()
    assert sorted(bucket.names()) == sorted(name for name, _ in OBJECTS)
    assert all(bucket.content(name) == content.encode() for name, content in OBJECTS)
    assert outbox.bytes == 0


def test_what_another_process_has_left_is_sent_too(outbox: Outbox, bucket: Bucket, tmp_path: Path) -> None:
    other = Outbox(tmp_path / "outbox", 1 << 20)
    other.open()
    other.add(OBJECTS[:3])
    other.close()
    sender = Sender(outbox, sink(bucket))
    sender.start()
    until(lambda: len(bucket.names()) == 3)
    sender.stop()


class Moody:
    """A bucket that takes so many more, and then none."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.tried: list[str] = []
        self.taken: list[str] = []
        self._lock = threading.Lock()

    def put(self, name: str, content: bytes) -> None:
        with self._lock:
            self.tried.append(name)
            if not self.takes:
                raise NotSent("SlowDown")
            self.takes -= 1
            self.taken.append(name)

    def close(self) -> None:
        pass


def test_it_is_tried_again_later_and_later(
    outbox: Outbox, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    outbox.add(OBJECTS)
    moody = Moody(AT_ONCE)
    sender = Sender(outbox, moody)  # type: ignore[arg-type]
    sender.start()
    until(lambda: len(moody.tried) > 3 * AT_ONCE)
    assert sender.failing
    assert log.text.count("audit records cannot be sent to the bucket (SlowDown)") == 1
    moody.takes = 1000
    until(lambda: not sender.failing)
    sender.stop()
    assert set(moody.taken) == {name for name, _ in OBJECTS}
    before = moody.taken[:AT_ONCE]
    assert all(moody.taken.count(name) == 1 for name in before)  # they are not sent again
    assert log.text.count("sent to the bucket again") == 1


def test_what_is_left_at_the_end_stays(outbox: Outbox) -> None:
    outbox.add(OBJECTS)
    sender = Sender(outbox, Moody(0))  # type: ignore[arg-type]
    sender.start()
    sender.stop()
    path = outbox.oldest()
    assert path is not None
    assert path.stat().st_size == outbox.bytes
