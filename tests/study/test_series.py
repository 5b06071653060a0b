"""A series becomes a volume, or an error that says why not, with numbers."""

import numpy as np
import pytest
from pydicom import Dataset, uid

from inference_gateway.study import StudyError, read_study
from tests.dicom.encoded import encoded, smooth
from tests.dicom.objects import as_file, image
from tests.study.making import ct, phases, series_of, shuffled


def test_a_series_says_what_it_is_and_names_its_planes() -> None:
    datasets = ct(5)
    series = series_of(datasets)
    assert (series.shape, series.timepoints, series.spacing) == ((5, 12, 10), 1, (2.5, 0.5, 0.75))
    assert (series.modality, series.series_instance_uid, series.study_instance_uid) == (
        "CT",
        "1.2.3.4",
        "1.2.3",
    )
    assert list(series.sop_instance_uids) == [one.SOPInstanceUID for one in datasets]
    assert list(series.frame_numbers) == [1] * 5
    assert series.irregularities == ()
    assert series.header().RescaleIntercept == -1024


def test_the_volume_is_in_the_order_of_space() -> None:
    datasets = ct(5)
    volume = series_of(datasets).volume()
    assert volume.values.tolist() == np.stack([one.pixel_array - 1024.0 for one in datasets]).tolist()


def test_timepoints_are_apart() -> None:
    datasets = phases(4, 3)
    for at, dataset in enumerate(datasets):
        dataset.PixelData = np.full((12, 10), at, np.int16).tobytes()
    series = series_of(datasets)
    assert (series.shape, series.timepoints) == ((4, 12, 10), 3)
    found = [volume.values[:, 0, 0] + 1024 for volume in series.volumes()]
    assert np.array(found).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert list(series.sop_instance_uids) == [one.SOPInstanceUID for one in datasets]
    assert series.volume(2).timepoint == 2
    with pytest.raises(
        StudyError, match=r"^the series has 3 timepoints of 4 planes each, and none is chosen$"
    ):
        series.volume()
    with pytest.raises(StudyError, match=r"^the series has 3 timepoints, and number 3 of them is wanted$"):
        series.volume(3)
    assert series.volume(strict=False).values[0, 0, 0] == -1024


def lost_phase() -> list[Dataset]:
    datasets = phases(4, 3)
    del datasets[5]
    return datasets


def gap() -> list[Dataset]:
    datasets = ct(8)
    del datasets[3]
    return datasets


def uneven() -> list[Dataset]:
    datasets = ct(6)
    datasets[2].ImagePositionPatient = [4.0, -5.0, 6.0 + 5.4]
    return datasets


def tilted() -> list[Dataset]:
    datasets = ct(6)
    for at, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [4.0, -5.0 + 0.8 * at, 6.0 + 2.5 * at]
    return datasets


def duplicate_place() -> list[Dataset]:
    return [*ct(6), ct(6)[2]]


def sent_twice() -> list[Dataset]:
    datasets = ct(6)
    return [*datasets, datasets[2]]


def no_position() -> list[Dataset]:
    datasets = ct(6)
    del datasets[3].ImagePositionPatient
    return datasets


def short_of_pixels() -> list[Dataset]:
    datasets = ct(6)
    datasets[3].PixelData = bytes(20)
    return datasets


def two_sizes() -> list[Dataset]:
    other = image(
        np.zeros((6, 10), np.int16), ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1]
    )
    other.ImagePositionPatient = [0, 0, 0]
    return [*ct(6), other]


REFUSED = [
    (gap, "a gap of 5 mm between planes 3 and 4, where 2.5 mm is usual"),
    (uneven, "uneven steps between planes: from 2.1 to 2.9 mm"),
    (tilted, "planes are shifted sideways: by up to 4 mm from the first"),
    (duplicate_place, "more frames at one place than 1: 2 at place 3 (11 mm)"),
    (sent_twice, "1 image of its series left out: an image with this SOP Instance UID came before"),
    (lost_phase, "1 frame is missing of 3 x 4: 2 at place 2 (8.5 mm)"),
    (no_position, "1 of 6 frames have no position in space"),
    (
        short_of_pixels,
        "a gap of 5 mm between planes 3 and 4, where 2.5 mm is usual; "
        "1 image of its series left out: less pixel data than its header says: 20 of 240 bytes",
    ),
    (
        two_sizes,
        "its series has 2 matrix sizes and 2 pixel spacings: 6 of its 7 frames are here",
    ),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_what_is_no_volume_is_refused_with_numbers(make: object, reason: str) -> None:
    assert callable(make)
    series = max(read_study(shuffled(make())).series, key=lambda one: one.shape[0])
    with pytest.raises(StudyError) as refused:
        series.volume()
    assert str(refused.value) == f"the series is no regular volume: {reason}"
    assert series.volume(strict=False).shape == series.shape


def test_an_error_names_the_first_few() -> None:
    datasets = [one for at, one in enumerate(ct(30)) if at not in (5, 6, 12, 20, 24)]
    datasets += datasets[:1]
    with pytest.raises(StudyError, match=r"; .*; .*; and 2 more$"):
        series_of(datasets).volume()


def test_planes_may_lie_beside_the_grid_by_the_tolerance() -> None:
    series = series_of(uneven())
    assert series.volume(tolerance=0.2).spacing == pytest.approx((2.5, 0.5, 0.75))
    with pytest.raises(StudyError, match="uneven"):
        series.volume(tolerance=0.1)
    assert series_of(gap()).volume(tolerance=1.0).shape == (7, 12, 10)


def test_a_tilted_volume_has_an_affine_that_is_true_of_every_plane() -> None:
    volume = series_of(tilted()).volume(strict=False)
    assert volume.affine_lps is not None
    for plane, frame in enumerate(volume.frames):
        assert (volume.affine_lps @ [plane, 0, 0, 1])[:3] == pytest.approx(frame.position)


def test_pixels_that_cannot_be_decoded_are_an_error_in_any_case() -> None:
    frames = smooth("u1", 8, frames=1)
    datasets = [
        encoded(frames, uid.JPEGLSLossless, ImagePositionPatient=[0, 0, 2.0 * at], PixelSpacing=[1, 1])
        for at in range(4)
    ]
    for dataset in datasets:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    whole = series_of(datasets).volume()
    assert np.array_equal(whole.values[2], frames[0])
    data = bytearray(datasets[1].PixelData)
    data[20:] = bytes(len(data) - 20)
    datasets[1].PixelData = bytes(data)
    (series,) = read_study([as_file(one) for one in datasets]).series
    with pytest.raises(StudyError, match=r"^its pixels cannot be decoded: frame 2 of 4: "):
        series.volume(strict=False)


def test_every_image_is_there_where_places_have_different_numbers() -> None:
    datasets = lost_phase()
    series = series_of(datasets)
    assert series.shape[0] == 4
    assert {one.sop_instance_uid for one in series.images} == {one.SOPInstanceUID for one in datasets}
    assert len(series.images) == 11
