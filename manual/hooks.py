"""What MkDocs needs to build the site of documents that are written to be read in the repository.

A path of the repository is the same on the site, without `docs/`; the README is its first page. So a link
from `docs/` to `../examples/` leads somewhere on the site, too: what a page links to is a part of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md")
"""Pages that are not in docs/."""

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
_RESOURCE = re.compile(
    r"<(?:script|img|iframe|source|object|embed|link)\b[^>]*?(?:src|href|data)=[\"']?(?:https?:)?//[^>]*>"
    r"|@import\s+[\"']?(?:https?:)?//|url\(\s*[\"']?(?:https?:)?//[^)]*\)",
    re.IGNORECASE,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of each folder that is listed as `folder/*` into the navigation."""
    config.nav = list(_expanded(config.nav or []))
    return config


def _expanded(pages: list[Any]) -> Iterator[Any]:
    for page in pages:
        if isinstance(page, dict):
            yield {title: list(_expanded(inside)) for title, inside in page.items()}
        elif page.endswith("/*"):
            found = sorted((ROOT / "docs" / page[:-2]).glob("*.md"))
            yield from (f"{page[:-2]}/{path.name}" for path in found if path.name != "README.md")
        else:
            yield page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/: the pages beside it, and what any page links to."""
    for name in BESIDE:
        files.append(File.generated(config, _on_site(name), content=_text(name)))
    pages = [file for file in files if file.src_uri.endswith(".md")]
    for file in pages:
        for target in _linked(file):
            _add(target, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to where their targets are on the site."""
    here = page.file.src_uri
    return _LINK.sub(lambda found: _led(found[1], here), markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Raise `PluginError` where a page of the site would load something from elsewhere."""
    site = Path(config.site_dir)
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found = _RESOURCE.search(path.read_text(encoding="utf-8"))
        # What a search engine may be told is the page's own address is not loaded.
        if found and 'rel="canonical"' not in found[0]:
            raise PluginError(f"{path.relative_to(site)} loads from elsewhere: {found[0][:200]}")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _on_site(name: str) -> str:
    """Return where on the site a path of the repository is."""
    if name == "README.md":
        return "index.md"
    path = name.removeprefix("docs/")
    return path if (ROOT / name).is_file() else posixpath.join(path, "README.md")


def _in_repository(source: str) -> str:
    if source == "index.md":
        return "README.md"
    return f"docs/{source}" if (ROOT / "docs" / source).exists() else source


def _target(link: str, source: str) -> str | None:
    """Return where in the repository a link of a page leads to, None where it leads to another site."""
    if re.match(r"[a-z]+:", link):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(_in_repository(source)), link))


def _linked(file: File) -> Iterator[str]:
    for link in _LINK.findall(file.content_string):
        target = _target(link, file.src_uri)
        if target is not None:
            yield target


def _led(link: str, source: str) -> str:
    target = _target(link, source)
    if target is None:
        return link
    return posixpath.relpath(_on_site(target), posixpath.dirname(source) or ".")


def _add(target: str, files: Files, config: MkDocsConfig) -> None:
    """Add a file of the repository; of a folder its files, and a page that lists them where it has none."""
    path, place = ROOT / target, _on_site(target)
    if not path.exists() or files.get_file_from_path(place) is not None:
        return  # MkDocs itself warns of what is not there
    if path.is_file():
        files.append(File.generated(config, place, abs_src_path=str(path)))
        return
    inside = sorted(each.name for each in path.iterdir() if each.is_file())
    listed = "\n".join(f"- [{name}]({name})" for name in inside)
    text = f"# {target}\n\n{listed}\n"
    files.append(File.generated(config, place, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    for name in inside:
        _add(f"{target}/{name}", files, config)
