"""The audit of a gateway that serves: a record of each request, whatever becomes of the places it goes to."""

import errno
import http.client
import json
import os
import re
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from inference_gateway import Gateway, ModelInfo, Refused, Settings
from inference_gateway.audit import auditor as module
from inference_gateway.audit import store
from inference_gateway.audit.auditor import Auditor
from inference_gateway.errors import SetupFailed
from inference_gateway.serving.server import make_server
from inference_gateway.telemetry.record import Record
from tests.audit.buckets import free_port
from tests.audit.writing import files, read, records
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import Address, exchange, head, request
from tests.harness.serving import TYPE, check_ok
from tests.harness.waiting import until
from tests.harness.wire import check_problem, decoded, digest, message, part

LIMIT = 20.0


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    if json_input == "refuse":
        raise Refused("no lungs here")
    if json_input == "fail":
        raise ValueError("SECRET")
    return {"parts": [{"binary_type": "heatmap"}]}, [b"\x01\x02"]


def gateway(spool_dir: Path, **settings: Any) -> Gateway:
    app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
    app.add_inference_route("/lungs", model, model_info=ModelInfo("Lungs", "1.2", "0" * 64))
    return app


def ask(address: Address, asked: Any, *inputs: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Any:
    body = message(part(json.dumps(asked).encode()), *map(part, inputs))
    return exchange(address, request((*TYPE, *headers), body, target=b"/lungs"))


def metric(address: Address, name: str, **labels: str) -> float:
    answer = check_ok(
        exchange(address, head(((b"Connection", b"close"),), method=b"GET", target=b"/metrics"))
    )
    wanted = "".join(f'{key}="{value}"' for key, value in labels.items())
    wanted = f"\\{{{wanted}\\}}" if wanted else ""
    found = re.search(rf"^{name}{wanted} (\S+)$", answer.body.decode(), re.MULTILINE)
    assert found, answer.body.decode()
    return float(found[1])


def health(address: Address) -> int:
    answer = exchange(address, head(((b"Connection", b"close"),), method=b"GET", target=b"/healthcheck"))
    assert answer is not None
    return answer.status


@pytest.mark.setting("AUDIT_DIR")
def test_a_record_for_each_request(serve: Serve, spool_dir: Path, tmp_path: Path) -> None:
    app = gateway(spool_dir, audit_dir=tmp_path / "audit", api_keys=SecretStr("SECRET-1"))
    running = serve(app)
    key = (b"X-API-Key", b"SECRET-1")
    answer = check_ok(ask(running.address, {"k": 1}, b"SECRET", b"\0", headers=[key]))
    check_problem(ask(running.address, "refuse", headers=[key]), 422)
    check_problem(ask(running.address, "fail", headers=[key]), 500)
    check_problem(ask(running.address, 1), 401)
    until(lambda: len(records(tmp_path / "audit")) == 4)
    found = records(tmp_path / "audit")
    assert [told["outcome"] for told in found] == ["answered", "refused by model", "failed", "refused"]
    assert [told["status"] for told in found] == [200, 422, 500, 401]
    told = found[0]
    input_hash, _, output_hash = decoded(answer)[-1][2].decode().partition(":")
    assert (told["input_hash"], told["output_hash"]) == (input_hash, output_hash)
    assert told["request_id"] == answer.header("x-request-id")
    assert (told["route"], told["parts"], told["elements"]) == ("/lungs", 3, 1)
    assert told["model"] == {"name": "Lungs", "version": "1.2", "digest": "0" * 64}
    assert told["sent_bytes"] == len(answer.body)
    key_digest = digest(b"SECRET-1")[:12]
    assert [told["caller"]["key"] for told in found] == [key_digest] * 3 + [None]
    assert "SECRET" not in files(tmp_path / "audit")[0].read_text()


def test_nothing_is_there_where_it_is_off(spool_dir: Path) -> None:
    assert Auditor.of(gateway(spool_dir).settings) is None


def test_the_subject_of_the_client_certificate(serve: Serve, spool_dir: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    server, client = (
        authority.issue_cert("127.0.0.1"),
        authority.issue_cert("pacs@hospital", common_name="a,b"),
    )
    names = {}
    for name, pem in (
        ("ca", authority.cert_pem),
        ("server", server.private_key_and_cert_chain_pem),
        ("client", client.private_key_and_cert_chain_pem),
    ):
        pem.write_to_path(str(tmp_path / name))
        names[name] = str(tmp_path / name)
    app = gateway(spool_dir, audit_dir=tmp_path / "audit")
    tls: dict[str, Any] = {
        "ssl_certfile": names["server"],
        "ssl_ca_certs": names["ca"],
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
    running = serve(app, make_server(app, port=0, **tls))
    context = ssl.create_default_context(cafile=names["ca"])
    context.load_cert_chain(names["client"])
    host, port = running.address
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=LIMIT)
    headers = {name.decode(): value.decode() for name, value in TYPE}
    connection.request("POST", "/lungs", message(part(b"1")), headers)
    assert connection.getresponse().status == 200
    connection.close()
    until(lambda: bool(records(tmp_path / "audit")))
    [told] = records(tmp_path / "audit")
    assert told["caller"]["certificate"].startswith("CN=a\\,b,OU=")


# A disk that does not take it


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """`full(True)`: from now on no audit file takes a byte; the spool's disk is another one."""
    state = [False]
    real = os.write

    def write(descriptor: int, data: Any) -> int:
        if state[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)

    def fill(is_full: bool) -> None:
        state[0] = is_full

    return fill


@pytest.mark.setting("AUDIT_REQUIRED")
@pytest.mark.parametrize("required", [True, False])
def test_a_full_disk_fails_no_answer(
    serve: Serve,
    spool_dir: Path,
    tmp_path: Path,
    full: Callable[[bool], None],
    log: LogCapture,
    required: bool,
) -> None:
    running = serve(gateway(spool_dir, audit_dir=tmp_path / "audit", audit_required=required))
    full(True)
    for _ in range(3):
        check_ok(ask(running.address, 1))
    until(lambda: "the audit log cannot be written (No space left on device)" in log.text)
    assert metric(running.address, "gateway_audit_failing", sink="file") == 1
    until(lambda: metric(running.address, "gateway_audit_waiting", sink="file") == 3)
    assert health(running.address) == (503 if required else 200)
    check_ok(ask(running.address, 1))
    full(False)
    until(lambda: len(records(tmp_path / "audit")) == 4)
    until(lambda: health(running.address) == 200)
    until(lambda: metric(running.address, "gateway_audit_records_total", sink="file") == 4)
    assert "is written again; 0 records are lost" in log.text


def test_a_disk_that_hangs_delays_no_answer(
    serve: Serve, spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it does not take a sync, answers go on; what has no room is counted, and a line says so."""
    go, hangs = threading.Event(), threading.Event()
    running = serve(gateway(spool_dir, audit_dir=tmp_path / "audit"))
    real = os.fsync

    def sync(descriptor: int) -> None:
        hangs.set()
        assert go.wait(LIMIT)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    check_ok(ask(running.address, 1))
    assert hangs.wait(LIMIT)
    for _ in range(5):
        check_ok(ask(running.address, 1))
    go.set()
    until(lambda: any(told["event"] == "lost" for told in read(tmp_path / "audit")))
    found = read(tmp_path / "audit")
    assert [told["records"] for told in found if told["event"] == "lost"] == [2]
    assert len(records(tmp_path / "audit")) == 4
    assert metric(running.address, "gateway_audit_lost_total", sink="file") == 2


def test_a_mistake_costs_the_records_of_a_moment(
    serve: Serve, spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: LogCapture
) -> None:
    running = serve(gateway(spool_dir, audit_dir=tmp_path / "audit"))
    monkeypatch.setattr(module, "entry_of", lambda *_: 1 / 0)
    check_ok(ask(running.address, 1))
    until(lambda: "the audit log could not take some records" in log.text)
    monkeypatch.undo()
    check_ok(ask(running.address, 1))
    until(lambda: len(records(tmp_path / "audit")) == 1)


@pytest.mark.setting("AUDIT_OUTBOX_DIR", "AUDIT_OUTBOX_BYTES")
def test_what_has_no_room_in_the_outbox_is_counted(
    serve: Serve, spool_dir: Path, tmp_path: Path, credentials: None, log: LogCapture
) -> None:
    app = gateway(
        spool_dir,
        audit_s3_bucket="bucket",
        audit_s3_endpoint=f"http://127.0.0.1:{free_port()}",
        audit_outbox_dir=tmp_path / "outbox",
        audit_outbox_bytes=2000,
        audit_required=True,
    )
    running = serve(app)
    for _ in range(4):
        check_ok(ask(running.address, 1))
    until(lambda: metric(running.address, "gateway_audit_lost_total", sink="s3") == 2)
    until(lambda: 1000 < metric(running.address, "gateway_audit_outbox_bytes") <= 2000)
    until(lambda: metric(running.address, "gateway_audit_failing", sink="s3") == 1)
    assert metric(running.address, "gateway_audit_records_total", sink="s3") == 0
    assert log.text.count("the audit outbox is full") == 1
    assert health(running.address) == 503


def test_where_it_cannot_begin_nothing_does(spool_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for settings, match in (
        ({"audit_dir": tmp_path / "file"}, "GATEWAY_AUDIT_DIR cannot be written"),
        (
            {"audit_s3_bucket": "bucket", "audit_outbox_dir": tmp_path / "file" / "outbox"},
            "GATEWAY_AUDIT_OUTBOX_DIR cannot be written",
        ),
    ):
        auditor = Auditor.of(Settings(spool_dir=spool_dir, **settings))
        assert auditor is not None
        with pytest.raises(SetupFailed, match=match):
            auditor.begin()
    with pytest.raises(SetupFailed, match="needs a folder"):
        Auditor.of(Settings(spool_dir=spool_dir, audit_s3_bucket="bucket"))


def test_the_queue_has_a_bound(spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody takes anything from it, as before the gateway has begun."""
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    monkeypatch.setattr(store, "MOST_WAITING", 2)
    auditor = Auditor(Settings(spool_dir=spool_dir, audit_dir=tmp_path))

    class Told:
        info = ModelInfo("Lungs")

    auditor.add_route("/", Told)
    for number in range(5):
        auditor.request_ended(Record(str(number), "/"))
    auditor.begin()
    auditor.end()
    assert [told["request_id"] for told in records(tmp_path)] == ["0", "1"]
    assert [told["records"] for told in read(tmp_path) if told["event"] == "lost"] == [3]
