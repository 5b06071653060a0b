"""What verification finds: every way to change files, and the line of it. Nothing in files left alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inference_gateway.audit.chain import sealed
from inference_gateway.audit.ledger import head_of
from inference_gateway.audit.verify import Report, chains_of, verify
from tests.audit.writing import compact, entry, files, lines, written

COUNT = 8  # lines of the file that is changed: one that begins it, and seven of inferences
Change = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written(tmp_path, [COUNT - 1])
    return files(tmp_path)[0]


def change(path: Path, how: Change) -> None:
    path.write_bytes(b"".join(how(lines(path))))


def faults(path: Path, end: str | None = None) -> list[str]:
    return [fault.removeprefix(f"{path.name} ") for fault in verify([path], end).faults]


def without(at: int) -> Change:
    return lambda found: found[:at] + found[at + 1 :]


def test_files_left_alone(path: Path) -> None:
    report = verify([path])
    assert (report.faults, report.notes) == ([], [])
    assert (report.lines, report.records, report.first) == (COUNT, COUNT - 1, 1)
    assert report.last is not None
    assert report.last.hash == json.loads(lines(path)[-1])["hash"]


@pytest.mark.parametrize("at", range(COUNT))
@pytest.mark.parametrize("old", [b'"number":', b'"previous":"', b'"event":"', b'"hash":"'])
def test_a_line_that_was_changed(path: Path, at: int, old: bytes) -> None:
    change(path, lambda found: [*found[:at], found[at].replace(old, old + b"0", 1), *found[at + 1 :]])
    assert f"line {at + 1} is not as it was written: it was changed, or inserted" in faults(path)


@pytest.mark.parametrize("at", range(COUNT))
def test_a_line_that_was_changed_and_sealed_again(path: Path, at: int) -> None:
    """By somebody who knows the form, but leaves what follows alone: the next line, or the head, tells."""

    def again(found: list[bytes]) -> list[bytes]:
        told = json.loads(found[at])
        number, previous = told.pop("number"), told.pop("previous")
        del told["hash"]
        line, _ = sealed(compact({**told, "status": 500}), number, previous)
        return [*found[:at], line, *found[at + 1 :]]

    change(path, again)
    [fault] = faults(path)
    if at < COUNT - 1:
        assert fault.startswith(f"line {at + 2} does not carry the hash of the line before it")
    else:
        assert fault.startswith(f"line {at + 1} is another one than the gateway noted as its last")


@pytest.mark.parametrize("at", range(COUNT))
def test_a_line_that_was_removed(path: Path, at: int) -> None:
    change(path, without(at))
    found = faults(path)
    if at == 0:
        assert found == ["line 1 is not what a file begins with: lines before it were removed"]
    elif at < COUNT - 1:
        assert found == [
            f"line {at + 1} follows number {at}, but is {at + 2}: lines between were removed or moved"
        ]
    else:
        assert found == [f"{path.name}: after its last line 1 more are missing: they were removed"]


@pytest.mark.parametrize("at", range(1, COUNT))
def test_a_line_that_was_repeated(path: Path, at: int) -> None:
    change(path, lambda found: [*found[: at + 1], found[at], *found[at + 1 :]])
    assert faults(path) == [f"line {at + 2} has number {at + 1}: it was inserted, repeated or moved here"]


@pytest.mark.parametrize("at", range(1, COUNT - 1))
def test_two_lines_that_changed_places(path: Path, at: int) -> None:
    change(path, lambda found: [*found[:at], found[at + 1], found[at], *found[at + 2 :]])
    assert [fault.split(" ")[1] for fault in faults(path)][:2] == [str(at + 1), str(at + 2)]


def test_a_line_that_was_made_up(path: Path) -> None:
    line, _ = sealed(entry(99), 4, "0" * 64)
    change(path, lambda found: [*found[:3], line, *found[3:]])
    assert faults(path) == [
        "line 4 does not carry the hash of the line before it: one of the two is not the one that was",
        "line 5 has number 4: it was inserted, repeated or moved here",
        "line 6 does not carry the hash of the line before it: one of the two is not the one that was",
    ]
    change(path, lambda found: [*found[:3], b"something\n", *found[4:]])
    assert faults(path) == ["line 4 is not as it was written: it was changed, or inserted"]


@pytest.mark.parametrize("at", range(COUNT))
def test_a_line_that_was_cut_short(path: Path, at: int) -> None:
    change(path, lambda found: [*found[:at], found[at][:50] + b"\n", *found[at + 1 :]])
    assert faults(path)[0] == f"line {at + 1} is not as it was written: it was changed, or inserted"


def test_a_file_that_was_cut_within_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])
    found = faults(path)
    assert found[0].startswith(f"line {COUNT} is cut short")
    assert found[1].endswith("after its last line 1 more are missing: they were removed")


def test_lines_removed_from_the_end_with_the_head_show_by_a_hash_that_was_noted(path: Path) -> None:
    noted = json.loads(lines(path)[-1])["hash"]
    head_of(path.parent, 0).unlink()
    assert faults(path, noted) == []
    change(path, without(COUNT - 1))
    assert faults(path) == []  # nothing here can tell
    assert "no line has the hash that was given" in faults(path, noted)[0]


def test_a_line_that_no_writer_makes_costs_no_memory(path: Path) -> None:
    change(path, lambda found: [*found, b"x" * (1 << 20) + b"\n"])
    assert faults(path)[0].startswith(f"line {COUNT + 1} is cut short")


# Several files


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    written(tmp_path, [2] * 4, file_bytes=500)
    found = files(tmp_path)
    assert len(found) > 3
    return found


def verified(*paths: Path) -> Report:
    [found] = chains_of(paths)
    return verify(found)


def test_files_of_a_chain_go_in_their_order(chain: list[Path]) -> None:
    assert verified(*reversed(chain)).faults == []
    assert verified(chain[0].parent).records == 8


def test_a_file_that_was_removed(chain: list[Path]) -> None:
    assert "lines between were removed or moved" in verified(chain[0], *chain[2:]).faults[0]
    chain[-1].unlink()
    assert "they were removed" in verified(chain[0].parent).faults[0]


def test_a_part_of_a_chain(chain: list[Path]) -> None:
    report = verified(*chain[1:])
    assert report.faults == []
    assert "goes on after number" in report.notes[0]
    assert verified(*chain[:-1]).faults == []


def test_lines_removed_from_the_end_of_a_file_that_is_not_the_last(chain: list[Path]) -> None:
    change(chain[0], lambda found: found[:-1])
    [fault] = verified(*chain).faults
    assert fault.startswith(f"{chain[1].name} line 1 follows number")


def test_files_by_other_names_are_one_chain_in_the_order_given(chain: list[Path], tmp_path: Path) -> None:
    renamed = [path.rename(tmp_path / f"{name}.log") for name, path in zip("dcba", chain, strict=False)]
    assert verified(*renamed).faults == []
    assert verified(*reversed(renamed)).faults != []


def test_what_is_no_audit_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no audit file"):
        chains_of([tmp_path])
    (tmp_path / "empty").write_bytes(b"")
    report = verify([tmp_path / "empty"])
    assert report.notes == ["empty is empty"]
    assert report.faults == ["empty: there is no line of an audit log in it"]
