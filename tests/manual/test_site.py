"""The site: every page is in its navigation, it builds without a warning and loads nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manual.documents import PATHS, ROOT

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PARTS = ["Start", "How to", "Reference", "Explanation"]

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed: make docs"
)


def listed(pages: list[Any]) -> Iterator[str]:
    for page in pages:
        if isinstance(page, dict):
            for inside in page.values():
                yield from listed(inside)
        elif page.endswith("/*"):
            yield from (
                path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob(f"{page}.md")
            )
        else:
            yield page


def on_site(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix().removeprefix("docs/")
    return "index.md" if name == "README.md" else name


def test_it_has_four_parts() -> None:
    assert [title for part in CONFIG["nav"] for title in part] == PARTS


def test_every_page_is_in_the_navigation_once() -> None:
    """A new page gets a line in `nav` of mkdocs.yml."""
    pages = [page for page in listed(CONFIG["nav"]) if page != "decisions/README.md"]
    there = [page for page in map(on_site, PATHS) if page != "decisions/README.md"]
    assert sorted(pages) == sorted(there)


def test_nothing_is_asked_for_from_elsewhere() -> None:
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["strict"] is True
    assert CONFIG["plugins"] == ["search"]
    assert not any(key in CONFIG for key in ("extra_javascript", "extra_css", "repo_url", "site_url"))


@needs_mkdocs
@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    operations = (tmp_path / "site" / "operations.html").read_text()
    assert 'href="deploy/fronts/nginx.conf"' in operations
    assert (tmp_path / "site" / "deploy" / "fronts" / "nginx.conf").exists()
    assert 'href="wire.html"' in (tmp_path / "site" / "index.html").read_text()


@needs_mkdocs
@pytest.mark.parametrize(
    "wrong",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/x.css">',
        "<style>@import 'https://fonts.example.org/x.css'</style>",
        '<div style="background: url(https://example.org/x.png)">',
        '<img alt="" src=http://example.org/x.png>',
    ],
)
def test_a_page_that_loads_from_elsewhere_ends_the_build(wrong: str, tmp_path: Path) -> None:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.exceptions import PluginError

    from manual.hooks import on_post_build

    config = MkDocsConfig()
    config.site_dir = str(tmp_path)
    (tmp_path / "page.html").write_text('<a href="https://example.org">a link is none of that</a>')
    on_post_build(config)
    (tmp_path / "page.html").write_text(wrong)
    with pytest.raises(PluginError, match=re.escape("page.html loads from elsewhere")):
        on_post_build(config)
