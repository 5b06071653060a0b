"""Messages for the tests of the wire format: how one is read under a cut, and how any is made."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hypothesis import strategies as st

from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Decoder, Encoder, Limits, PartBegin, PartData, PartEnd

CRLF = b"\r\n"
BOUNDARY_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'()+_,-./:=?"
"""RFC 2046 §5.1.1, without the space, with which a boundary may not end."""
TOKEN_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~"

Fields = tuple[tuple[str, str], ...]
Part = tuple[Fields, bytes]


@dataclass(frozen=True)
class Begin:
    fields: Fields
    header_offset: int
    body_offset: int


@dataclass(frozen=True)
class Data:
    """A whole run of body data, however many events told of it."""

    data: bytes


@dataclass(frozen=True)
class End:
    header_offset: int
    body_offset: int
    body_end: int


@dataclass(frozen=True)
class Reading:
    """What came of a message: the events, and the error's status hint and sentence if there was one."""

    events: tuple[Begin | Data | End, ...]
    error: tuple[int, str] | None = None

    @property
    def parts(self) -> list[Part]:
        """The parts that are complete."""
        parts: list[Part] = []
        fields: Fields = ()
        body = b""
        for event in self.events:
            match event:
                case Begin():
                    fields, body = event.fields, b""
                case Data():
                    body = event.data
                case End():
                    parts.append((fields, body))
        return parts


def read(pieces: Iterable[bytes], boundary: bytes = b"bnd", limits: Limits | None = None) -> Reading:
    """What `Decoder` makes of a message that comes in these pieces; runs of body data are joined."""
    decoder = Decoder(boundary, limits)
    events: list[Begin | Data | End] = []
    try:
        for piece in pieces:
            for event in decoder.receive(piece):
                match event:
                    case PartBegin(headers, header_offset, body_offset):
                        events.append(Begin(headers.fields, header_offset, body_offset))
                    case PartEnd():
                        events.append(End(*event))
                    case PartData(data):
                        assert len(data) > 0, "an event that says nothing"
                        last = events[-1]
                        if isinstance(last, Data):
                            events[-1] = Data(last.data + bytes(data))
                        else:
                            events.append(Data(bytes(data)))
        decoder.finish()
    except MultipartError as error:
        return Reading(tuple(events), (error.status_hint, error.detail))
    return Reading(tuple(events))


def bytewise(message: bytes) -> list[bytes]:
    return [message[at : at + 1] for at in range(len(message))]


def two_way_cuts(message: bytes) -> Iterator[list[bytes]]:
    for at in range(len(message) + 1):
        yield [message[:at], message[at:]]


def read_every_way(message: bytes, boundary: bytes = b"bnd", limits: Limits | None = None) -> Reading:
    """Reads the message whole, bytewise and at every two-way cut; the outcome must be the same."""
    whole = read([message], boundary, limits)
    assert read(bytewise(message), boundary, limits) == whole
    for pieces in two_way_cuts(message):
        assert read(pieces, boundary, limits) == whole, pieces
    return whole


boundaries = st.one_of(
    st.sampled_from(["b", "--", "-", ":", "a--", "--a", "a b", "=_?", "b" * 70, "b" * 200, "x " * 99 + "x"]),
    st.builds(
        str.__add__,
        st.text(BOUNDARY_CHARACTERS + " ", max_size=30),
        st.sampled_from(BOUNDARY_CHARACTERS),
    ),
).map(str.encode)
"""Any boundary: RFC 2046's set, up to 200 characters."""

_values = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.just("\t"), max_size=8).map(
    lambda text: text.strip(" \t")
)
_names = st.text(TOKEN_CHARACTERS, min_size=1, max_size=6).map("X".__add__)
_fields = st.lists(st.tuples(_names, _values), max_size=6).map(tuple)
_blanks = st.sampled_from([b"", b" ", b"\t", b" \t", b"\t  "])


def _bodies(boundary: bytes) -> st.SearchStrategy[bytes]:
    """Bodies full of what is nearly a delimiter, and of nothing that is one."""
    delimiter = CRLF + b"--" + boundary
    crumbs = [b"\r", b"\n", b"-", b"--", CRLF, CRLF + b"--", b"--" + boundary, delimiter[:-1], boundary, b"x"]
    return (
        st.lists(st.sampled_from(crumbs) | st.binary(max_size=8), max_size=8)
        .map(b"".join)
        .filter(lambda body: delimiter not in CRLF + body)
    )


@dataclass(frozen=True)
class Message:
    boundary: bytes
    parts: list[Part]
    wire: bytes


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """A valid message in any form that is tolerated, built without the encoder."""
    boundary = draw(boundaries)
    one = st.tuples(_fields, _bodies(boundary))
    parts = draw(st.lists(one, min_size=1, max_size=4))
    dash_boundary = b"--" + boundary
    wire = CRLF * draw(st.integers(0, 2))
    for fields, body in parts:
        wire += dash_boundary + draw(_blanks) + CRLF
        for name, value in fields:
            wire += name.encode() + b":" + draw(_blanks) + value.encode() + draw(_blanks) + CRLF
        # Where a part has no body, the empty line may be the one that begins the delimiter.
        wire += CRLF if not body and draw(st.booleans()) else CRLF + body + CRLF
    wire += dash_boundary + b"--" + draw(st.sampled_from([b"", CRLF, b" \t", b" \r\n\t\r\n", CRLF * 3]))
    return Message(boundary, parts, wire)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The boundary and bytes of a message that was valid before a few of its bytes changed."""
    message = draw(messages())
    wire = message.wire
    tokens = st.sampled_from(
        [
            *[b"\r", b"\n", CRLF, b"-", b"--", b" ", b"\t", b":", b"\0", b"\xff", b"x", b""],
            *[b"--" + message.boundary, CRLF + b"--" + message.boundary, b"Content-ID: <a>\r\n"],
            *[b"Content-Length: 3\r\n", b"Content-Encoding: gzip\r\n"],
            b"Content-Transfer-Encoding: base64\r\n",
        ]
    )
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(wire)))
        stop = min(len(wire), start + draw(st.sampled_from([0, 0, 1, 2, 5, 1000])))
        wire = wire[:start] + draw(tokens) + wire[stop:]
    return message.boundary, wire


@st.composite
def cut(draw: st.DrawFn, message: bytes) -> list[bytes]:
    """The message in pieces, some of them empty."""
    ends = sorted(draw(st.lists(st.integers(0, len(message)), max_size=12)))
    return [message[start:end] for start, end in zip([0, *ends], [*ends, len(message)], strict=True)]


def encode(message: Message) -> bytes:
    """Encode a message with the encoder, in its one form."""
    encoder = Encoder(message.boundary.decode())
    parts = (encoder.begin_part(fields) + body + encoder.end_part() for fields, body in message.parts)
    return b"".join(parts) + encoder.finish()
