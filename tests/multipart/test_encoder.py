"""The encoder: what it writes, the decoder reads back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Encoder
from tests.multipart.reading import Fields, Message, bytewise, cut, encode, messages, read


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(messages(), st.data())
def test_decodes_to_what_was_encoded(message: Message, data: st.DataObject) -> None:
    wire = encode(message)
    for pieces in ([wire], bytewise(wire), data.draw(cut(wire))):
        reading = read(pieces, message.boundary)
        assert reading.error is None
        assert reading.parts == message.parts


def test_writes_no_more_than_it_must() -> None:
    encoder = Encoder("b")
    assert encoder.begin_part([("A", "1"), ("B", "ä")]) == b"--b\r\nA: 1\r\nB: \xc3\xa4\r\n\r\n"
    assert encoder.begin_part([]) == b"--b\r\n\r\n"
    assert encoder.end_part() == b"\r\n"
    assert encoder.finish() == b"--b--\r\n"


@pytest.mark.parametrize("boundary", ["", "b" * 201, "b ", "b\r\n", "ä", 'b"'])
def test_refuses_what_is_no_boundary(boundary: str) -> None:
    with pytest.raises(MultipartError):
        Encoder(boundary)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((("", "b"),), id="empty name"),
        pytest.param((("X A", "b"),), id="blank in a name"),
        pytest.param(((" X", "b"),), id="blank before a name"),
        pytest.param((("Ä", "b"),), id="name that is not ASCII"),
        pytest.param((("X\r\nY", "b"),), id="CRLF in a name"),
        pytest.param((("X", "a\r\nY: b"),), id="CRLF in a value"),
        pytest.param((("X", "a\nb"),), id="LF in a value"),
        pytest.param((("X", "a\rb"),), id="CR in a value"),
        pytest.param((("X", "a\0b"),), id="NUL in a value"),
        pytest.param((("X", "\ud800"),), id="lone surrogate in a value"),
        pytest.param((("X: Y", "b"),), id="colon in a name"),
        pytest.param((("X:", "b"),), id="colon after a name"),
        pytest.param((("X", " b"),), id="blank before a value"),
        pytest.param((("X", "b\t"),), id="tab after a value"),
        pytest.param((("--b", "c"),), id="name that is a delimiter"),
        pytest.param((("Content-Type", "a/b"), ("content-type", "a/b")), id="field twice"),
    ],
)
def test_refuses_what_would_not_be_read_back(fields: Fields) -> None:
    with pytest.raises(MultipartError):
        Encoder("b").begin_part(fields)
