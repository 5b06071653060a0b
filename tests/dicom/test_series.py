"""From files in any order to stacks in the order in which they lie in space."""

import gc
import io
import random
import struct
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGLSLossless

from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.series import Skipped, Stack, read_study
from tests.dicom import hostile
from tests.dicom.objects import as_file, image, plane

SAGITTAL = [0, 1, 0, 0, 0, -1]
# Row and column cosines of a plane that is turned about two axes: (2, 1, 2)/3 and (-2, 2, 1)/3 are normal.
OBLIQUE = [2 / 3, 1 / 3, 2 / 3, -2 / 3, 2 / 3, 1 / 3]


def one_stack(datasets: Iterable[Dataset]) -> Stack:
    study = read_study([as_file(dataset) for dataset in datasets])
    assert not study.skipped
    ((stack,),) = (series.stacks for series in study.series)
    return stack


def order(stack: Stack) -> list[int]:
    return [frame.instance.index for frame in stack.frames]


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], SAGITTAL, OBLIQUE, [-one for one in OBLIQUE]])
def test_images_are_sorted_along_the_normal_of_their_plane(orientation: list[float]) -> None:
    positions = [-7.5 + 2.5 * number for number in range(9)]
    random.Random(3).shuffle(positions)
    # Instance numbers that say the opposite must not matter.
    stack = one_stack(plane(z, orientation, InstanceNumber=int(100 - z)) for z in positions)
    assert [positions[index] for index in order(stack)] == sorted(positions)
    assert stack.spacing == pytest.approx((2.5, 0.5, 0.25))
    assert stack.shape == (9, 2, 3)


def test_without_positions_instance_numbers_decide() -> None:
    numbers = [5, 3, 9, 1]
    stack = one_stack(image(np.zeros((2, 2), np.int16), InstanceNumber=number) for number in numbers)
    assert order(stack) == [3, 1, 0, 2]
    assert stack.spacing is None


def test_one_image_without_position_makes_instance_numbers_decide() -> None:
    datasets = [plane(2, InstanceNumber=1), plane(1, InstanceNumber=3), plane(0, InstanceNumber=2)]
    del datasets[0].ImagePositionPatient
    assert order(one_stack(datasets)) == [0, 2, 1]


def test_without_any_key_the_order_of_arrival_stays() -> None:
    datasets = [image(np.zeros((2, 2), np.int16), InstanceNumber=number) for number in (5, None, 1)]
    assert order(one_stack(datasets)) == [0, 1, 2]


def test_images_at_one_place_are_sorted_by_instance_number() -> None:
    datasets = [plane(1, InstanceNumber=4), plane(0, InstanceNumber=3), plane(1.0000001, InstanceNumber=2)]
    stack = one_stack(datasets)
    assert order(stack) == [1, 2, 0]
    assert stack.spacing == pytest.approx((1.0, 0.5, 0.25))


def test_series_are_kept_apart_in_order_of_arrival_and_every_image_knows_its_place() -> None:
    uids = ["1.9", "1.1", "1.9", "1.1", "1.5"]
    sources = [as_file(plane(-at, SeriesInstanceUID=uid)) for at, uid in enumerate(uids)]
    study = read_study(sources)
    assert [series.series_instance_uid for series in study.series] == ["1.9", "1.1", "1.5"]
    assert [[one.index for one in series.instances] for series in study.series] == [[0, 2], [1, 3], [4]]
    assert [order(series.stacks[0]) for series in study.series] == [[2, 0], [3, 1], [4]]
    assert [instance.index for instance in study.instances] == [0, 1, 2, 3, 4]
    assert all(instance.source is sources[instance.index] for instance in study.instances)
    assert study.series[0].modality == "CT"


def test_images_without_series_are_series_by_themselves() -> None:
    study = read_study([as_file(plane(z, SeriesInstanceUID=None)) for z in (1, 2)])
    assert [(series.series_instance_uid, len(series.instances)) for series in study.series] == [("", 1)] * 2


def test_one_series_uid_in_two_studies_is_two_series() -> None:
    study = read_study(
        [as_file(plane(z, StudyInstanceUID=uid)) for z, uid in enumerate(("1.5", "1.6", "1.5"))]
    )
    assert [[one.index for one in series.instances] for series in study.series] == [[0, 2], [1]]


def test_other_sizes_orientations_and_spacings_make_stacks_of_their_own() -> None:
    datasets = [
        plane(1),
        plane(0, OBLIQUE),
        plane(0),
        plane(0, PixelSpacing=[0.5, 0.5]),
        image(np.zeros((4, 4), np.int16)),
        plane(2, [1, 0.0001, 0, 0, 1, 0]),
    ]
    (series,) = read_study(map(as_file, datasets)).series
    assert [order(stack) for stack in series.stacks] == [[2, 0, 5], [1], [3], [4]]


def test_two_localizers_of_one_series_are_two_stacks() -> None:
    folder = Path(str(get_testdata_file("CT_small.dcm", download=False))).parent
    (series,) = read_study(sorted((folder / "dicomdirtests/98892001/CT2N").iterdir())).series
    assert [stack.shape for stack in series.stacks] == [(1, 16, 16), (1, 16, 16)]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"SpacingBetweenSlices": "-4", "SliceThickness": 3}, 4.0),
        ({"SliceThickness": 3}, 3.0),
        ({"SliceThickness": 0}, None),
        ({"SliceThickness": 3, "PixelSpacing": [0, 1]}, None),
        ({}, None),
    ],
)
def test_the_spacing_of_a_single_image_is_what_it_says(
    attributes: dict[str, Any], expected: float | None
) -> None:
    spacing = one_stack([plane(0, **attributes)]).spacing
    assert spacing == (None if expected is None else (expected, 0.5, 0.25))


def test_a_missing_slice_does_not_change_the_spacing() -> None:
    stack = one_stack(plane(z) for z in (0, 2, 4, 8, 10))
    assert stack.spacing == pytest.approx((2.0, 0.5, 0.25))


def enhanced(positions: list[float]) -> Dataset:
    """One image of several frames whose places are in its functional groups (PS3.3 C.7.6.16)."""
    pixels = np.repeat(np.array(positions, np.int16), 6).reshape(-1, 2, 3)
    dataset = image(pixels, NumberOfFrames=len(positions))
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 9
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for z in positions:
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        group.PlanePositionSequence = [position]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    return dataset


def test_frames_of_an_enhanced_image_are_sorted_by_their_own_places() -> None:
    stack = one_stack([enhanced([3, 1, 2])])
    assert [frame.number for frame in stack.frames] == [2, 3, 1]
    assert stack.spacing == pytest.approx((1.0, 0.5, 0.25))


def test_frames_without_places_stay_in_order() -> None:
    stack = one_stack([image(np.zeros((4, 2, 2), np.uint8), NumberOfFrames=4)])
    assert [frame.number for frame in stack.frames] == [1, 2, 3, 4]


def reasons(*sources: io.BytesIO) -> list[tuple[int, str]]:
    study = read_study([as_file(plane(0)), *sources])
    assert len(study.instances) == 1
    return [(skipped.index, skipped.reason) for skipped in study.skipped]


def test_what_is_no_image_is_left_out_with_its_reason() -> None:
    no_pixels = plane(0)
    del no_pixels.PixelData
    whole = as_file(plane(0)).getvalue()
    damaged = whole[:132] + b"\xff" * 40
    assert reasons(
        io.BytesIO(b"Doe^Jane"),
        io.BytesIO(b""),
        as_file(no_pixels),
        io.BytesIO(damaged),
        as_file(plane(1, Rows=0)),
    ) == [
        (1, "not a DICOM file"),
        (2, "not a DICOM file"),
        (3, "no pixels"),
        (4, "a damaged DICOM file"),
        (5, "no pixels"),
    ]


def test_an_image_that_came_before_is_left_out() -> None:
    first = plane(0)
    study = read_study([as_file(first), as_file(plane(1)), as_file(first)])
    assert [instance.index for instance in study.instances] == [0, 1]
    assert [skipped.index for skipped in study.skipped] == [2]


@pytest.fixture
def without_jpeg_ls(monkeypatch: pytest.MonkeyPatch) -> str:
    """Take away what decodes JPEG-LS, and return the reason that is then given."""
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    name = "JPEG-LS Lossless Image Compression"
    return f"no decoder for {name}: pip install 'dicom-inference-gateway[codecs]'"


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("1.2.840.10008.1.2.4.999", "its transfer syntax is not one of the standard"),
        ("1.2.840.113619.5.2", "its transfer syntax is not one of the standard"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1 is not decoded here"),
        ("", "it names no transfer syntax"),
    ],
)
def test_an_image_that_is_never_decoded_is_left_out(syntax: str, reason: str) -> None:
    # The UID is exchanged in the bytes: pydicom would not write native pixels as encapsulated.
    dataset = plane(1)
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    name = b"1.2.840.10008.1.2.1\0"
    other = syntax.encode() + b"\0" * (len(syntax) % 2)
    whole = (
        as_file(dataset)
        .getvalue()
        .replace(
            b"\x02\x00\x10\x00UI" + struct.pack("<H", len(name)) + name,
            b"\x02\x00\x10\x00UI" + struct.pack("<H", len(other)) + other,
        )
    )
    assert reasons(io.BytesIO(whole)) == [(1, reason)]


def test_an_image_without_decoder_may_be_kept_for_somebody_else(without_jpeg_ls: str) -> None:
    dataset = plane(1)
    dataset.PixelData = encapsulate([bytes(10)])
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    assert reasons(as_file(dataset)) == [(1, without_jpeg_ls)]
    (instance,) = read_study([as_file(dataset)], without_decoder=True).instances
    assert instance.sop_instance_uid == dataset.SOPInstanceUID
    assert instance.undecodable == without_jpeg_ls


def test_what_is_skipped_says_whether_it_is_a_whole_object() -> None:
    report = plane(0)
    del report.PixelData
    study = read_study([as_file(report), io.BytesIO(b"text"), as_file(plane(1, Rows=99))])
    assert [skipped.is_object for skipped in study.skipped] == [True, False, False]


@pytest.mark.parametrize(
    ("places", "timepoints"),
    [([1, 2, 3], 1), ([1, 1, 2, 2, 3, 3], 2), ([1, 1, 2], 1), ([1, 1, 1], 3)],
)
def test_frames_at_one_place_are_timepoints(places: list[float], timepoints: int) -> None:
    sources = [as_file(plane(z, InstanceNumber=number)) for number, z in enumerate(places)]
    (stack,) = read_study(sources).series[0].stacks
    assert stack.timepoints == timepoints


def test_without_places_there_is_one_timepoint() -> None:
    sources = [as_file(plane(0, ImagePositionPatient=None)) for _ in range(3)]
    (stack,) = read_study(sources).series[0].stacks
    assert stack.timepoints == 1


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (2**31 - 1, "less pixel data than its header says: 12 of 25,769,803,764 bytes"),
        (-1, "a value of NumberOfFrames that the standard does not allow"),
    ],
)
def test_a_frame_count_that_the_pixel_data_cannot_hold_costs_nothing(frames: int, reason: str) -> None:
    dataset = plane(1)
    dataset.NumberOfFrames = frames
    assert reasons(as_file(dataset)) == [(1, reason)]


@pytest.mark.parametrize("name", hostile.ROWS)
def test_what_a_header_says_is_checked_before_anything_is_made_of_it(name: str) -> None:
    data, reason = hostile.ROWS[name]
    ((at, found),) = reasons(io.BytesIO(data))
    assert (at, found.partition(":")[0]) == (1, reason)


@pytest.mark.parametrize(
    "name", ["samples -1", "200,000 frames of one bit", "RLE of 4 gigapixels", "deflated"]
)
def test_what_is_left_out_takes_no_memory(name: str) -> None:
    file = io.BytesIO(hostile.ROWS[name][0])
    tracemalloc.start()
    try:
        assert read_study([file]).skipped
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_sequence_that_is_cut_is_a_damaged_file_and_no_unreadable_path() -> None:
    cut = hostile.empty_items(3, told=False)
    cut = cut[: cut.index(b"\xfe\xff\xdd\xe0")]
    assert reasons(io.BytesIO(cut)) == [(1, "a damaged DICOM file")]


def test_an_image_over_a_limit_is_kept_for_somebody_else() -> None:
    source = as_file(image(np.zeros((20, 30), np.uint8)))
    study = read_study([source], limits=Limits(frame_pixels=599))
    assert study.skipped == (Skipped(0, "more than 599 pixels in one frame", is_object=True),)
    assert len(read_study([source], limits=Limits(frame_pixels=600)).instances) == 1


def test_truncated_pixel_data_is_noticed() -> None:
    whole = plane(1)
    whole.PixelData = whole.PixelData[:-2]
    assert reasons(as_file(whole)) == [(1, "less pixel data than its header says: 10 of 12 bytes")]


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "image_dfl.dcm",
        "liver_1frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "examples_ybr_color.dcm",
        "rtdose.dcm",
    ],
)
def test_real_images_of_many_kinds_are_read(name: str) -> None:
    path = str(get_testdata_file(name, download=False))
    expected = dcmread(path)
    study = read_study([path])
    frames = int(expected.get("NumberOfFrames") or 1)
    (instance,) = study.instances
    assert (instance.rows, instance.columns, instance.number_of_frames) == (
        expected.Rows,
        expected.Columns,
        frames,
    )
    assert "PixelData" not in instance.read_header()
    assert instance.read().PixelData == expected.PixelData


def test_paths_and_files_give_the_same_and_a_file_is_read_from_its_start(tmp_path: Path) -> None:
    file = as_file(plane(3))
    path = tmp_path / "image"
    path.write_bytes(file.getvalue())
    file.seek(100)
    for source in (path, str(path), file):
        (instance,) = read_study([source]).instances
        assert instance.series_instance_uid == "1.2.3.4"
        assert instance.read().pixel_array.tolist() == [[3] * 3] * 2


def test_a_path_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_study([tmp_path / "absent"])


def test_an_orientation_that_is_none_is_no_position() -> None:
    flat = [plane(z, ImageOrientationPatient=[1, 0, 0, 1, 0, 0], InstanceNumber=-z) for z in (1, 2)]
    stack = one_stack(flat)
    assert order(stack) == [1, 0]
    assert stack.spacing is None


def test_representations_show_nothing_of_a_patient() -> None:
    study = read_study([as_file(plane(0, PatientName="Doe^Jane", SeriesInstanceUID="1.22.333"))])
    assert "Doe" not in repr(study)
    assert "1.22.333" not in repr(study)


def test_an_image_costs_half_a_kilobyte() -> None:
    """What a series says of itself is kept once."""
    uid = "1.2.826.0.1.3680043.10.1000000000000000000000000.{}"
    same: dict[str, Any] = {"StudyInstanceUID": uid.format(1), "SeriesInstanceUID": uid.format(2)}
    sources = [as_file(plane(z, **same, SOPInstanceUID=uid.format(z))) for z in range(200)]
    read_study(sources[:2])  # what pydicom keeps of its first files is not ours
    tracemalloc.start()
    try:
        study = read_study(sources)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(study.instances) == 200
    assert kept / 200 < 750


def test_a_localizer_is_known_and_images_may_be_kept_apart() -> None:
    scout = plane(9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    files = [as_file(dataset) for dataset in (scout, plane(0), plane(1))]
    assert [one.localizer for one in read_study(files).instances] == [True, False, False]
    study = read_study(files, apart=lambda instance: "a localizer" if instance.localizer else "")
    assert [(one.index, one.reason, one.is_object) for one in study.skipped] == [(0, "a localizer", True)]
    (series,) = study.series
    assert series.stacks[0].irregularities == ()


def test_an_image_that_came_twice_is_said_of_its_series() -> None:
    dataset = plane(0)
    (series,) = read_study([as_file(one) for one in (dataset, plane(1), dataset)]).series
    assert series.stacks[0].irregularities == (
        "1 image of its series left out: an image with this SOP Instance UID came before",
    )


def test_what_is_cut_before_its_series_may_be_of_any() -> None:
    whole = as_file(plane(0)).getvalue()
    cut = whole[: whole.index(b"\x20\x00\x0e\x00")]
    without_pixels = whole[: whole.index(b"\xe0\x7f\x10\x00")]
    found = read_study([io.BytesIO(one) for one in (cut, without_pixels, b"no DICOM")]).skipped
    assert [one.is_stray for one in found] == [True, False, False]
