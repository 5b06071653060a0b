"""Who may ask for inference, where the gateway itself is to check it: API keys, off by default.

A key is compared by its digest with all digests there are, in a time that tells nothing of either. Keys are
in no log line and no answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference_gateway.errors import SetupFailed, Unauthorized
from inference_gateway.settings import API_KEY, Settings
from inference_gateway.telemetry.logs import logger

_TOLD_BYTES = 6  # of a key's digest: enough to tell keys apart, and no way back to one that was made well
_READ_AGAIN = 5.0  # seconds after which a change of the file is seen


class ApiKeys:
    """The keys of one gateway. `given`: those of the environment. `file`: one a line, `#` for comments."""

    def __init__(self, given: Sequence[str], file: Path | None = None) -> None:
        self._given = _digests(given)
        self._file = file
        self._digests = self._given

    @classmethod
    def of(cls, settings: Settings) -> ApiKeys | None:
        """Return the keys of the settings, None where no keys are asked for."""
        if settings.api_keys is None and settings.api_keys_file is None:
            return None
        given = "" if settings.api_keys is None else settings.api_keys.get_secret_value()
        return cls([key.strip() for key in given.split(",") if key.strip()], settings.api_keys_file)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the first digits of the digest of the headers' key, `X-API-Key` or a bearer token.

        Raises `Unauthorized` where there is none.

        `X-API-Key` goes before `Authorization`; more than one of the one that counts is none.
        """
        found: dict[bytes, list[bytes]] = {b"x-api-key": [], b"authorization": []}
        for name, value in headers:
            found.get(name.lower(), []).append(value.strip(b" \t"))
        values = found[b"x-api-key"] or [_bearer(value) for value in found[b"authorization"]]
        if len(values) != 1:
            raise Unauthorized
        digest = hashlib.sha256(values[0]).digest()
        matches = [hmac.compare_digest(digest, each) for each in self._digests]  # all of them, always
        if not any(matches):
            raise Unauthorized
        return digest[:_TOLD_BYTES].hex()

    def load(self) -> None:
        """Read the file; blocks. Raises `SetupFailed` where it cannot be read or is no list of keys."""
        if self._file is None:
            return
        try:
            lines = self._file.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise SetupFailed(f"GATEWAY_API_KEYS_FILE cannot be read: {reason}") from None
        keys = []
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                if not API_KEY.fullmatch(line):
                    raise SetupFailed(f"GATEWAY_API_KEYS_FILE: line {number} is no key: no blanks, no commas")
                keys.append(line)
        if not keys:  # perhaps somebody is just writing it
            raise SetupFailed("GATEWAY_API_KEYS_FILE has no key in it: put one on a line of its own")
        self._digests = self._given + _digests(keys)

    async def keep_fresh(self) -> None:
        """Read the file every few seconds, for ever. While it cannot be used, the keys stay as they were."""
        failure = ""
        while self._file is not None:
            await asyncio.sleep(_READ_AGAIN)
            try:
                await asyncio.to_thread(self.load)
                failure = ""
            except SetupFailed as error:
                if str(error) != failure:
                    failure = str(error)
                    logger.error("the API keys stay as they were: %s", failure)


def _digests(keys: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)


def _bearer(value: bytes) -> bytes:
    """Return the token of an Authorization header (RFC 6750 §2.1), empty where it is of another scheme."""
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
