"""A certificate's subject as RFC 4514 writes it; who shows one is a test of the audit."""

import pytest

from inference_gateway.serving.certificate import Subject, distinguished_name

NAMES: list[tuple[Subject, str]] = [
    ((), ""),
    (((("commonName", "pacs"),),), "CN=pacs"),
    (
        ((("countryName", "DE"),), (("organizationName", "Hospital"),), (("commonName", "pacs"),)),
        "CN=pacs,O=Hospital,C=DE",
    ),
    (((("organizationalUnitName", "a"), ("commonName", "b")),), "OU=a+CN=b"),
    (((("commonName", 'a,b+"c"\\<d>;e'),),), 'CN=a\\,b\\+\\"c\\"\\\\\\<d\\>\\;e'),
    (((("commonName", "#a "),),), "CN=\\#a\\ "),
    (((("commonName", " "),),), "CN=\\ "),
    (((("commonName", "a\r\nb\0"),),), "CN=a\\0d\\0ab\\00"),
    (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
    (((("commonName", "Jörg"),),), "CN=Jörg"),
]


@pytest.mark.parametrize(("subject", "name"), NAMES)
def test_names(subject: Subject, name: str) -> None:
    assert distinguished_name(subject) == name
