"""What the options mean, before anything is sent."""

from pathlib import Path

import click
import httpx
import pytest
import trustme

from inference_gateway.infer.options import address_of, headers_of, pair_of, tls_of


@pytest.mark.parametrize(
    ("url", "route", "address"),
    [
        ("http://h:8000", None, "http://h:8000"),
        ("http://h:8000/", None, "http://h:8000/"),
        ("http://h:8000/liver", None, "http://h:8000/liver"),
        ("http://h:8000/liver/", None, "http://h:8000/liver/"),
        ("http://h/site?x=1", None, "http://h/site?x=1"),
        ("http://h//liver", None, "http://h//liver"),
        ("http://h", "/liver", "http://h/liver"),
        ("http://h/", "liver", "http://h/liver"),
        ("http://h", "//liver", "http://h//liver"),
        ("https://h/site/", "/liver/ct", "https://h/site/liver/ct"),
        ("https://h/site", "/", "https://h/site/"),
        ("https://h/site?x=1", "/liver", "https://h/site/liver?x=1"),
        ("http://h", "/a b/é%20", "http://h/a%20b/%C3%A9%20"),
        ("http://[::1]:8000", "/a", "http://[::1]:8000/a"),
    ],
)
def test_a_path_of_the_url_is_the_route(url: str, route: str | None, address: str) -> None:
    assert str(address_of(url, route)) == address


@pytest.mark.parametrize("url", ["ftp://h", "http://", "h:8000", "", "http://h:port", "http://h\0"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(click.UsageError, match="write http://host:port"):
        address_of(url, None)


def test_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert headers_of(["X-API-Key: k", "Authorization:Bearer a:b"]) == [
        ("X-API-Key", "k"),
        ("Authorization", "Bearer a:b"),
    ]
    for wrong in ("X-Secret", ": s3cret", "X Y: s3cret", "X: s3cret\r\nY: b", "X: s3crét", "X:\x1b"):
        with pytest.raises(click.UsageError, match="write it as 'X-API-Key: KEY'") as error:
            headers_of([wrong])
        assert "cr" not in str(error.value)
    for own in ("Content-Type: a/b", "content-length: 3", "Transfer-Encoding: chunked"):
        with pytest.raises(click.UsageError, match="not for you to say"):
            headers_of([own])
    monkeypatch.setenv("GATEWAY_API_KEY", "two words")
    with pytest.raises(click.UsageError, match="GATEWAY_API_KEY is no key"):
        headers_of([])


def test_pairs() -> None:
    assert pair_of(" a =b=c") == ("a", "b=c")
    with pytest.raises(click.UsageError, match="write KEY=VALUE"):
        pair_of("=b")


def test_certificates_are_for_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(pem))
    assert tls_of(httpx.URL("http://h"), None, None, None) is True
    for arguments in ((pem, None, None), (None, pem, None), (None, None, pem)):
        with pytest.raises(click.UsageError, match="certificates are for https"):
            tls_of(httpx.URL("http://h"), *arguments)
    with pytest.raises(click.UsageError, match="a key needs its certificate"):
        tls_of(httpx.URL("https://h"), None, None, pem)
    with pytest.raises(click.UsageError, match="the client's certificate or its key cannot be used"):
        tls_of(httpx.URL("https://h"), pem, pem, None)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    with pytest.raises(click.UsageError, match=r"the CA certificates cannot be used \(no such file"):
        tls_of(httpx.URL("https://h"), None, None, None)
