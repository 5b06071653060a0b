"""The files of a folder: which, in which order, and what is left out."""

import os
from pathlib import Path

import pytest

from inference_gateway.caller.folders import LeftOut, files_below


def made(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_files_of_a_folder_come_before_its_folders(tmp_path: Path) -> None:
    expected = made(tmp_path / "b", tmp_path / "z", tmp_path / "a" / "2", tmp_path / "a" / "b" / "1")
    left = LeftOut()
    assert list(files_below(tmp_path, left)) == expected
    assert left == LeftOut()


def test_what_is_neither_file_nor_folder_is_counted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    left = LeftOut()
    assert list(files_below(tmp_path, left, follow_links=True)) == []
    assert left == LeftOut(other=2)
    assert list(files_below(tmp_path, left)) == []
    assert left == LeftOut(other=3, links=1)


def test_links(tmp_path: Path) -> None:
    """Those within add nothing that is not there anyway; none is walked twice, and none for ever."""
    inside, outside, deep = made(tmp_path / "in" / "1", tmp_path / "out" / "2", tmp_path / "out" / "a" / "3")
    links = {"x": inside, "y": outside, "z": tmp_path / "in", "up": tmp_path, "a": tmp_path / "out"}
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target)
    (tmp_path / "in" / "gone").symlink_to("gone as well")
    (tmp_path / "in" / "loop").symlink_to("loop")
    left = LeftOut()
    assert list(files_below(tmp_path / "in", left)) == [inside, tmp_path / "in" / "x"]
    assert left == LeftOut(links=3, dangling=2)
    left = LeftOut()
    found = {path.resolve() for path in files_below(tmp_path / "in", left, follow_links=True)}
    assert found == {inside, outside, deep}
    assert left == LeftOut(dangling=2)


def test_a_folder_that_is_a_link_is_as_good_as_one(tmp_path: Path) -> None:
    made(tmp_path / "real" / "1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    left = LeftOut()
    assert list(files_below(tmp_path / "link", left)) == [tmp_path / "link" / "1"]
    assert left == LeftOut()


def test_what_is_not_to_be_taken_is_not_looked_at(tmp_path: Path) -> None:
    made(tmp_path / ".a" / "1", tmp_path / "b" / "2", tmp_path / "b" / ".3")
    (tmp_path / "b" / ".out").symlink_to("/")
    left = LeftOut()
    shown = files_below(tmp_path, left, taken=lambda path: not path.name.startswith("."))
    assert list(shown) == [tmp_path / "b" / "2"]
    assert left == LeftOut()


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """It is gone just when it is its turn, which is what the right to read it would be, for root too."""
    (kept,) = made(tmp_path / "a" / "1")
    (tmp_path / "b").mkdir()

    def taken(path: Path) -> bool:
        if path.name == "b":
            path.rmdir()
            (tmp_path / "b").touch()
        return True

    left = LeftOut()
    assert list(files_below(tmp_path, left, taken=taken)) == [kept]
    assert left == LeftOut(unreadable=1)

    def refused(error: OSError) -> None:
        raise error

    with pytest.raises(NotADirectoryError):
        list(files_below(tmp_path / "b", left, unreadable=refused))
