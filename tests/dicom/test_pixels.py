"""From stored pixels to modality values and to what is shown, against values worked out by hand."""

import io
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from inference_gateway.dicom.pixels import (
    PixelDataError,
    Pixels,
    Window,
    apply_window,
    display_values,
    is_hounsfield,
    modality_values,
    read_frames,
)
from inference_gateway.dicom.series import Source, frames_of, read_study
from inference_gateway.dicom.sources import read_dataset
from tests.dicom.objects import as_file, color_image, image, plane


def pixels_of(source: Dataset | Source) -> list[Pixels]:
    study = read_study([as_file(source) if isinstance(source, Dataset) else source])
    ((stack,),) = (series.stacks for series in study.series)
    return list(read_frames(stack.frames))


def pixels(source: Dataset | Source) -> Pixels:
    (only,) = pixels_of(source)
    return only


def array(*rows: list[int], dtype: Any = np.int16) -> NDArray[Any]:
    return np.array(rows, dtype=dtype)


def test_signed_values_are_rescaled() -> None:
    values = modality_values(
        pixels(image(array([-5, 0], [7, 2000]), RescaleSlope="2.5", RescaleIntercept="-1024"))
    )
    assert values.dtype == np.float32
    assert values.tolist() == [[-1036.5, -1024.0], [-1006.5, 3976.0]]


def test_twelve_bits_unsigned_without_rescale_are_themselves() -> None:
    stored = array([0, 4095], [1, 2048], dtype=np.uint16)
    assert modality_values(pixels(image(stored, BitsStored=12, HighBit=11))).tolist() == stored.tolist()


def test_values_that_float32_cannot_hold_become_infinite() -> None:
    values = modality_values(pixels(image(array([1, 0]), RescaleSlope="1e300", RescaleIntercept="0")))
    assert values.tolist() == [[math.inf, 0.0]]


def test_each_frame_has_its_own_rescale() -> None:
    dataset = image(np.array([[[1, 2]], [[3, 4]]], np.int16), NumberOfFrames=2)
    dataset.PerFrameFunctionalGroupsSequence = []
    for slope in (10, 100):
        transformation, group = Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = slope, 1
        group.PixelValueTransformationSequence = [transformation]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    assert [modality_values(one).tolist() for one in pixels_of(dataset)] == [[[11.0, 21.0]], [[301.0, 401.0]]]


def with_lut(descriptor: list[int]) -> Dataset:
    dataset = image(array([0, 1], [2, 3], dtype=np.uint16))
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", descriptor)
    lut.add_new("LUTData", "US", [10, 200, 3000])
    dataset.ModalityLUTSequence = [lut]
    return dataset


def test_a_modality_lut_is_looked_up_and_ends_at_its_ends() -> None:
    assert modality_values(pixels(with_lut([3, 1, 16]))).tolist() == [[10, 10], [200, 3000]]


def test_a_damaged_modality_lut_is_an_error() -> None:
    with pytest.raises(PixelDataError, match="Modality LUT"):
        modality_values(pixels(with_lut([3, 1, 99])))


def test_monochrome1_turns_what_is_shown_and_not_what_it_means() -> None:
    stored = array([0, 100, 200], dtype=np.uint16)
    window = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    light = pixels(image(stored, **window))
    dark = pixels(image(stored, PhotometricInterpretation="MONOCHROME1", **window))
    assert modality_values(dark).tolist() == modality_values(light).tolist() == stored.tolist()
    assert display_values(light).tolist() == [[0, 128, 255]]
    assert display_values(dark).tolist() == [[255, 127, 0]]


def linear(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, word for word, from 0 to 255."""
    if value <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if value > center - 0.5 + (width - 1) / 2:
        return 255.0
    return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255.0


def linear_exact(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if value <= center - width / 2:
        return 0.0
    return 255.0 if value > center + width / 2 else ((value - center) / width + 0.5) * 255.0


def sigmoid(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 255.0 / (1.0 + math.exp(-4.0 * (value - center) / width))


@pytest.mark.parametrize(
    ("center", "width"), [(40.0, 400.0), (-600.0, 1500.0), (0.5, 1.0), (2048.0, 4096.0), (3, 2)]
)
@pytest.mark.parametrize(
    ("function", "formula"), [("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)]
)
def test_windows_follow_the_standard(
    function: str, formula: Callable[[float, float, float], float], center: float, width: float
) -> None:
    values = [float(center) + step * width / 16 for step in range(-12, 13)]
    shown = apply_window(np.array(values, np.float32), Window(center, width, function))  # type: ignore[arg-type]  # one of the three
    expected = [formula(value, center, width) for value in values]
    assert shown.dtype == np.uint8
    assert np.abs(shown - np.array(expected)).max() <= 0.51


def test_values_that_are_no_numbers_can_be_shown() -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert apply_window(values, Window(0, 10, "LINEAR_EXACT")).tolist() == [128, 255, 0]
    assert apply_window(values, Window(0, 10, "SIGMOID")).tolist() == [128, 255, 0]


def test_the_first_window_of_an_image_is_its_own() -> None:
    stored = array([0, 50, 100, 300])
    dataset = image(stored, WindowCenter=[50, 200], WindowWidth=[101, 400])
    assert display_values(pixels(dataset)).tolist() == [
        [round(linear(v, 50, 101)) for v in (0, 50, 100, 300)]
    ]
    dataset.VOILUTFunction = "SIGMOID"
    assert display_values(pixels(dataset)).tolist() == [
        [round(sigmoid(v, 50, 101)) for v in (0, 50, 100, 300)]
    ]


def with_voi_lut(descriptor: list[int], data: list[int] | bytes, **attributes: Any) -> Dataset:
    """A CT image of -1000, 0, 100, 101, 102, 103 and 9000 with a VOI LUT."""
    lut = Dataset()
    lut.add_new("LUTDescriptor", "SS", descriptor)
    lut.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    values = array([-900, 100, 200, 201, 202, 203, 9100], dtype=np.int16)
    return image(values, RescaleSlope=1, RescaleIntercept=-100, VOILUTSequence=[lut], **attributes)


# Four entries for 100 to 103: 12 bits, from white down to black.
FALLING = [4095, 2000, 1000, 0]
FALLEN = [255, 255, 255, 125, 62, 0, 0]


@pytest.mark.parametrize("data", [FALLING, array(FALLING, dtype="<u2").tobytes()], ids=["US", "OW"])
def test_a_voi_lut_is_looked_up_where_there_is_no_window(data: list[int] | bytes) -> None:
    shown = with_voi_lut([4, 100, 12], data)
    assert display_values(pixels(shown)).ravel().tolist() == FALLEN
    turned = with_voi_lut([4, 100, 12], data, PhotometricInterpretation="MONOCHROME1")
    assert display_values(pixels(turned)).ravel().tolist() == [255 - one for one in FALLEN]


def test_a_voi_lut_of_eight_bits_is_shown_as_it_is() -> None:
    shown = display_values(pixels(with_voi_lut([3, 100, 8], [7, 8, 200])))
    assert shown.ravel().tolist() == [7, 7, 7, 8, 200, 200, 200]


def test_a_frame_has_its_own_voi_lut() -> None:
    dataset = with_voi_lut([4, 100, 12], FALLING)
    group, frame = Dataset(), Dataset()
    group.VOILUTSequence = dataset.VOILUTSequence
    frame.FrameVOILUTSequence = [group]
    del dataset.VOILUTSequence
    dataset.SharedFunctionalGroupsSequence = [frame]
    assert display_values(pixels(dataset)).ravel().tolist() == FALLEN


def test_a_window_goes_before_a_voi_lut() -> None:
    own = with_voi_lut([4, 100, 12], FALLING, WindowCenter=0, WindowWidth=400)
    assert display_values(pixels(own))[0, 1] == 128
    chosen = pixels(with_voi_lut([4, 100, 12], FALLING))
    assert display_values(chosen, Window(0, 400))[0, 1] == 128


@pytest.mark.parametrize("descriptor", [[4, 100, 7], [4, 100], [9, 100, 12]])
def test_a_voi_lut_that_cannot_be_applied_is_left_out(descriptor: list[int]) -> None:
    shown = display_values(pixels(with_voi_lut(descriptor, FALLING)))
    soft_tissue = [0, *(round(linear(value, 40, 400)) for value in (0, 100, 101, 102, 103)), 255]
    assert shown.ravel().tolist() == soft_tissue


def test_a_window_may_be_chosen() -> None:
    dataset = image(array([0, 50]), WindowCenter=50, WindowWidth=101)
    assert display_values(pixels(dataset), Window(25, 50, "LINEAR_EXACT")).tolist() == [[0, 255]]


def test_ct_without_window_shows_soft_tissue() -> None:
    shown = display_values(pixels(image(array([-160, 40, 240, 1000]), WindowWidth=0, WindowCenter=0)))
    assert shown.tolist() == [[round(linear(v, 40, 400)) for v in (-160, 40, 240, 1000)]]


def test_without_window_the_values_that_are_no_padding_make_the_range() -> None:
    dataset = image(array([-2000, 10, 20, 30]), Modality="MR", PixelPaddingValue=-2000)
    assert display_values(pixels(dataset)).tolist() == [[0, 0, 128, 255]]


@pytest.mark.parametrize("attributes", [{}, {"PixelPaddingValue": 7}])
def test_an_image_of_one_value_can_be_shown(attributes: dict[str, int]) -> None:
    shown = display_values(pixels(image(array([7, 7]), Modality="MR", **attributes)))
    assert shown.tolist() in ([[0, 0]], [[255, 255]])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, True),
        ({"RescaleType": "HU"}, True),
        ({"RescaleType": "US"}, False),
        ({"Modality": "MR"}, False),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, False),
    ],
)
def test_hounsfield_units_are_those_of_monochrome_ct(attributes: dict[str, str], expected: bool) -> None:
    assert is_hounsfield(image(array([1]), **attributes)) is expected


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


def real(name: str) -> str:
    return str(get_testdata_file(name, download=False))


def test_a_compressed_image_gives_the_values_of_the_native_one() -> None:
    expected = dcmread(real("MR_small.dcm")).pixel_array
    for name in ("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"):
        assert np.array_equal(modality_values(pixels(real(name))), expected)


def test_a_real_palette_image_is_coloured() -> None:
    shown = display_values(pixels(real("examples_palette.dcm")))
    assert shown.shape == (350, 800, 3)
    assert (shown[..., 0] != shown[..., 2]).any()
    assert shown.max() > 200


def test_the_header_of_a_cine_is_read_once_and_frames_come_in_the_order_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (stack,) = read_study([real("rtdose.dcm")]).series[0].stacks
    reads: list[object] = []
    read = read_dataset

    def counted(file: Any, **options: Any) -> Dataset:
        reads.append(file)
        return read(file, **options)

    monkeypatch.setattr("inference_gateway.dicom.stored.read_dataset", counted)
    expected = dcmread(real("rtdose.dcm")).pixel_array
    asked = [stack.frames[at] for at in (4, 0, 9)]
    assert [np.array_equal(one.stored, expected[one.frame.number - 1]) for one in read_frames(asked)] == [
        True
    ] * 3
    assert len(reads) == 1


def test_one_frame_of_a_cine_is_in_memory_at_a_time(tmp_path: Path) -> None:
    frames = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((256, 256), np.uint8)
    path = tmp_path / "cine.dcm"
    path.write_bytes(as_file(image(frames, NumberOfFrames=40, Modality="US")).getvalue())
    tracemalloc.start()
    try:
        (stack,) = read_study([path]).series[0].stacks
        assert [int(one.stored[0, 0]) for one in read_frames(stack.frames)] == list(range(40))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < frames.nbytes / 2


def test_a_deflated_image_gives_the_values_of_the_native_one() -> None:
    dataset = image(np.arange(12, dtype=np.uint16).reshape(3, 4), Modality="MR")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert pixels(dataset).stored.tolist() == np.arange(12).reshape(3, 4).tolist()


def test_damaged_compressed_pixels_are_an_error() -> None:
    dataset = dcmread(real("MR_small_RLE.dcm"))
    dataset.PixelData = dataset.PixelData[:600] + bytes(len(dataset.PixelData) - 600)
    with pytest.raises(PixelDataError):
        pixels(dataset)


def test_pixels_of_a_slice_are_those_of_its_file() -> None:
    study = read_study([as_file(plane(z)) for z in (3, 1, 2)])
    (stack,) = study.series[0].stacks
    assert [modality_values(one)[0, 0] for one in read_frames(stack.frames)] == [1, 2, 3]


def test_the_representation_shows_nothing_of_a_patient() -> None:
    assert "Doe" not in repr(pixels(plane(0, PatientName="Doe^Jane")))


def jpeg_of(rows: int, columns: int, said: tuple[int, int]) -> io.BytesIO:
    """A file whose image says a size, and its codestream perhaps another."""
    codestream = io.BytesIO()
    Image.fromarray(np.full((rows, columns), 99, np.uint8)).save(codestream, "JPEG")
    dataset = image(np.zeros(said, np.uint8))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([codestream.getvalue()])
    return as_file(dataset)


def test_a_codestream_of_another_size_is_not_decoded() -> None:
    ((frame,),) = (stack.frames for stack in read_study([jpeg_of(16, 24, (16, 24))]).series[0].stacks)
    assert next(read_frames([frame])).stored.shape == (16, 24)
    ((frame,),) = (stack.frames for stack in read_study([jpeg_of(4000, 4000, (16, 24))]).series[0].stacks)
    with pytest.raises(PixelDataError, match="not of the size that its header says"):
        next(read_frames([frame]))


@pytest.mark.parametrize("name", ["rtdose.dcm", "rtdose_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm"])
def test_frames_come_in_any_order(name: str) -> None:
    (instance,) = read_study([str(get_testdata_file(name, download=False))]).instances
    frames = list(frames_of(instance))
    in_order = [pixels.stored for pixels in read_frames(frames)]
    for found, expected in zip(read_frames(frames[::-1]), in_order[::-1], strict=True):
        np.testing.assert_array_equal(found.stored, expected)
