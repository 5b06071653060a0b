"""The answer to a study as bytes: every one is laid down, but for the bodies and the boundary."""

from __future__ import annotations

import hashlib
import json
import re

from inference_gateway.caller.key import VARIABLE
from inference_gateway.check.inference import Inference, Piece
from inference_gateway.check.verdict import Check, Failed, Skipped, Subject, check

_TOKEN = re.compile(r"multipart/related; boundary=([0-9A-Za-z_-]{1,70})")
_HASHES = re.compile(rb"[0-9a-f]{64}:[0-9a-f]{64}")
_ARRAY, _DICOM, _NOTHING = "application/binary", "application/dicom", b"\0"
_BLOCK = 1 << 20


@check("inference", "look in the gateway's log; a model that needs keys in the JSON gets them by --request")
def inference(subject: Subject) -> str:
    """Send the study."""
    found = subject.infer()
    answer = found.answer
    if answer.status == 401:
        raise Failed(f"the study was answered with 401: give a key in {VARIABLE} or by --header")
    if answer.status != 200:
        raise Failed(f"the study was answered with {answer.status}")
    if answer.essence != "multipart/related":
        raise Failed("the study's answer is not multipart/related")
    count = len(subject.study.files)
    return f"a study of {count} {'file' if count == 1 else 'files'} was answered with 200"


@check("transfer", "announce the length of the answer, or send it in chunks; a proxy may have cut it")
def transfer(subject: Subject) -> str:
    """See that the answer came whole and says how long it is."""
    answer = subject.answered().answer
    if not answer.whole:
        raise Failed("the connection ended before the answer did")
    length = answer.header("content-length")
    if length is None and answer.header("transfer-encoding") is None:
        raise Failed("the answer has neither a Content-Length nor chunks: a cut one looks whole")
    return "the answer came whole, " + ("with its length" if length is not None else "in chunks")


@check("boundary", "send boundary=TOKEN, fresh for each answer, 1 to 70 letters, digits, - and _, no quotes")
def boundary(subject: Subject) -> str:
    """See that the boundary is a plain token of the gateway's own."""
    found = subject.answered()
    if found.boundary == repr(found.upload.boundary.encode()):
        raise Failed(
            "the boundary is the Python repr of the request's: a gateway that does this is usually "
            "the old one, to be checked with --old",
            old=True,
        )
    if found.boundary == found.upload.boundary:
        raise Failed("the boundary is the request's: an element may contain it")
    if not _TOKEN.fullmatch(found.answer.header("content-type") or ""):
        raise Failed("the Content-Type is not multipart/related; boundary=TOKEN")
    return "the boundary is a plain token of the gateway's own"


@check(
    "framing", "write --TOKEN CRLF before each part, CRLF after it, --TOKEN-- CRLF at the end, nothing else"
)
def framing(subject: Subject) -> str:
    """See that nothing but delimiters stands between the parts."""
    found = subject.answered()
    if found.broken is not None:
        raise Failed(f"the message cannot be read: {found.broken}")
    delimiter = f"--{found.boundary}\r\n".encode()
    before = 0
    for index, piece in enumerate(found.pieces):
        expected = delimiter if index == 0 else b"\r\n" + delimiter
        if found.spool.read(before, piece.header_offset) != expected:
            raise Failed(f"there is more than a delimiter before part {index}")
        before = piece.body_end
    if found.spool.read(before, found.spool.size) != f"\r\n--{found.boundary}--\r\n".encode():
        raise Failed("the message does not end with the close delimiter and CRLF")
    return f"{len(found.pieces)} parts, and not a byte between them but the delimiters"


@check("part-names", "call the parts json-body, elem_0, elem_1 and so on, and hashes, in this order")
def part_names(subject: Subject) -> str:
    """See what the parts are called."""
    pieces = subject.whole_message().pieces
    names = ["json-body", *(f"elem_{i}" for i in range(len(pieces) - 2)), "hashes"]
    for index, (piece, name) in enumerate(zip(pieces, names, strict=False)):
        if piece.name != name:
            raise Failed(f"part {index} is not called {name}")
    return "json-body, the elements by number, hashes"


@check(
    "part-headers",
    'send exactly Content-Disposition: form-data; name="..."; filename="..." and Content-Type, in this order',
)
def part_headers(subject: Subject) -> str:
    """See that each part has exactly its two header fields."""
    found = subject.message()
    for index, piece in enumerate(found.pieces):
        kind = piece.headers.get("content-type", "")
        expected = (
            f'Content-Disposition: form-data; name="{piece.name}"; filename="{piece.name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        if found.spool.read(piece.header_offset, piece.body_offset) != expected.encode():
            raise Failed(f"part {index} has other headers, another order or another spelling")
    return "two headers for each part, spelled as they must be"


@check("media-types", "send application/json, the type of each element's binary_type, and text/plain")
def media_types(subject: Subject) -> str:
    """See that each part has the media type of its kind."""
    found = subject.message()
    expected: list[str | None] = ["application/json"]
    expected += [_media_type(subject, entry) for entry in subject.entries()][: len(found.elements)]
    expected += [None] * (1 + len(found.elements) - len(expected))
    expected += ["text/plain"] if found.hashes is not None else []
    for index, (piece, kind) in enumerate(zip(found.pieces, expected, strict=True)):
        if kind is not None and piece.headers.get("content-type") != kind:
            raise Failed(f"part {index} is not {kind}")
    return "each part has the media type that it must have"


def _media_type(subject: Subject, entry: object) -> str | None:
    """Return the type that an entry asks for, None where it tells nothing: another check says so."""
    binary_type = entry.get("binary_type") if isinstance(entry, dict) else None
    return subject.binary_types.get(binary_type) if isinstance(binary_type, str) else None


@check("json", "write the JSON as Python's json.dumps does by itself: ', ' and ': ', ASCII, a single object")
def json_form(subject: Subject) -> str:
    """See that the first part is a JSON object in the form of the contract."""
    found = subject.message()
    text = found.pieces[0].body.getvalue()
    try:
        value = found.json()
    except ValueError:
        raise Failed("the first part is not JSON") from None
    if not isinstance(value, dict):
        raise Failed("the first part is JSON, but no object")
    if json.dumps(value).encode() != text:
        raise Failed("the JSON is written in another form")
    return "the first part is a JSON object in the form of the contract"


@check(
    "commit-mark", "end every whole answer with the part hashes: INPUT_HASH:OUTPUT_HASH in small hex digits"
)
def commit_mark(subject: Subject) -> str:
    """See that the last part is two hashes."""
    if not _HASHES.fullmatch(_hashes(subject.message())):
        raise Failed("the part hashes is not two SHA-256 in hex with a colon between them")
    return "the hashes close the answer"


def _hashes(found: Inference) -> bytes:
    if found.hashes is None:
        raise Failed("the last part is not the part hashes: a client must take the answer for cut")
    return found.hashes.body.getvalue()


@check("input-hash", "hash the bodies of all parts of the request in order of arrival, the JSON's too")
def input_hash(subject: Subject) -> str:
    """Compare the input hash with what was sent."""
    said, _, _ = _said(subject.message())
    if said != subject.message().upload.input_hash:
        raise Failed("the input hash is not that of what was sent: was the request changed on its way?")
    return "the input hash is that of what was sent"


@check("output-hash", "hash the JSON's bytes and then the body of each element, all as they are sent")
def output_hash(subject: Subject) -> str:
    """Compare the output hash with what came."""
    found = subject.message()
    _, _, said = _said(found)
    pieces = [found.pieces[0], *found.elements]
    if said != _digest(pieces, b""):
        accident = any(piece.headers.get("content-type") == _DICOM for piece in found.elements)
        if said == _digest(pieces, _NOTHING):
            raise Failed("the output hash has a NUL where an element is empty", old=True)
        raise Failed("the output hash is not that of what came", old=accident)
    return "the output hash is that of what came"


def _said(found: Inference) -> tuple[str, str, str]:
    if found.hashes is None:
        raise Skipped("the answer has no part hashes")
    return found.hashes.body.getvalue().decode("latin-1").partition(":")


def _digest(pieces: list[Piece], nothing: bytes) -> str:
    """Return the hash of these bodies; `nothing` stands for an empty one."""
    digest = hashlib.sha256()
    for piece in pieces:
        piece.body.seek(0)
        while block := piece.body.read(_BLOCK):
            digest.update(block)
        if not piece.body.size:
            digest.update(nothing)
    return digest.hexdigest()


CHECKS: tuple[Check, ...] = (
    *(inference, transfer, boundary, framing, part_names, part_headers, media_types, json_form),
    *(commit_mark, input_hash, output_hash),
)
