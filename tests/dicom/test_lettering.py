"""Text that can be read, whatever script it is in and whatever fonts there are."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference_gateway.dicom import lettering
from inference_gateway.dicom.lettering import draw_text, width_of

WHITE = (255, 255, 255)


def drawn(text: str, points: int = 24) -> NDArray[np.uint8]:
    picture = Image.new("RGB", (600, 60))
    draw_text(ImageDraw.Draw(picture), (5, 5), text, points, WHITE, outline=0)
    return np.asarray(picture)[..., 0]


def box_of_a_missing_letter() -> NDArray[np.uint8]:
    picture = Image.new("RGB", (600, 60))
    font = lettering._font("", 24)
    ImageDraw.Draw(picture).text((5, 29), "\U0010fffe", font=font, fill=WHITE, anchor="ls")
    return np.asarray(picture)[..., 0]


@pytest.mark.parametrize("text", ["ü", "Ł", "é", "ß", "д", "λ", "肝", "간", "ع", "ह", "\U0001f600", "\ue000"])
def test_no_letter_is_the_box_of_one_that_is_missing(text: str) -> None:
    assert not np.array_equal(drawn(text), box_of_a_missing_letter())


def test_letters_that_no_font_has_are_shown_as_what_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without any font but Pillow's own."""
    monkeypatch.setattr(lettering, "_paths", lambda: ())
    lettering._path_for.cache_clear()
    try:
        assert np.array_equal(drawn("e"), drawn("e\u0489"))
        assert np.array_equal(drawn("肝"), drawn("·"))
        assert np.array_equal(drawn("\u1e05"), drawn("b")) or lettering._path_for("\u1e05") == ""
    finally:
        lettering._path_for.cache_clear()


@pytest.mark.parametrize("text", ["", "\n", "a\nb\tc", "\0\x1b[31m", "\ud800", "\u202eabc", "́"])
def test_no_text_is_an_error(text: str) -> None:
    drawn(text)
    assert width_of(text, 12) >= 0


def test_a_line_is_as_wide_as_it_says_and_its_letters_stand_on_one_line() -> None:
    canvas = drawn("Haus 12", 24)
    columns = np.nonzero(canvas.any(axis=0))[0]
    assert columns.max() - columns.min() == pytest.approx(width_of("Haus 12", 24), abs=6)
    rows = [np.nonzero(drawn(letter).max(axis=1) > 128)[0].max() for letter in "HZ12"]
    assert max(rows) - min(rows) <= 1
