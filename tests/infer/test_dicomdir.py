"""What a DICOMDIR lists is found under the names that it has come to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inference_gateway.dicom.limits import Limits
from inference_gateway.infer.dicomdir import HEAD, NoDirectory, is_directory, listed
from inference_gateway.infer.gather import gather
from tests.infer.files import counts, dicomdir, put

LISTED = (("IMAGES", "A", "IM1"), ("IMAGES", "A", "IM2"), ("IMAGES", "B", "IM1"))
RENAMED: dict[str, Callable[[str], str]] = {
    "as they were": lambda name: name,
    "small letters": str.lower,
    "mixed letters": str.capitalize,
    "extension": lambda name: f"{name}.dcm" if name.startswith(("IM1", "IM2")) else name,
    "version": lambda name: f"{name};1",
    "version and dot": lambda name: f"{name}.;1",
    "all of it": lambda name: f"{name.lower()}.;12",
}


def disc(folder: Path, rename: Callable[[str], str]) -> tuple[Path, list[Path]]:
    """A DICOMDIR and its files, renamed."""
    files = [put(folder.joinpath(*map(rename, parts)), z) for z, parts in enumerate(LISTED)]
    return dicomdir(folder, *(list(parts) for parts in LISTED)), files


@pytest.mark.parametrize("how", RENAMED)
def test_files_are_found_under_the_names_that_they_have_come_to(how: str, tmp_path: Path) -> None:
    directory, files = disc(tmp_path, RENAMED[how])
    assert list(listed(directory, Limits())) == files
    files[1].unlink()
    assert list(listed(directory, Limits())) == [files[0], None, files[2]]


def test_a_name_that_is_there_goes_before_one_that_it_may_have_been(tmp_path: Path) -> None:
    names = ("IM1", "im1", "IM1.dcm", "im1.;1")
    exact, small, extended, versioned = (put(tmp_path / name, z) for z, name in enumerate(names))
    directory = dicomdir(tmp_path, ["IM1"])
    assert list(listed(directory, Limits())) == [exact]
    exact.unlink()
    for _ in (small, versioned):  # which of the two goes first is of no matter
        (found,) = listed(directory, Limits())
        assert found in (small, versioned)
        found.unlink()
    assert list(listed(directory, Limits())) == [extended]


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "DICOMDIR;1", "DICOMDIR.;1", "index", "INDEX.DCM"])
def test_a_directory_is_known_by_its_name_or_its_class(name: str, tmp_path: Path) -> None:
    directory, files = disc(tmp_path / "disc", str.lower)
    directory = directory.rename(directory.with_name(name))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    assert is_directory(name, directory.read_bytes()[:HEAD])
    for place in (directory, directory.parent):
        found = gather([place], workspace)
        assert found.paths == files
        assert counts(found) == {"directories": 1}


def test_an_image_is_no_directory(tmp_path: Path) -> None:
    assert not is_directory("IM1", put(tmp_path / "IM1").read_bytes()[:HEAD])


@pytest.mark.filterwarnings("ignore:.*Invalid value for VR CS", "ignore:.*maximum length")
def test_what_lies_elsewhere_is_not_there(tmp_path: Path) -> None:
    """By a path that leads out, by a link, and by names that no file can have."""
    outside = put(tmp_path / "outside")
    folder = tmp_path / "disc"
    folder.mkdir()
    (folder / "LINK").symlink_to(outside)
    (folder / "UP").symlink_to(tmp_path)
    references = (["..", "outside"], ["LINK"], ["UP", "outside"], [str(outside)], ["x" * 300], [""])
    assert list(listed(dicomdir(folder, *references), Limits()))[:5] == [None] * 5


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_text("index")
    with pytest.raises(NoDirectory):
        list(listed(tmp_path / "DICOMDIR", Limits()))
