"""Colours of every kind that is drawn become RGB of 8 bits; others are refused."""

import numpy as np
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
)

from inference_gateway.dicom.pixels import (
    PixelDataError,
    display_values,
    modality_values,
)
from tests.dicom.decoding import array, pixels, real
from tests.dicom.objects import color_image, image

COLORS = np.array(
    [[[255, 0, 0], [0, 255, 0], [10, 20, 30]], [[0, 0, 255], [255, 255, 255], [0, 0, 0]]], np.uint8
)


def luma(color: list[int]) -> float:
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_is_shown_as_it_is_and_gives_its_luma(planar: int) -> None:
    dataset = color_image(COLORS, PlanarConfiguration=planar)
    if planar:
        dataset.PixelData = COLORS.transpose(2, 0, 1).tobytes()
    decoded = pixels(dataset)
    assert display_values(decoded).tolist() == COLORS.tolist()
    assert modality_values(decoded) == pytest.approx(
        np.array([[luma(c) for c in row] for row in COLORS.tolist()])
    )


def test_sixteen_bit_rgb_is_scaled_to_eight() -> None:
    assert display_values(pixels(color_image(COLORS.astype(np.uint16) * 257))).tolist() == COLORS.tolist()


def test_ybr_full_becomes_rgb() -> None:
    def ybr(color: list[int]) -> list[int]:
        """PS3.3 C.7.6.3.1.2."""
        red, green, blue = color
        chroma_blue = -0.1687 * red - 0.3313 * green + 0.5000 * blue + 128
        chroma_red = 0.5000 * red - 0.4187 * green - 0.0813 * blue + 128
        return [min(255, round(value)) for value in (luma(color), chroma_blue, chroma_red)]

    stored = np.array([[ybr(color) for color in row] for row in COLORS.tolist()], np.uint8)
    shown = display_values(pixels(color_image(stored, PhotometricInterpretation="YBR_FULL")))
    assert np.abs(shown.astype(int) - COLORS).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(bits: int) -> None:
    dataset = image(
        array([0, 1, 2, 3], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", Modality="US"
    )
    tables = {"Red": [9, 1, 2, 0], "Green": [8, 3, 4, 0], "Blue": [7, 5, 255, 0]}
    scale = 1 if bits == 8 else 257
    for name, entries in tables.items():
        data = np.array(entries, np.dtype(f"<u{bits // 8}")) * scale
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4, 1, bits])
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", data.astype(f"<u{bits // 8}").tobytes())
    expected = [[9, 8, 7], [9, 8, 7], [1, 3, 5], [2, 4, 255]]
    decoded = pixels(dataset)
    assert display_values(decoded).tolist() == [expected]
    assert modality_values(decoded)[0] == pytest.approx([luma(color) for color in expected])


def test_a_palette_that_is_missing_is_an_error() -> None:
    dataset = image(array([0, 1], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(PixelDataError, match="its palette cannot be applied"):
        pixels(dataset)


def test_a_real_palette_image_is_coloured() -> None:
    shown = display_values(pixels(real("examples_palette.dcm")))
    assert shown.shape == (350, 800, 3)
    assert (shown[..., 0] != shown[..., 2]).any()
    assert shown.max() > 200


def test_a_palette_of_a_big_endian_image_keeps_its_colours() -> None:
    dataset = image(
        array([0, 1, 2], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", Modality="US"
    )
    for name, entries in {"Red": [0xFF00, 0x0100, 0], "Green": [0, 0, 0x8000], "Blue": [1, 2, 3]}.items():
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [3, 0, 16])
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", np.array(entries, ">u2").tobytes())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert display_values(pixels(dataset)).tolist() == [[[254, 0, 0], [1, 0, 0], [0, 128, 0]]]


@pytest.mark.parametrize("partial", [True, False])
def test_subsampled_native_colours_are_drawn(partial: bool) -> None:
    luma, chroma = ([16, 235, 16, 235], [128, 128]) if partial else ([0, 255, 0, 255], [128, 128])
    stored = np.array([[luma[0], luma[1], *chroma, luma[2], luma[3], *chroma]], np.uint8)
    dataset = color_image(np.zeros((1, 4, 3), np.uint8))
    dataset.PhotometricInterpretation = "YBR_PARTIAL_422" if partial else "YBR_FULL_422"
    dataset.PixelData = stored.tobytes()
    shown = display_values(pixels(dataset))
    assert shown.tolist() == [[[0] * 3, [255] * 3, [0] * 3, [255] * 3]]


@pytest.mark.parametrize("interpretation", ["HSV", "ARGB", "CMYK", "DOE JANE"])
def test_other_colours_are_refused_in_a_sentence_that_repeats_nothing(interpretation: str) -> None:
    dataset = color_image(COLORS, PhotometricInterpretation=interpretation)
    with pytest.raises(PixelDataError, match="its photometric interpretation is not drawn here"):
        pixels(dataset)


def test_values_beyond_a_palette_get_its_last_colour() -> None:
    dataset = image(array([0, 9], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR", Modality="US")
    for name in ("Red", "Green", "Blue"):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [2, 0, 8])
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", bytes([1, 2]))
    assert display_values(pixels(dataset)).tolist() == [[[1] * 3, [2] * 3]]


def test_luma_and_chroma_of_sixteen_bits_are_centred_on_their_middle() -> None:
    stored = np.full((1, 2, 3), 0x8000, np.uint16)
    stored[0, :, 0] = [0, 0xFFFF]
    shown = display_values(pixels(color_image(stored, PhotometricInterpretation="YBR_FULL")))
    assert shown.tolist() == [[[0] * 3, [255] * 3]]
