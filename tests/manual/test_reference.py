"""No page that is made of the code differs from it."""

import pytest

from inference_gateway.cli import main
from inference_gateway.description.problems import problem_kinds
from inference_gateway.settings import Settings
from manual.reference import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else: `make docs`, or `python -m manual`."""
    for variable in ("GATEWAY_VALIDATE", "GATEWAY_HOST", "GATEWAY_PORT"):
        monkeypatch.delenv(variable, raising=False)
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_setting_is_told() -> None:
    text = PAGES["settings.md"]()
    assert text.count("| `GATEWAY_") == len(Settings.model_fields)
    assert "| `GATEWAY_MAX_BODY_BYTES` | `8GiB` |" in text
    assert "| `GATEWAY_ORPHANED_UNHEALTHY_AFTER` | off |" in text
    assert "| `GATEWAY_SPOOL_DIR` | the system's temp folder |" in text
    assert "| `GATEWAY_METRICS` | `true` |" in text


def test_every_command_is_told_with_its_options() -> None:
    text = PAGES["command-line.md"]()
    for name in main.commands:
        assert f"\n## `inference-gateway {name}`\n" in text
    assert "| `--workers INTEGER RANGE` |" in text
    assert "GATEWAY_WORKERS" in text
    assert "--reports" not in text, "what is hidden is not told"


def test_every_error_is_told() -> None:
    text = PAGES["errors.md"]()
    for kind in problem_kinds():
        assert f"| {kind.status} | `{kind.error.__name__}` |" in text
    assert "| `HashMismatch` | `BrokenAnswer` |" in text


def test_every_decision_is_listed() -> None:
    listed = PAGES["decisions/README.md"]()
    for path in (DOCS / "decisions").glob("0*.md"):
        assert f"]({path.name})" in listed
