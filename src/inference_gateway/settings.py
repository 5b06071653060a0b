"""Every limit of the gateway: one frozen, typed object, read from the environment (`GATEWAY_...`)."""

from __future__ import annotations

import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    TypeAdapter,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from inference_gateway.multipart import Limits

API_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # visible ASCII without the comma

_BYTE_SIZE = TypeAdapter(ByteSize)


def _bytes(value: Any) -> Any:
    """`8GiB`, `1 MB` and plain numbers of bytes."""
    return int(_BYTE_SIZE.validate_python(value)) if isinstance(value, str) else value


def _time_limit(value: Any) -> Any:
    """Zero or `none` switches a time limit off."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return None
    return None if value is None or float(value) == 0 else value


def _keys(value: SecretStr) -> SecretStr:
    keys = [key.strip() for key in value.get_secret_value().split(",")]
    if not any(keys):
        raise ValueError("it is set but has no key in it: unset it where none are wanted")
    if not all(API_KEY.fullmatch(key) for key in keys if key):
        raise ValueError("a key has a blank or a character outside ASCII in it")
    return value


Bytes = Annotated[NonNegativeInt, BeforeValidator(_bytes)]
PositiveBytes = Annotated[PositiveInt, BeforeValidator(_bytes)]
TagValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9+=.:/@_ -]+$", max_length=256)]  # as S3 takes it
Seconds = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(_time_limit)]


class Settings(BaseSettings):
    """The gateway's settings. Each is read from the environment variable `GATEWAY_` + its name in capitals.

    Sizes are in bytes (`8GiB` works too), times in seconds; zero or `none` switches a time limit off.
    Raises `pydantic.ValidationError` for a value that does not fit.
    """

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    max_body_bytes: PositiveBytes = Field(
        default=8 << 30,
        description="bytes of a request's body; over it: 413. Bounds the disk one request takes",
    )
    max_parts: PositiveInt = Field(
        default=10_000,
        description="parts of a request, root part included; over it: 413. Bounds the list of inputs",
    )
    max_part_bytes: PositiveBytes = Field(
        default=4 << 30, description="bytes of one part's body; over it: 413"
    )
    max_root_bytes: PositiveBytes = Field(
        default=1 << 20,
        description="bytes of the JSON part; over it: 413. Parsing it holds the GIL, so that probes wait",
    )
    max_part_headers: PositiveInt = Field(default=16, description="header fields of one part; over it: 413")
    max_part_header_bytes: PositiveBytes = Field(
        default=8 << 10, description="bytes of one part's header lines; over it: 413"
    )
    idle_timeout: Seconds = Field(default=30, description="seconds without a byte of the body; then 408")
    min_upload_rate: Bytes = Field(
        default=1 << 10,
        description="bytes per second, averaged over each IDLE_TIMEOUT; slower: 408. "
        "A client that trickles holds an upload slot; 0 switches it off",
    )
    upload_timeout: Seconds = Field(default=3600, description="seconds for a whole upload; then 408")
    queue_timeout: Seconds = Field(default=60, description="seconds of waiting for a model slot; then 503")
    model_timeout: Seconds = Field(default=600, description="seconds for one call of the model; then 504")
    send_timeout: Seconds = Field(
        default=60,
        description="seconds in which the client takes no byte of the answer; then the connection is cut",
    )
    drain_timeout: Seconds = Field(
        default=30,
        description="seconds that requests in flight get after SIGTERM or SIGINT; then they are cut",
    )
    header_timeout: Seconds = Field(
        default=10, description="seconds for a request's header; then the connection is closed (serve only)"
    )
    max_request_header_bytes: PositiveBytes = Field(
        default=32 << 10, description="bytes of a request's header; over it: 431 (serve only)"
    )
    max_request_headers: PositiveInt = Field(
        default=100, description="header fields of a request; over it: 431 (serve only)"
    )
    keep_alive_timeout: Seconds = Field(
        default=5, description="seconds an idle connection stays open between requests (serve only)"
    )
    model_concurrency: PositiveInt = Field(
        default=1, description="calls of the model at once, per route. One model on one GPU wants one"
    )
    isolation: Literal["thread", "process"] = Field(
        default="thread",
        description="where models run: on threads of the gateway, or in processes of their own, which can be "
        "ended. Per route too",
    )
    cancel_grace: Seconds = Field(
        default=5,
        description="seconds after the deadline until a model's process is killed (isolation process only)",
    )
    kill_abandoned: bool = Field(
        default=False,
        description="kill a model's process also when its client has left, CANCEL_GRACE later: the next "
        "request then waits for a set-up (isolation process only)",
    )
    model_memory_bytes: Bytes = Field(
        default=0,
        description="bytes of data that a model's process may have; more is a MemoryError in the model. 0: "
        "no limit (isolation process only)",
    )
    orphaned_unready_after: Seconds = Field(
        default=60,
        description="seconds for which every slot of a route is held by a call that nobody waits for; then "
        "/healthcheck says 503",
    )
    orphaned_unhealthy_after: Seconds = Field(
        default=None,
        description="seconds of the same after which /ping says 503 too, so that the pod is restarted",
    )
    max_queue: PositiveInt = Field(
        default=16,
        description="requests admitted but not yet in their model slot, uploading ones too, per route; "
        "over it: 503",
    )
    max_uploads: PositiveInt = Field(
        default=32, description="bodies being received at once; over it: 503. Bounds memory: a few MiB each"
    )
    refuse_after_body: bool = Field(
        default=False,
        description="read the rest of a refused request's body before the answer, at most 10 s and 256 MiB. "
        "For a gateway behind a proxy that loses an answer which comes while it still sends",
    )
    spool_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()),
        description="folder for the bodies in flight, as unlinked files; by default the system's temp folder",
    )
    spool_memory_bytes: Bytes = Field(
        default=8 << 20,
        description="bytes of a body that stay in memory before the spool becomes a file, which costs more "
        "time than the hash. A request that waits for its model keeps them",
    )
    spool_quota_bytes: Bytes = Field(
        default=0,
        description="bytes of spool files of all requests of this process together; over it: 507. 0: none",
    )
    worker_timeout: Seconds = Field(
        default=900,
        description="seconds in which a worker's event loop does not turn; then it is killed and replaced. "
        "Longer than a model may hold Python's lock (serve --workers only)",
    )
    api_keys: Annotated[SecretStr, AfterValidator(_keys)] | None = Field(
        default=None,
        description="comma-separated keys; a request without one: 401. none: everybody may ask. For probes "
        "no key is needed",
    )
    api_keys_file: Path | None = Field(
        default=None, description="file with more keys, one a line; a change is seen within ten seconds"
    )
    validation: Literal["off", "warn", "strict"] = Field(
        default="warn",
        validation_alias="GATEWAY_VALIDATE",
        description="what is done about an answer that contradicts its contract: nothing, a line in the log "
        "for each fault and a header that counts them, or 500. What no client can read is 500 with warn, "
        "too. Per route too",
    )
    audit_dir: Path | None = Field(
        default=None,
        description="folder of the audit log, a line for each inference (docs/audit.md). none: no audit log",
    )
    audit_file_bytes: PositiveBytes = Field(
        default=64 << 20, description="bytes of an audit file, about; then the next one begins"
    )
    audit_required: bool = Field(
        default=False,
        description="while the disk takes no audit records, or the outbox is full, /healthcheck says 503",
    )
    audit_s3_bucket: str | None = Field(
        default=None,
        description='S3 bucket that gets an object for each answer, input_hash:output_hash (extra "s3")',
    )
    audit_s3_vendor: TagValue = Field(
        default="Unknown", description="value of the tag Vendor of these objects: who provides the model"
    )
    audit_s3_endpoint: str | None = Field(
        default=None, description="URL of the bucket's service, where it is not Amazon's"
    )
    audit_outbox_dir: Path | None = Field(
        default=None,
        description="folder for what is still to be sent to the bucket; by default AUDIT_DIR/outbox",
    )
    audit_outbox_bytes: PositiveBytes = Field(
        default=1 << 30,
        description="bytes that one worker's outbox may have; beyond it records for the bucket are lost, "
        "which the log says, and gateway_audit_lost_total counts",
    )
    metrics: bool = Field(default=True, description="serve Prometheus metrics on /metrics")
    tracing: bool | None = Field(
        default=None,
        description="send spans of each request to an OTLP receiver, which OpenTelemetry's own variables "
        'name (extra "otel"). Not set: where these ask for it',
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="form of the log lines, text or json (serve only)"
    )

    @cached_property
    def part_limits(self) -> Limits:
        """What the decoder must not let pass."""
        return Limits(
            parts=self.max_parts,
            part_bytes=self.max_part_bytes,
            headers=self.max_part_headers,
            header_bytes=self.max_part_header_bytes,
        )
