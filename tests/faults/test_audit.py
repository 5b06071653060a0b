"""The audit of real servers through what goes wrong: a bucket that is down, restarts, changed files."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.audit.buckets import CREDENTIALS, Bucket, free_port, service
from tests.audit.writing import files, lines, records
from tests.harness.process import Process, serve_command
from tests.harness.raw import Address, exchange, request
from tests.harness.serving import TYPE, check_ok
from tests.harness.waiting import until
from tests.harness.wire import decoded, message, part

pytestmark = pytest.mark.slow

MODEL = """
from inference_gateway import ModelInfo

def model(json_input, inputs, input_hash):
    return {"number": json_input}

model.model_info = ModelInfo("Lungs", "1.2", weights="model.py")
"""


def ready(process: Process, workers: int = 1) -> Address:
    process.wait_log(lambda: process.log.count("the models are set up") == workers, "all are set up")
    return process.address


def ask(address: Address, numbers: Sequence[int]) -> list[str]:
    """`input_hash:output_hash` of each answer."""
    found = []
    for number in numbers:
        answer = check_ok(exchange(address, request(TYPE, message(part(str(number).encode())))))
        assert answer.header("x-model-name") == "Lungs"
        found.append(decoded(answer)[-1][2].decode())
    return found


def verified(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "inference_gateway.cli", "audit", "verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.setting("AUDIT_S3_BUCKET", "AUDIT_S3_VENDOR", "AUDIT_S3_ENDPOINT", "AUDIT_DIR")
def test_one_object_for_each_inference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket is down for the first ten; then the gateway is restarted, with two workers."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "model.py").write_text(MODEL)
    port = free_port()
    bucket = Bucket(port)
    settings = {
        "audit_dir": tmp_path / "audit",
        "audit_s3_bucket": bucket.name,
        "audit_s3_vendor": "Our Company",
        "audit_s3_endpoint": bucket.endpoint,
    }
    first = Process(tmp_path, serve_command("model:model"), **settings)
    try:
        told = ask(ready(first), range(10))
        first.wait_line("audit records cannot be sent to the bucket")
    finally:
        first.end()
    with service(port):
        bucket.make()
        second = Process(tmp_path, serve_command("model:model", "--workers", "2"), **settings)
        try:
            told += ask(ready(second, workers=2), range(10, 20))
            until(lambda: len(bucket.names()) == 20)
        finally:
            second.end()
        assert sorted(bucket.names()) == sorted(told)
        assert len(set(told)) == 20
        assert all(bucket.tags(name) == {"Vendor": "Our Company"} for name in told)
        content = json.loads(bucket.content(told[0]))
        assert ":".join((content["input_hash"], content["output_hash"])) == told[0]
        bucket.close()
    assert list((tmp_path / "audit" / "outbox").rglob("*.jsonl")) == []
    found = records(tmp_path / "audit")
    assert sorted(f"{each['input_hash']}:{each['output_hash']}" for each in found) == sorted(told)
    assert len({each["model"]["digest"] for each in found} - {None}) == 1
    code, output = verified(tmp_path / "audit")
    assert (code, "FAULT" in output) == (0, False), output
    check_changes_are_found(tmp_path / "audit")


def check_changes_are_found(folder: Path) -> None:
    path = files(folder)[0]
    whole = lines(path)
    at = len(whole) // 2
    path.write_bytes(
        b"".join([*whole[:at], whole[at].replace(b'"answered"', b'"refused"'), *whole[at + 1 :]])
    )
    code, output = verified(folder)
    assert (code, f"{path.name} line {at + 1} is not as it was written" in output) == (1, True), output
    path.write_bytes(b"".join([*whole[:at], *whole[at + 1 :]]))
    code, output = verified(folder)
    assert (code, f"{path.name} line {at + 1} follows number {at}" in output) == (1, True), output


@pytest.mark.setting("AUDIT_FILE_BYTES")
def test_a_gateway_that_is_killed_loses_what_is_younger_than_a_moment(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    told: list[str] = []

    def live(numbers: Sequence[int]) -> None:
        settings = {"audit_dir": tmp_path / "audit", "audit_file_bytes": 100}  # a file for each batch
        process = Process(tmp_path, serve_command("model:model"), **settings)
        try:
            told.extend(ask(ready(process), numbers))
            until(lambda: len(records(tmp_path / "audit")) == len(told))
        finally:
            process.close()  # by SIGKILL

    live(range(5))
    live(range(5, 8))
    assert len(files(tmp_path / "audit")) > 1
    code, output = verified(tmp_path / "audit")
    assert code == 0, output
    found = records(tmp_path / "audit")
    assert [f"{each['input_hash']}:{each['output_hash']}" for each in found] == told
