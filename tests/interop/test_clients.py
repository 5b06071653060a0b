"""Clients of all kinds send a real study over a real socket and read the answer, each with its own codec."""

import asyncio
import email
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom.data import get_testdata_file
from requests_toolbelt import MultipartEncoder
from requests_toolbelt.multipart.decoder import MultipartDecoder

from inference_gateway import Gateway, Part, Settings
from inference_gateway.client import InferenceClient
from inference_gateway.demo.phantom import Phantom, write_phantom
from inference_gateway.multipart import Decoder, Limits, PartBegin, PartData, PartEnd, parse_media_type
from inference_gateway.serving.server import make_server
from tests.harness.process import Process, serve_command
from tests.harness.raw import Address
from tests.harness.server import serving
from tests.harness.wire import digest, message, part

pytestmark = pytest.mark.slow

IMAGES = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "rtplan.dcm", "examples_rgb_color.dcm")
ASKED = {"inference_command": "segment", "note": "größer"}
LIMIT = 60

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@dataclass(frozen=True)
class Study:
    """Files by name, in the order in which they are sent, and the JSON that goes with them."""

    files: dict[str, bytes]
    asked: bytes = field(default_factory=lambda: json.dumps(ASKED).encode())

    @property
    def parts(self) -> list[bytes]:
        return [self.asked, *self.files.values()]

    @property
    def input_hash(self) -> str:
        return digest(*self.parts)

    def body(self, boundary: bytes) -> bytes:
        """A message written by hand."""
        images = (part(data, b"Content-Type: application/dicom") for data in self.files.values())
        return message(part(self.asked, b"Content-Type: application/json"), *images, boundary=boundary)


@dataclass(frozen=True)
class Received:
    """An answer as a client has it."""

    content_type: str
    body: bytes


Send = Callable[[str, Study, Path], Received]


# Clients


def by_requests(url: str, study: Study, folder: Path) -> Received:
    """As the old gateway's clients do."""
    fields: list[Any] = [("request_json", ("request.json", study.asked, "text/json"))]
    for name, data in study.files.items():
        fields.append((name, (name, BytesIO(data), "application/dicom")))
    encoder = MultipartEncoder(fields)
    content_type = f'multipart/related; boundary="{encoder.boundary_value}"'
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, data=encoder, headers={"Content-Type": content_type}, timeout=LIMIT)
    assert answer.status_code == 200, answer.text
    return Received(answer.headers["Content-Type"], answer.content)


def by_httpx(url: str, study: Study, folder: Path) -> Received:
    """A stream of unknown length."""
    body = study.body(b"streamed'()+_,-./:=?")
    pieces = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
    headers = {"Content-Type": 'Multipart/Related; type="application/json"; boundary="streamed\'()+_,-./:=?"'}
    with httpx.Client(trust_env=False, timeout=LIMIT) as client:
        answer = client.post(url, content=pieces, headers=headers)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == 200, answer.text
    return Received(answer.headers["content-type"], answer.content)


def by_aiohttp(url: str, study: Study, folder: Path) -> Received:
    async def post() -> Received:
        with aiohttp.MultipartWriter("related") as writer:
            writer.append(study.asked, {"Content-Type": "application/json"})
            for name, data in study.files.items():
                payload = writer.append(BytesIO(data))
                payload.set_content_disposition("attachment", filename=name)
        timeout = aiohttp.ClientTimeout(LIMIT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=writer) as answer,
        ):
            body = await answer.read()
            assert answer.status == 200, body
            return Received(answer.headers["Content-Type"], body)

    return asyncio.run(post())


def by_curl(url: str, study: Study, folder: Path) -> Received:
    """The command line; it asks for 100 Continue before a large body."""
    (folder / "body").write_bytes(study.body(b"curls"))
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(LIMIT)]
    command += ["--header", "Content-Type: multipart/related; boundary=curls", "--data-binary", "@body"]
    command += ["--dump-header", "header", "--output", "answer", url]
    subprocess.run(command, cwd=folder, check=True)
    header = (folder / "header").read_text()
    assert re.findall(r"^HTTP/1\.1 (\d+)", header, re.MULTILINE)[-1] == "200", (
        folder / "answer"
    ).read_bytes()
    found = re.search(r"^content-type: (.*)$", header, re.MULTILINE | re.IGNORECASE)
    assert found
    return Received(found[1].strip(), (folder / "answer").read_bytes())


def by_dicomweb_client(url: str, study: Study, folder: Path) -> Received:
    content_type = (
        'multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"'
    )
    body = DICOMwebClient._encode_multipart_message(study.parts, content_type)
    client = DICOMwebClient(url)
    client._session.trust_env = False
    answer = client._http_post(url, body, headers={"Content-Type": content_type})
    return Received(answer.headers["Content-Type"], answer.content)


SENDERS = [
    pytest.param(by_requests, id="requests"),
    pytest.param(by_httpx, id="httpx"),
    pytest.param(by_aiohttp, id="aiohttp"),
    pytest.param(by_curl, id="curl", marks=needs_curl),
    pytest.param(by_dicomweb_client, id="dicomweb-client"),
]


# Readers

Parts = list[tuple[str, str, str, bytes]]
"""Name, filename, media type and body of each part."""


def disposed(value: str) -> tuple[str, str]:
    found = re.fullmatch(r'form-data; name="(.*)"; filename="(.*)"', value)
    assert found
    return found[1], found[2]


def read_by_toolbelt(answer: Received) -> Parts:
    decoder = MultipartDecoder(answer.body, answer.content_type)
    return [
        (
            *disposed(each.headers[b"Content-Disposition"].decode()),
            each.headers[b"Content-Type"].decode(),
            each.content,
        )
        for each in decoder.parts
    ]


def read_by_email(answer: Received) -> Parts:
    whole = email.message_from_bytes(f"Content-Type: {answer.content_type}\n\n".encode() + answer.body)
    assert not whole.defects
    parts: Parts = []
    for each in whole.walk():
        if not each.is_multipart():
            assert isinstance(each, Message)
            body = each.get_payload(decode=True)
            assert isinstance(body, bytes)
            parts.append((*disposed(each["Content-Disposition"]), each["Content-Type"], body))
    return parts


def read_by_ours(answer: Received) -> Parts:
    boundary = parse_media_type(answer.content_type).parameters["boundary"]
    decoder = Decoder(boundary.encode(), Limits())
    parts: Parts = []
    begun, body = None, b""
    for event in decoder.receive(answer.body):
        match event:
            case PartBegin():
                begun, body = event.headers, b""
            case PartData(data):
                body += data
            case PartEnd():
                assert begun is not None
                parts.append((*disposed(begun["content-disposition"]), begun["content-type"], body))
    decoder.finish()
    return parts


READERS = (read_by_toolbelt, read_by_email, read_by_ours)


# The gateway


@dataclass(frozen=True)
class Seen:
    """What the model has been called with, and what pydicom makes of it."""

    asked: Any
    bodies: list[bytes]
    input_hash: str
    uids: list[str]
    filenames: list[str | None]
    content_types: list[str | None]


class DicomModel:
    """Thresholds every image that it can, and sends the inputs back."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def __call__(self, asked: Any, inputs: list[Part], input_hash: str) -> Any:
        datasets = [pydicom.dcmread(each) for each in inputs]
        uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
        bodies = [each.getvalue() for each in inputs]
        names, types = [each.filename for each in inputs], [each.content_type for each in inputs]
        self.seen.append(Seen(asked, bodies, input_hash, uids, names, types))
        pixels = datasets[0].pixel_array
        mask = (pixels > pixels.mean()).astype(np.uint8)
        shape = {"height": mask.shape[0], "width": mask.shape[1]}
        parts = [{"binary_type": "boolean_mask", "binary_data_shape": shape, "SOPInstanceUID": uids[0]}]
        parts += [{"binary_type": "dicom", "SOPInstanceUID": uid} for uid in uids]
        return {"protocol_version": "1.0", "parts": parts}, [mask, *bodies]


@dataclass(frozen=True)
class Served:
    url: str
    address: Address
    model: DicomModel


@pytest.fixture(scope="module", params=["uvicorn", "hardened"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = DicomModel()
    app = Gateway(settings=Settings(spool_dir=tmp_path_factory.mktemp("spool"), spool_memory_bytes=10_000))
    app.add_inference_route("/", model)
    server = make_server(app, port=0) if request.param == "hardened" else None
    with serving(app, server) as running:
        host, port = running.address
        yield Served(f"http://{host}:{port}/", running.address, model)


@pytest.fixture(scope="module")
def study() -> Study:
    files = {}
    for name in IMAGES:
        path = get_testdata_file(name, download=False)
        assert isinstance(path, str), f"pydicom has no {name}"
        files[name] = Path(path).read_bytes()
    return Study(files)


@pytest.fixture(scope="module")
def long_study(study: Study) -> Study:
    """Over the sizes at which bodies are treated otherwise: 7 MB in 300 files."""
    files = list(study.files.items())
    return Study({f"{number}-{files[number % 2][0]}": files[number % 2][1] for number in range(300)})


def check(received: Received, study: Study, seen: Seen) -> None:
    assert seen.asked == ASKED
    assert seen.bodies == list(study.files.values())
    assert seen.input_hash == study.input_hash
    expected = [str(pydicom.dcmread(BytesIO(data)).SOPInstanceUID) for data in study.files.values()]
    assert seen.uids == expected
    readings = [reader(received) for reader in READERS]
    assert readings[0] == readings[1] == readings[2]
    (json_part, mask, *images, hashes) = readings[0]
    assert (*json_part[:3], *hashes[:3]) == (
        *("json-body", "json-body", "application/json"),
        *("hashes", "hashes", "text/plain"),
    )
    assert [each["SOPInstanceUID"] for each in json.loads(json_part[3])["parts"][1:]] == expected
    assert mask[:3] == ("elem_0", "elem_0", "application/binary")
    pixels = pydicom.dcmread(BytesIO(next(iter(study.files.values())))).pixel_array
    assert mask[3] == (pixels > pixels.mean()).astype(np.uint8).tobytes()
    names = [f"elem_{number}" for number in range(1, len(images) + 1)]
    assert [each[:3] for each in images] == [(name, name, "application/dicom") for name in names]
    assert [each[3] for each in images] == list(study.files.values())
    output_hash = digest(json_part[3], mask[3], *(each[3] for each in images))
    assert hashes[3].decode() == f"{study.input_hash}:{output_hash}"


@pytest.mark.wire(
    "request: pydicom, Pillow and NumPy read inputs",
    "request: inputs in the order of arrival",
    "request: root Content-Type not checked",
    "response: application/dicom types",
)
@pytest.mark.parametrize("send", SENDERS)
def test_a_real_study(send: Send, served: Served, study: Study, tmp_path: Path) -> None:
    received = send(served.url, study, tmp_path)
    check(received, study, served.model.seen.pop())
    assert served.model.seen == []


@pytest.mark.parametrize("send", SENDERS)
def test_a_study_of_300_files(send: Send, served: Served, long_study: Study, tmp_path: Path) -> None:
    received = send(served.url, long_study, tmp_path)
    check(received, long_study, served.model.seen.pop())


@pytest.mark.wire("request: input metadata", "request: names are metadata, never paths")
@pytest.mark.parametrize("send", [by_requests, by_aiohttp])
def test_filenames_arrive(send: Send, served: Served, study: Study, tmp_path: Path) -> None:
    send(served.url, study, tmp_path)
    seen = served.model.seen.pop()
    assert seen.filenames == list(IMAGES)
    assert set(seen.content_types) <= {"application/dicom", "application/octet-stream"}


def test_our_client(served: Served, study: Study, tmp_path: Path) -> None:
    paths = []
    for name, data in study.files.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    with InferenceClient(served.url, trust_env=False) as client, client.infer(ASKED, paths) as result:
        seen = served.model.seen.pop()
        assert (seen.asked, seen.bodies) == (ASKED, list(study.files.values()))
        assert result.input_hash == seen.input_hash == study.input_hash
        pixels = pydicom.dcmread(paths[0]).pixel_array
        np.testing.assert_array_equal(result.elements[0].array(), pixels > pixels.mean())
        assert [each.read() for each in result.elements[1:]] == list(study.files.values())
        assert result.elements[1].content_type == "application/dicom"


# A study that is large, through the commands that a person types

FIVE_LINES = """\
from inference_gateway import Gateway
from inference_gateway.demo.models import get_model

app = Gateway()
app.add_inference_route("/", get_model("segmentation-3d"))
"""


@contextmanager
def process(folder: Path, command: Sequence[str]) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    running = Process(folder, command, spool_dir=folder)
    try:
        host, port = running.address
        yield f"http://{host}:{port}/"
    finally:
        running.close()


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Phantom, Study]:
    folder = tmp_path_factory.mktemp("phantom")
    made = write_phantom(folder, slices=48, rows=128, columns=128)
    return made, Study({path.name: path.read_bytes() for path in sorted(folder.iterdir())})


@needs_curl
@pytest.mark.parametrize("server", ["inference-gateway", "uvicorn"])
def test_a_ct_series_by_curl(server: str, phantom: tuple[Phantom, Study], tmp_path: Path) -> None:
    """The mask is where the lesion is."""
    made, study = phantom
    (tmp_path / "five_lines.py").write_text(FIVE_LINES)
    command = {
        "inference-gateway": serve_command("demo:segmentation-3d"),
        "uvicorn": [sys.executable, "-m", "uvicorn", "five_lines:app", "--port", "0"],
    }[server]
    with process(tmp_path, command) as url:
        for _ in range(2):
            received = by_curl(url, study, tmp_path)
            (_, _, _, text), (_, _, kind, body), (*_, hashes) = read_by_email(received)
            (told,) = json.loads(text)["parts"]
            assert (told["binary_type"], kind) == ("probability_mask", "application/binary")
            shape = {"timepoints": 1, "depth": 48, "height": 128, "width": 128}
            assert told["binary_data_shape"] == shape
            assert hashes.decode() == f"{study.input_hash}:{digest(text, body)}"
            mask = np.frombuffer(body, np.uint8).reshape(48, 128, 128) > 127
            overlap = 2 * np.count_nonzero(mask & made.lesion)
            assert overlap / (np.count_nonzero(mask) + np.count_nonzero(made.lesion)) > 0.8
