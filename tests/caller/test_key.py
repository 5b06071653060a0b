"""The API key of the environment: what is one, and which header goes before it."""

import pytest

from inference_gateway.caller.key import environment_key, key_header


@pytest.mark.parametrize(("value", "key"), [(None, None), ("", None), (" \n", None), (" k!~\n", "k!~")])
def test_what_the_environment_says(
    value: str | None, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("GATEWAY_API_KEY", value)
    assert environment_key() == key


@pytest.mark.parametrize("value", ["s3cret two", "s3cret\r\nX-A: b", "s3crét", "s3cret\x7f"])
def test_what_is_no_key_is_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", value)
    with pytest.raises(ValueError, match="GATEWAY_API_KEY is no key") as error:
        environment_key()
    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ([], True),
        ([("X-Site", "north"), ("Authorization", "Basic YTpi")], True),
        ([("x-api-key", "mine")], False),
        ([("AUTHORIZATION", "Bearer mine")], False),
    ],
)
def test_a_header_that_somebody_wrote_goes_first(headers: list[tuple[str, str]], sent: bool) -> None:
    assert key_header("k", headers) == ({"X-API-Key": "k"} if sent else {})
    assert key_header(None, headers) == {}
