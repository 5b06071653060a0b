"""Text in any script onto a picture, with the fonts that this machine has.

Each character is drawn with the first font that has it: Pillow's own, then those of the system that cover
Latin, Greek, Cyrillic, and Chinese, Japanese and Korean. What no font has is drawn without its accents, else
as a dot in the middle: never as a box, and never as an error.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

from inference_gateway.extras import extra

with extra("dicom", needs=__name__):
    from PIL import ImageDraw, ImageFont

Color = tuple[int, int, int]

OUTLINE: Color = (0, 0, 0)

# Where systems keep fonts, and those that are looked for there, in this order.
_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": (os.path.expandvars(r"%WINDIR%\Fonts"),),
}.get(sys.platform, ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts"))
_NAMES = (
    *(
        "DejaVuSans.ttf",
        "LiberationSans-Regular.ttf",
        "NotoSans-Regular.ttf",
        "arial.ttf",
        "Arial Unicode.ttf",
    ),
    *(
        "NotoSansCJK-Regular.ttc",
        "NotoSansCJKjp-Regular.otf",
        "wqy-microhei.ttc",
        "DroidSansFallbackFull.ttf",
    ),
    *("msgothic.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc"),
    *("NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf"),
    *("NotoSansThai-Regular.ttf", "Symbola.ttf", "unifont.otf"),
)

# No character: what a font draws for it, it draws for all that it lacks.
_MISSING = "\U0010fffe"
_DOT = "·"


def draw_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    points: int,
    color: Color,
    outline: int = 1,
) -> None:
    """Draw one line of text with its upper left corner at a place, in a black outline so many pixels wide."""
    x, y = place
    baseline = y + points  # letters of several fonts stand on one line
    for font, piece in _pieces(text, points):
        draw.text(
            (x, baseline),
            piece,
            font=font,
            fill=color,
            stroke_width=outline,
            stroke_fill=OUTLINE,
            anchor="ls",
        )
        x += font.getlength(piece)


def width_of(text: str, points: int) -> float:
    """Return how many pixels wide a line of text is."""
    return sum(font.getlength(piece) for font, piece in _pieces(text, points))


def _pieces(text: str, points: int) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
    """Yield text in pieces, each with the font that has it."""
    shown = "".join(_shown(one) for one in unicodedata.normalize("NFC", text))
    for path, piece in groupby(shown, key=_path_for):
        yield _font(path, points), "".join(piece)


def _shown(character: str) -> str:
    """Return a character that some font has: itself, or what is nearest."""
    if character.isspace() or not character.isprintable():
        return " "
    if _path_for(character) is not None:
        return character
    if unicodedata.category(character).startswith("M"):  # a mark without the letter below it
        return ""
    bare = unicodedata.normalize("NFKD", character)[:1]
    return bare if bare != character and _path_for(bare) is not None else _DOT


@cache
def _path_for(character: str) -> str | None:
    """Return the path of the first font that has a character, "" for Pillow's own, None where none has it."""
    return next((path for path in ("", *_paths()) if _has(path, character)), None)


def _has(path: str, character: str) -> bool:
    if character == " ":
        return True
    font = _font(path, 24)
    try:
        mask, missing = (font.getmask(one) for one in (character, _MISSING))
    except RuntimeError:  # of the library that lays out text
        return False
    return mask.getbbox() is not None and (mask.size, bytes(mask)) != (missing.size, bytes(missing))


@cache
def _paths() -> tuple[str, ...]:
    """Return the fonts that are there, in the order of their names."""
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        for path in sorted(Path(folder).expanduser().rglob("*.[to]t[fc]")):
            found.setdefault(path.name, str(path))
    return tuple(found[name] for name in _NAMES if name in found)


@cache
def _font(path: str | None, points: int) -> ImageFont.FreeTypeFont:
    """Return a font of a size; Pillow's own where it has no path, or cannot be read."""
    if path:
        try:
            return ImageFont.truetype(path, points)
        except OSError:
            pass
    font = ImageFont.load_default(points)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow is made with FreeType, or has no sizes
    return font
