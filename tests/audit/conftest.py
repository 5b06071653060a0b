"""What the tests of the audit share."""

from collections.abc import Iterator

import pytest

from tests.audit.buckets import CREDENTIALS, Bucket, service


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds in the environment, and nothing of this machine's own."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with service() as port:
        yield port


@pytest.fixture
def bucket(s3_port: int, credentials: None) -> Iterator[Bucket]:
    made = Bucket(s3_port)
    made.make()
    yield made
    made.close()
