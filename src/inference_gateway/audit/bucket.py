"""An S3 bucket, as the old SDK's auditor wrote to it: an object for each inference.

Its name is `input_hash:output_hash`, its tag `Vendor` says who provides the model. The old one was empty;
this one has the audit record as JSON. Credentials and region are found as boto3 finds them.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

from inference_gateway.extras import extra

AT_ONCE = 8
"""Objects that are being sent at the same time."""

_CONNECT_SECONDS, _ANSWER_SECONDS = 3.0, 10.0


class NotSent(Exception):
    """The bucket did not take an object; the message says why, in one word."""


class Bucket:
    """A bucket. `endpoint`: of another store than Amazon's, or None. Its methods may run on several threads.

    Raises `ModuleNotFoundError` where boto3 is missing, and `NotSent` where region or endpoint are no good.
    """

    def __init__(self, name: str, vendor: str, endpoint: str | None) -> None:
        with extra("s3", "GATEWAY_AUDIT_S3_BUCKET"):
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        for library in ("boto3", "botocore"):
            logging.getLogger(library).setLevel(logging.INFO)  # below that they log every header
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            max_pool_connections=AT_ONCE,
            retries={"total_max_attempts": 1},  # the sender tries again
        )
        self._name = name
        self._tags = urlencode({"Vendor": vendor})
        try:
            self._client: Any = boto3.client("s3", endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise NotSent(type(error).__name__) from None

    def put(self, name: str, content: bytes) -> None:
        """Write an object; waits for the answer. Raises `NotSent`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(
                Bucket=self._name,
                Key=name,
                Body=content,
                ContentType="application/json",
                Tagging=self._tags,
            )
        except ClientError as error:
            raise NotSent(error.response.get("Error", {}).get("Code", "ClientError")) from None
        except BotoCoreError as error:
            raise NotSent(type(error).__name__) from None

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
