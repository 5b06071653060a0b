"""What the command says where a call fails: which option helps, against real servers."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result

from inference_gateway import Gateway, Settings
from inference_gateway.infer.command import infer
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.dicom.objects import as_file, plane
from tests.infer.lying import lying

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Sends a study of one image; all that differs is where to, and what goes with it."""
    (tmp_path / "study.dcm").write_bytes(as_file(plane(1)).getvalue())

    def run(*arguments: object, **environment: str | None) -> Result:
        line = [str(each) for each in (tmp_path / "study.dcm", "-o", tmp_path / "out", *arguments)]
        return CliRunner().invoke(infer, line, env=environment)

    return run


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return {"study_ml_json": {"label": "sick"}}


def gateway(**settings: Any) -> Gateway:
    app = Gateway(settings=Settings(**settings))
    app.add_inference_route("/liver", model)
    return app


# Keys


def test_a_401_names_the_option(command: Command, serve: Serve) -> None:
    port = serve(gateway(api_keys="right")).address[1]
    url = f"http://127.0.0.1:{port}/liver"
    without = command("--url", url)
    assert without.exit_code == 4
    assert "401: an API key is needed" in without.stderr
    assert "GATEWAY_API_KEY, or by --header 'X-API-Key: KEY'" in without.stderr
    for arguments, environment in (
        ((), {"GATEWAY_API_KEY": "right"}),
        (("-H", "X-API-Key: right"), {}),
        (("--header", "Authorization: Bearer right"), {"GATEWAY_API_KEY": "wrong"}),
    ):
        assert command("--url", url, *arguments, **environment).exit_code == 0
    for arguments, environment in (
        ((), {"GATEWAY_API_KEY": "s3cret"}),
        (("-H", "X-API-Key: s3cret"), {"GATEWAY_API_KEY": "right"}),
    ):
        wrong = command("--url", url, *arguments, **environment)
        assert wrong.exit_code == 4
        assert "of GATEWAY_API_KEY or --header, is none of the gateway's" in wrong.stderr
        assert "s3cret" not in wrong.output


def test_a_key_that_is_none_is_said_before_anything_is_sent(command: Command) -> None:
    result = command("-p", 9, GATEWAY_API_KEY="two words")
    assert result.exit_code == 2
    assert "GATEWAY_API_KEY is no key" in result.stderr


# Addresses


def test_the_address_is_shown_as_it_was_sent(command: Command, serve: Serve, tmp_path: Path) -> None:
    port = serve(gateway()).address[1]
    for arguments in (
        ("--url", f"http://user:pass@127.0.0.1:{port}/liver"),
        ("--url", f"http://127.0.0.1:{port}/", "-r", "liver"),
        ("-p", port, "--route", "/liver"),
    ):
        result = command(*arguments)
        assert result.exit_code == 0, result.output
        assert f"sent 1 file to http://127.0.0.1:{port}/liver\n" in result.stdout
        report = (tmp_path / "out" / "report.html").read_text()
        assert f"<td>http://127.0.0.1:{port}/liver</td>" in report
        assert "user:pass" not in report
    assert command("--url", f"http://127.0.0.1:{port}/liver", "-r", "/liver").exit_code == 4


# TLS


@dataclass(frozen=True)
class Secured:
    url: str
    ca: Path
    own: Path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path, Path]:
    """PEM files of the CA, of a server and of a client."""
    names = [tmp_path / f"{name}.pem" for name in ("ca", "server", "own")]
    authority.cert_pem.write_to_path(str(names[0]))
    for path, name in ((names[1], "127.0.0.1"), (names[2], "me@example.org")):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
    return names[0], names[1], names[2]


@pytest.fixture(params=[False, True], ids=["tls", "mutual"])
def secured(request: pytest.FixtureRequest, files: tuple[Path, Path, Path], serve: Serve) -> Secured:
    app = gateway()
    options: dict[str, Any] = {"ssl_certfile": str(files[1])}
    if request.param:
        options |= {"ssl_ca_certs": str(files[0]), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    port = serve(app, make_server(app, port=0, **options)).address[1]
    return Secured(f"https://127.0.0.1:{port}/liver", files[0], files[2])


def test_certificates(secured: Secured, command: Command, request: pytest.FixtureRequest) -> None:
    mutual = "mutual" in request.node.name
    own = ("--cert", secured.own) if mutual else ()
    with_option = command("--url", secured.url, "--ca-certs", secured.ca, *own)
    assert with_option.exit_code == 0, with_option.output
    in_environment = command("--url", secured.url, *own, SSL_CERT_FILE=str(secured.ca))
    assert in_environment.exit_code == 0, in_environment.output
    unknown = command("--url", secured.url)
    assert unknown.exit_code == 3
    assert "the certificate of the server is not trusted" in unknown.stderr
    assert "--ca-certs or SSL_CERT_FILE" in unknown.stderr
    if mutual:
        without = command("--url", secured.url, "--ca-certs", secured.ca)
        assert without.exit_code == 3
        assert "--cert and --key name" in without.stderr


def test_plain_http_to_a_port_with_tls(secured: Secured, command: Command) -> None:
    result = command("--url", secured.url.replace("https", "http"))
    assert result.exit_code == 3
    assert f"The server speaks TLS at this port, not plain HTTP: try --url {secured.url}" in result.stderr


def test_tls_to_a_port_with_plain_http(command: Command, serve: Serve) -> None:
    port = serve(gateway()).address[1]
    result = command("--url", f"https://127.0.0.1:{port}/liver")
    assert result.exit_code == 3
    assert "the server speaks plain HTTP at this port, not TLS" in result.stderr
    assert f"Try --url http://127.0.0.1:{port}/liver" in result.stderr
    assert "inference-gateway serve" not in result.stderr


@pytest.mark.slow
def test_a_refusal_of_somebody_else_has_no_hint_where_nothing_is_known(command: Command) -> None:
    with lying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as port:
        result = command("-p", port)
    assert result.exit_code == 4
    assert "TLS" not in result.stderr
