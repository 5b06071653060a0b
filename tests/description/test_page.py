"""The page: all of the document, no script, nothing from elsewhere, nothing unescaped."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

from inference_gateway.description.document import document
from inference_gateway.description.page import POLICY, page
from inference_gateway.description.served import served

EVIL = '<script>alert("1")</script>'


class Read(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids.extend(value for name, value in attrs if name == "id" and value)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def links(self) -> set[str]:
        return {str(attributes["href"]) for tag, attributes in self.tags if "href" in attributes}


def test_it_tells_all_of_the_document() -> None:
    told = served(document(), {"/": "liver", "/lung": "lung"})
    text = page(told)
    for path in told["paths"]:
        assert f"<code>{path}</code></h2>" in text
    for name in told["components"]["schemas"]:
        assert f'<h3 id="shape-{name}">' in text
    for status in ("408", "413", "507", "4XX"):
        assert f"<td><code>{status}</code></td>" in text
    assert "<code>GET</code> <code>HEAD</code> <code>POST</code> <code>/ping</code>" in text


def test_it_loads_nothing() -> None:
    found = Read(page(served(document(), {"/": "liver"})))
    assert {tag for tag, _ in found.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "form",
        "base",
    } == set()
    assert not any(name.startswith(("src", "on", "style")) for _, given in found.tags for name in given)
    assert {link for link in found.links() if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in found.links() if link.startswith("#")} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_its_policy_allows_its_style_and_nothing_else() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page(document()), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert POLICY.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in POLICY


def test_what_comes_from_an_application_is_text() -> None:
    text = page(served(document(), {f"/{EVIL}": EVIL}, server=f'/"{EVIL}'))
    Read(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
