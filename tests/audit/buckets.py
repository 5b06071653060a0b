"""An S3 service of this machine: moto's server, spoken to over HTTP."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    """A port where nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Bucket:
    """A bucket of its own in such a service, as its owner sees it."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.name = f"audit-{uuid.uuid4().hex}"
        keys = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
        )

    def make(self) -> None:
        self._client.create_bucket(Bucket=self.name)

    def names(self) -> list[str]:
        return [each["Key"] for each in self._client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def content(self, name: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self.name, Key=name)["Body"].read()
        return content

    def tags(self, name: str) -> dict[str, str]:
        found = self._client.get_object_tagging(Bucket=self.name, Key=name)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def close(self) -> None:
        self._client.close()


@contextmanager
def service(port: int = 0) -> Iterator[int]:
    """Runs the service; gives its port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()
