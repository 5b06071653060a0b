"""API keys: who is let in, how the keys change, and that nothing of them is ever told."""

import asyncio
import hmac
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from inference_gateway import Gateway, Settings
from inference_gateway.cli import main
from inference_gateway.errors import SetupFailed, Unauthorized
from inference_gateway.intake import api_keys
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, exchange, head, request
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
BODY = message(part(b'{"k": 1}'))
LIMIT = 20.0

Header = tuple[bytes, bytes]
GOOD: list[tuple[Header, ...]] = [
    ((b"Authorization", b"Bearer SECRET-1"),),
    ((b"authorization", b"bearer  SECRET-2 "),),
    ((b"X-API-Key", b"SECRET-1"),),
    ((b"x-api-key", b" SECRET-2"),),
    ((b"X-API-Key", b"SECRET-1"), (b"Authorization", b"Basic b3RoZXI=")),
]
BAD: list[tuple[Header, ...]] = [
    (),
    ((b"Authorization", b"SECRET-1"),),
    ((b"Authorization", b"Bearer"),),
    ((b"Authorization", b"Bearer "),),
    ((b"Authorization", b"Basic SECRET-1"),),
    ((b"Authorization", b"Bearer SECRET-3"),),
    ((b"Authorization", b"Bearer SECRET-1,SECRET-2"),),
    ((b"Authorization", b"Bearer SECRET-1"), (b"Authorization", b"Bearer SECRET-1")),
    ((b"X-API-Key", b""),),
    ((b"X-API-Key", b"secret-1"),),
    ((b"X-API-Key", b"SECRET-\xc3\xa9"),),
    ((b"X-API-Key", b"SECRET-1"), (b"X-API-Key", b"SECRET-1")),
    ((b"X-API-Key", b"wrong"), (b"Authorization", b"Bearer SECRET-1")),
]


def nothing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
    return {}


def gateway(spool_dir: Path, **settings: Any) -> Gateway:
    app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
    app.add_inference_route("/", nothing)
    return app


def get(address: Address, path: bytes, *headers: Header) -> Answer:
    answer = exchange(address, head(headers, method=b"GET", target=path))
    assert answer is not None
    return answer


def post(address: Address, *headers: Header) -> Answer:
    answer = exchange(address, request((*TYPE, *headers), BODY))
    assert answer is not None
    return answer


@pytest.mark.wire("refused: no API key that is known", "errors: nothing that came in is echoed")
@pytest.mark.setting("API_KEYS")
def test_who_is_let_in(spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    app = gateway(spool_dir, api_keys="SECRET-1, SECRET-2")
    address = serve(app, make_server(app, port=0)).address
    for headers in GOOD:
        assert post(address, *headers).status == 200, headers
    for headers in BAD:
        answer = post(address, *headers)
        problem = check_problem(answer, 401)
        assert answer.header("www-authenticate") == "Bearer"
        assert "API key" in problem["detail"]
        assert b"SECRET" not in answer.body
    assert "SECRET" not in log.text
    for probe in (b"/ping", b"/healthcheck"):
        assert get(address, probe).status == 200
    check_problem(get(address, b"/metrics"), 401)
    assert b'status="401"' in get(address, b"/metrics", (b"X-API-Key", b"SECRET-1")).body


@pytest.mark.wire("refused: no API key that is known", "aftermath: early answer seen while still sending")
def test_no_byte_of_the_body_is_asked_for(spool_dir: Path, serve: Serve) -> None:
    app = gateway(spool_dir, api_keys="SECRET-1")
    address = serve(app, make_server(app, port=0)).address
    size = 20 << 20
    length = (b"Content-Length", b"%d" % size)
    with Connection(address) as connection:
        connection.send(head((*TYPE, length, (b"Expect", b"100-continue"))))
        answer = connection.read_answer()
        check_problem(answer, 401)
        assert answer is not None
        assert answer.interim == ()
    with Connection(address) as connection:
        connection.send(head((*TYPE, length)), bytes(size))
        check_problem(connection.read_answer(), 401)


def test_they_are_off_by_default(spool_dir: Path, serve: Serve) -> None:
    address = serve(gateway(spool_dir)).address
    assert post(address).status == 200
    assert post(address, (b"X-API-Key", b"any")).status == 200
    assert get(address, b"/metrics").status == 200


@pytest.mark.setting("API_KEYS_FILE")
def test_a_file_and_its_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    monkeypatch.setattr(api_keys, "_READ_AGAIN", 0.01)
    file = tmp_path / "keys"
    file.write_text("# of the one hospital\nSECRET-1\n\n  SECRET-2  \n")
    address = serve(gateway(spool_dir, api_keys="SECRET-0", api_keys_file=file)).address

    def let_in(key: bytes) -> bool:
        return post(address, (b"X-API-Key", key)).status == 200

    assert [let_in(b"SECRET-%d" % number) for number in range(4)] == [True, True, True, False]
    assert not let_in(b"#")
    (tmp_path / "new").write_text("SECRET-3\n")
    (tmp_path / "new").rename(file)  # as Kubernetes changes a secret: another file of the same name
    until(lambda: let_in(b"SECRET-3"))
    assert [let_in(b"SECRET-%d" % number) for number in range(4)] == [True, False, False, True]
    for change in (file.unlink, file.touch, lambda: file.write_text("two SECRET words")):
        log.forget()
        change()
        until(lambda: "stay as they were" in log.text)
        assert let_in(b"SECRET-3")
    file.write_text("SECRET-1")
    until(lambda: let_in(b"SECRET-1"))
    assert not let_in(b"SECRET-3")
    assert "SECRET" not in log.text


async def test_a_failure_is_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: LogCapture
) -> None:
    monkeypatch.setattr(api_keys, "_READ_AGAIN", 0.0)
    looks = threading.Semaphore(0)
    keys = ApiKeys(["a"], tmp_path / "missing")
    load = keys.load

    def seen() -> None:
        looks.release()
        load()

    monkeypatch.setattr(keys, "load", seen)
    task = asyncio.create_task(keys.keep_fresh())
    for _ in range(5):
        assert await asyncio.to_thread(looks.acquire, timeout=LIMIT)
    task.cancel()
    assert log.text.count("stay as they were") == 1
    keys.check([(b"x-api-key", b"a")])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "no key in it"),
        (b"# nothing\n\n", "no key in it"),
        (b"good\na SECRET key\n", "line 2 is no key"),
        (b"one,SECRET\n", "line 1 is no key"),
        (b"\xc3\xa4SECRET\n", "not ASCII"),
    ],
)
def test_a_file_that_is_no_list_of_keys(content: bytes | None, says: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    keys = ApiKeys.of(Settings(api_keys_file=file))
    assert keys is not None
    with pytest.raises(SetupFailed, match=says) as caught:
        keys.load()
    assert "GATEWAY_API_KEYS_FILE" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(Unauthorized):
        keys.check([(b"x-api-key", b"good")])


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time tells nothing."""
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = ApiKeys(["a", "b", "c"])
    for given in (b"a", b"c"):
        keys.check([(b"x-api-key", given)])
        assert len(set(compared)) == len(compared) == 3
        compared.clear()
    with pytest.raises(Unauthorized):
        keys.check([(b"x-api-key", b"d")])
    assert len(compared) == 3


def test_the_table_of_settings_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS", "SECRET-1,SECRET-2")
    result = CliRunner().invoke(main, ["settings"])
    assert result.exit_code == 0
    assert "GATEWAY_API_KEYS" in result.output
    assert "SECRET" not in result.output
    monkeypatch.setenv("GATEWAY_API_KEYS", "SECRET 1")
    result = CliRunner().invoke(main, ["settings"])
    assert result.exit_code == 2
    assert "GATEWAY_API_KEYS" in result.output
    assert "SECRET" not in result.output
