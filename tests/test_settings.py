"""Settings: their names, defaults and forms."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from inference_gateway import Settings

pytestmark = pytest.mark.usefixtures("defaults")

MIB, GIB = 1 << 20, 1 << 30

DEFAULTS: dict[str, Any] = {
    "max_body_bytes": 8 * GIB,
    "max_parts": 10_000,
    "max_part_bytes": 4 * GIB,
    "max_root_bytes": MIB,
    "max_part_headers": 16,
    "max_part_header_bytes": 8 << 10,
    "idle_timeout": 30,
    "min_upload_rate": 1 << 10,
    "upload_timeout": 3600,
    "queue_timeout": 60,
    "model_timeout": 600,
    "send_timeout": 60,
    "drain_timeout": 30,
    "header_timeout": 10,
    "max_request_header_bytes": 32 << 10,
    "max_request_headers": 100,
    "keep_alive_timeout": 5,
    "model_concurrency": 1,
    "orphaned_unready_after": 60,
    "orphaned_unhealthy_after": None,
    "max_queue": 16,
    "max_uploads": 32,
    "refuse_after_body": False,
    "spool_memory_bytes": 8 * MIB,
    "spool_quota_bytes": 0,
    "worker_timeout": 900,
    "api_keys": None,
    "api_keys_file": None,
    "isolation": "thread",
    "cancel_grace": 5,
    "kill_abandoned": False,
    "model_memory_bytes": 0,
    "validation": "warn",
    "audit_dir": None,
    "audit_file_bytes": 64 * MIB,
    "audit_required": False,
    "tracing": None,
    "audit_s3_bucket": None,
    "audit_s3_vendor": "Unknown",
    "audit_s3_endpoint": None,
    "audit_outbox_dir": None,
    "audit_outbox_bytes": GIB,
    "metrics": True,
    "log_format": "text",
}
TIMES = [name for name in DEFAULTS if name.endswith(("_timeout", "_after", "_grace"))]
SIZES = [name for name in DEFAULTS if name.endswith("_bytes")] + ["min_upload_rate"]
COUNTS = [
    "max_parts",
    "max_part_headers",
    "max_request_headers",
    "model_concurrency",
    "max_queue",
    "max_uploads",
]
SWITCHES = {"refuse_after_body", "kill_abandoned", "audit_required", "tracing"}
TEXTS = {"audit_s3_bucket", "audit_s3_vendor", "audit_s3_endpoint"}
FOLDERS = {"audit_dir", "audit_outbox_dir"}
MAY_BE_ZERO = ["model_memory_bytes", "min_upload_rate", "spool_memory_bytes", "spool_quota_bytes"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GATEWAY_{name.upper()}", raising=False)


def test_names_and_defaults() -> None:
    assert Settings().model_dump() == DEFAULTS | {"spool_dir": Path(tempfile.gettempdir())}
    assert list(Settings.model_fields) == list(Settings().model_dump())


def test_the_lists_above_cover_every_field() -> None:
    assert {
        *TIMES,
        *SIZES,
        *COUNTS,
        "api_keys",
        "api_keys_file",
        "metrics",
        "log_format",
        "isolation",
        "validation",
    } | SWITCHES | TEXTS | FOLDERS == set(DEFAULTS)


def test_every_field_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description
        if name in TIMES:
            assert "second" in field.description, name
        if name in SIZES:
            assert "bytes" in field.description, name


def test_spools_rest_in_the_temp_folder_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert Settings().spool_dir == tmp_path


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what tests have in their environment."""
    monkeypatch.delenv("GATEWAY_VALIDATE", raising=False)


@pytest.mark.parametrize("name", [*DEFAULTS, "spool_dir"])
def test_each_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, value = {
        "api_keys": ("a, b", SecretStr("a, b")),
        "api_keys_file": ("/run/keys", Path("/run/keys")),
        "metrics": ("false", False),
        "refuse_after_body": ("true", True),
        "kill_abandoned": ("true", True),
        "isolation": ("process", "process"),
        "log_format": ("json", "json"),
        "validation": ("strict", "strict"),
        "spool_dir": ("/var/spool", Path("/var/spool")),
        "audit_required": ("true", True),
        "tracing": ("true", True),
        **dict.fromkeys(TEXTS, ("text", "text")),
        **{name: ("/var/audit", Path("/var/audit")) for name in FOLDERS},
    }.get(name, ("7", 7))
    variable = {"validation": "GATEWAY_VALIDATE"}.get(name, f"GATEWAY_{name.upper()}")
    monkeypatch.setenv(variable, text)
    settings = Settings()
    assert getattr(settings, name) == value
    others = {key: default for key, default in DEFAULTS.items() if key != name}
    assert settings.model_dump(exclude={name, "spool_dir"}) == others


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MAX_PARTS", "7")
    assert Settings(max_parts=8).max_parts == 8
    assert Settings().max_parts == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8GiB", 8 * GIB),
        ("8 GiB", 8 * GIB),
        ("8gib", 8 * GIB),
        ("1MB", 1_000_000),
        ("1.5MiB", 3 * MIB // 2),
        ("512", 512),
        ("512b", 512),
        ("1KiB", 1024),
    ],
)
@pytest.mark.parametrize("name", SIZES)
def test_sizes_have_units(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: int) -> None:
    monkeypatch.setenv(f"GATEWAY_{name.upper()}", text)
    assert getattr(Settings(), name) == value
    assert getattr(Settings.model_validate({name: text}), name) == value
    assert getattr(Settings.model_validate({name: value}), name) == value


@pytest.mark.parametrize("text", ["none", "None", "NONE", " none ", "0", "0.0"])
@pytest.mark.parametrize("name", TIMES)
def test_zero_or_none_switches_a_time_limit_off(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"GATEWAY_{name.upper()}", text)
    assert getattr(Settings(), name) is None


@pytest.mark.parametrize("value", [0, 0.0, None, "none", "0"])
def test_zero_or_none_as_an_argument(value: Any) -> None:
    assert Settings(idle_timeout=value).idle_timeout is None


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("0.25", 0.25), ("1e2", 100)])
def test_times_are_seconds(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv("GATEWAY_QUEUE_TIMEOUT", text)
    assert Settings().queue_timeout == seconds


@pytest.mark.parametrize("name", MAY_BE_ZERO)
def test_these_sizes_may_be_zero(name: str) -> None:
    assert getattr(Settings.model_validate({name: "0"}), name) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in TIMES for value in ("-1", "x", "nan", "inf", "1s")],
        *[(name, value) for name in SIZES for value in ("-1", "x", "1 XB", "none", "")],
        *[(name, "0") for name in SIZES if name not in MAY_BE_ZERO],
        *[(name, value) for name in COUNTS for value in ("0", "-1", "x", "1.5", "none", "")],
        *[("api_keys", value) for value in ("", " ", ",", "a b", "a,\u00e4", "a\tb")],
        *[("audit_s3_vendor", value) for value in ("", "a,b", "a\tb", "\u00e4", 257 * "a")],
        ("metrics", "perhaps"),
        ("log_format", "xml"),
    ],
)
def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [error["loc"][0] for error in caught.value.errors()] == [name]


def test_keys_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS", "SECRET")
    assert "SECRET" not in f"{Settings()!r} {Settings()} {Settings().api_keys}"
    monkeypatch.setenv("GATEWAY_API_KEYS", "SECRET with blanks")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "SECRET" not in str(caught.value)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_part"):
        Settings.model_validate({"max_part": 1})


def test_it_is_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.max_parts = 1
    assert settings.max_parts == 10_000
