"""From stored pixels to modality values and to what is shown, against values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference_gateway.dicom.pixels import (
    PixelDataError,
    Window,
    display_values,
    first_window,
    is_hounsfield,
    modality_values,
    read_frames,
)
from inference_gateway.dicom.series import frames_of, read_study
from tests.dicom.decoding import array, pixels, pixels_of
from tests.dicom.formulas import linear, sigmoid
from tests.dicom.objects import as_file, image, packed_bits, plane


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


def test_the_representation_shows_nothing_of_a_patient() -> None:
    assert "Doe" not in repr(pixels(plane(0, PatientName="Doe^Jane")))


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelPaddingValue": -2000},
        {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990},
        {"PixelPaddingValue": -1990, "PixelPaddingRangeLimit": -2000},
    ],
)
def test_a_range_of_padding_is_no_part_of_the_window(attributes: dict[str, int]) -> None:
    stored = array([-2000, -2000 if len(attributes) == 1 else -1995, 10, 30])
    one = pixels(image(stored, Modality="MR", **attributes))
    assert first_window(one, modality_values(one)) == Window(20.0, 20.0, "LINEAR_EXACT")


def test_padding_that_is_written_without_its_sign_is_padding() -> None:
    dataset = image(array([-2000, 10, 30]), Modality="MR")
    dataset.add_new("PixelPaddingValue", "US", 63536)
    one = pixels(dataset)
    assert first_window(one, modality_values(one)) == Window(20.0, 20.0, "LINEAR_EXACT")


def test_a_slope_of_zero_is_no_rescale() -> None:
    assert modality_values(pixels(image(array([1, 2]), RescaleSlope=0, RescaleIntercept=9))).tolist() == [
        [1, 2]
    ]


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels_are_values(keyword: str, dtype: str) -> None:
    dataset = image(array([0, 0, 0, 0]), Modality="OT", FloatPixelPaddingValue=-99.0)
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = np.dtype(dtype).itemsize * 8
    setattr(dataset, keyword, np.array([0.5, np.nan, 1.5, -99.0], dtype).tobytes())
    one = pixels(dataset)
    assert modality_values(one).tolist()[0][::2] == [0.5, 1.5]
    assert first_window(one, modality_values(one)) == Window(1.0, 1.0, "LINEAR_EXACT")
    assert display_values(one)[0, [0, 2]].tolist() == [0, 255]


def test_the_range_of_grey_is_that_of_the_stack() -> None:
    study = read_study([as_file(plane(z, Modality="MR")) for z in (0, 100, 200)])
    (stack,) = study.series[0].stacks
    shown = [int(display_values(one)[0, 0]) for one in read_frames(stack.frames)]
    assert shown == [0, 128, 255]


def test_the_range_of_grey_of_a_cine_is_that_of_its_frames() -> None:
    frames = np.array([10, 20, 30], np.uint8)[:, None, None] * np.ones((2, 2), np.uint8)
    dataset = image(frames, NumberOfFrames=3, Modality="US")
    (instance,) = read_study([as_file(dataset)]).instances
    assert [int(display_values(one)[0, 0]) for one in read_frames(frames_of(instance))] == [0, 128, 255]


@pytest.mark.parametrize(
    ("attributes", "values", "expected"),
    [
        ({"SegmentationType": "FRACTIONAL", "MaximumFractionalValue": 200}, [0, 100, 200], [0, 128, 255]),
        ({"SegmentationType": "LABELMAP"}, [0, 51, 255], [0, 51, 255]),
        ({"SegmentationType": "LABELMAP", "SegmentSequence": [1, 5]}, [0, 1, 5], [0, 51, 255]),
    ],
)
def test_segmentations_are_shown_on_a_fixed_range(
    attributes: dict[str, Any], values: list[int], expected: list[int]
) -> None:
    segments = [Dataset() for _ in attributes.get("SegmentSequence", ())]
    for segment, number in zip(segments, attributes.get("SegmentSequence", ()), strict=True):
        segment.SegmentNumber = number
    described = {**attributes, "SegmentSequence": segments or None, "Modality": "SEG"}
    for value, shown in zip(values, expected, strict=True):  # each frame alone: none makes its own range
        one = pixels(image(np.full((2, 2), value, np.uint8), **described))
        assert display_values(one).tolist() == [[shown] * 2] * 2


def test_a_segment_that_fills_its_frame_is_white() -> None:
    frames = np.ones((2, 3, 5), np.uint8)
    frames[1] = 0
    shown = [
        int(display_values(one)[0, 0]) for one in pixels_of(packed_bits(frames, SegmentationType="BINARY"))
    ]
    assert shown == [255, 0]
    segment = packed_bits(frames[:1], SegmentationType="BINARY")
    segment.Modality = "SEG"
    assert display_values(pixels(segment)).min() == 255


def test_a_voi_lut_of_entries_within_16_bits_does_not_wrap() -> None:
    stored = array([0, 2048, 4095], dtype=np.uint16)
    for bits in (8, 9, 12, 16):
        lut = Dataset()
        lut.add_new("LUTDescriptor", "US", [4096, 0, bits])
        entries = np.linspace(2**bits - 1, 0, 4096).round().astype("<u2")
        lut.add_new("LUTData", "OW", entries.tobytes())
        shown = display_values(pixels(image(stored, Modality="MR", VOILUTSequence=[lut])))
        assert shown.tolist() == [[255, 127, 0]]


def test_a_modality_lut_of_twelve_bits_is_looked_up() -> None:
    dataset = with_lut([3, 1, 12])
    assert modality_values(pixels(dataset)).tolist() == [[10, 10], [200, 3000]]
