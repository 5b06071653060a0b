"""The command line of the check: what it prints, how it ends, and what it refuses."""

import json
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from pydantic import SecretStr

from inference_gateway import Gateway, Settings
from inference_gateway.check.run import CHECKS
from inference_gateway.cli import main
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.serving.server import make_server
from tests.check.faulty import complete, url_of
from tests.conftest import Serve
from tests.harness.old_gateway import mock_server, serving_old
from tests.moving.application import NEW_LINES, load, pydicom_2


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture
def url(serve: Serve, spool_dir: Path) -> str:
    app = Gateway(settings=Settings(spool_dir=spool_dir), binary_types={"mine": "application/x-mine"})
    app.add_inference_route("/", complete)
    app.add_inference_route("/wrong", lambda *request: ({"parts": [{"binary_type": "dicom"}]}, [b"none"]))
    app.add_inference_route("/mine", mine)
    return url_of(serve(app).address)


def mine(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Only for those that ask by name."""
    assert json_input == {"inference_command": "mine"}
    return {"protocol_version": "1.0", "parts": [{"binary_type": "mine"}]}, [b"mine"]


def test_help_teaches() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for word in (
        "inference-gateway check http://127.0.0.1:8000",
        "STUDY",
        "--old",
        "differs",
        "Exit code 0",
        "--json",
    ):
        assert word in result.output
    assert "check" in CliRunner().invoke(main, ["--help"]).output


def test_a_line_for_each_check(url: str) -> None:
    result = run(url)
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    assert [line.split()[:2] for line in lines] == [["pass", check.name] for check in CHECKS]
    assert last == f"{len(CHECKS)} checks: {len(CHECKS)} pass"


def test_a_failure_says_what_to_do(url: str) -> None:
    result = run(url, "--route", "/wrong")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("fail     dicom"))
    assert "no DICOM file" in lines[at]
    assert lines[at + 1].lstrip().startswith("→ send whole DICOM files")
    assert "2 fail" in lines[-1]  # and no protocol_version


def test_json(url: str) -> None:
    result = run(url, "--route", "/wrong", "--json")
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert (document["url"], document["old"], document["ok"]) == (url, False, False)
    assert document["counts"]["fail"] == 2
    assert [each["check"] for each in document["checks"]] == [check.name for check in CHECKS]
    failed = {each["check"]: each["advice"] for each in document["checks"] if each["verdict"] == "fail"}
    assert failed.keys() == {"dicom", "findings"}
    assert all(failed.values())


def test_a_study_and_a_request_of_ones_own(url: str, tmp_path: Path) -> None:
    write_phantom(tmp_path / "study", slices=2, rows=16, columns=16)
    (tmp_path / "study" / "notes").touch()
    arguments = [
        url,
        str(tmp_path / "study"),
        "--route",
        "/mine",
        "--request",
        '{"inference_command": "mine"}',
    ]
    result = run(*arguments, "--binary-type", "mine=application/x-mine", "-H", "X-Key: k")
    assert result.exit_code == 0, result.output
    assert "a study of 2 files was answered with 200" in result.output
    assert "left out of the study, as they are not DICOM: 1" in result.stderr
    unknown = run(*arguments)
    assert unknown.exit_code == 1
    assert "a binary_type that is not known" in unknown.output


def test_the_old_gateway() -> None:
    with pydicom_2(), serving_old(mock_server(load(NEW_LINES).HANDLERS["2d"])) as running:
        result = run(running.url, "--old", "--patience", "0.5")
    assert result.exit_code == 0, result.output
    assert "differs  boundary" in result.output
    assert "the old gateway does so" in result.output


def test_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = run(f"http://127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "ConnectionRefusedError" in result.stderr
    assert "Is the gateway running there?" in result.stderr
    assert result.stdout == ""


def test_keys(serve: Serve, spool_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment or a header, which goes first; a 401 says how."""
    app = Gateway(settings=Settings(spool_dir=spool_dir, api_keys=SecretStr("right")))
    app.add_inference_route("/", complete)
    url = url_of(serve(app).address)
    without = run(url)
    assert without.exit_code == 1
    assert "answered with 401: give a key in GATEWAY_API_KEY or by --header" in without.output
    monkeypatch.setenv("GATEWAY_API_KEY", "right")
    assert run(url).exit_code == 0
    assert run(url, "-H", "X-API-Key: wrong").exit_code == 1
    monkeypatch.setenv("GATEWAY_API_KEY", "two words")
    wrong = run(url)
    assert wrong.exit_code == 2
    assert "GATEWAY_API_KEY is no key" in wrong.output


def test_tls(serve: Serve, spool_dir: Path, tmp_path: Path) -> None:
    """With certificates of both sides, and plain HTTP where TLS is spoken."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, host in (("server", "127.0.0.1"), ("own", "me@example.org")):
        issued = authority.issue_cert(host)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", complete)
    options: dict[str, Any] = {"ssl_ca_certs": str(tmp_path / "ca.pem"), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    certificate = str(tmp_path / "server.pem")
    running = serve(app, make_server(app, port=0, ssl_certfile=certificate, **options))
    plain = url_of(running.address)
    secured = plain.replace("http://", "https://")
    trusting = ("--ca-certs", str(tmp_path / "ca.pem"))
    assert run(secured, *trusting, "--cert", str(tmp_path / "own.pem")).exit_code == 0
    assert run(secured, *trusting).exit_code == 3
    for url, says in ((plain, "speaks TLS at this port"), (secured, "--ca-certs or SSL_CERT_FILE")):
        result = run(url)
        assert result.exit_code == 3
        assert says in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "the URL must look like"),
        (["http://127.0.0.1:9", "nowhere"], "does not exist"),
        (["http://127.0.0.1:9", "--request", "{"], "this is not JSON"),
        (["http://127.0.0.1:9", "--header", "Authorization"], "Authorization: Bearer KEY"),
        (["http://127.0.0.1:9", "--binary-type", "mine"], "my_type=application/x-mine"),
        (["http://127.0.0.1:9", "--route", "infer"], "a route begins with /"),
        (["http://127.0.0.1:9", "--patience", "0"], "--patience"),
    ],
)
def test_wrong_command_lines(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output


def test_a_header_that_cannot_be_sent(url: str) -> None:
    result = run(url, "--header", "A: b\nc")
    assert result.exit_code == 2
    assert "no header can have" in result.output


def test_a_study_without_dicom(url: str, tmp_path: Path) -> None:
    result = run(url, str(tmp_path))
    assert result.exit_code == 2
    assert "has no DICOM file" in result.output


def test_without_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inference_gateway.check.command", None)
    result = run("http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "pip install 'dicom-inference-gateway[dicom]'" in result.output
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
