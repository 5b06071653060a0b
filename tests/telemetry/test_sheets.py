"""Counts in memory that several processes share."""

import os
import subprocess
import sys
from pathlib import Path

from inference_gateway.telemetry import sheets
from inference_gateway.telemetry.sheets import SIZE, Sheet


def of(memory: bytearray) -> Sheet:
    return Sheet(memoryview(memory))


def test_a_run_keeps_its_place() -> None:
    sheet = of(bytearray(SIZE))
    one, other = sheet.place(("a", "b")), sheet.place(("ä",), 3)
    sheet.cells[one] += 1.5
    sheet.cells[other + 2] += 2
    assert sheet.place(("a", "b")) == one
    assert [(run.key, list(sheet.cells[run.start : run.start + run.size])) for run in sheet.runs()] == [
        (("a", "b"), [1.5]),
        (("ä",), [0, 0, 2]),
    ]


def test_another_reader_sees_what_is_added() -> None:
    memory = bytearray(SIZE)
    writer, reader = of(memory), of(memory)
    assert reader.runs() == []
    at = writer.place(("a",))
    writer.cells[at] = 7
    [run] = reader.runs()
    assert reader.cells[run.start] == 7
    writer.place(("b",), 2)
    assert [run.key for run in reader.runs()] == [("a",), ("b",)]
    assert of(memory).place(("b",), 2) == reader.runs()[1].start


def test_what_is_not_there_as_a_whole_yet_is_read_next_time() -> None:
    """As on processors that show another one's writes out of order."""
    memory = bytearray(SIZE)
    writer, reader = of(memory), of(memory)
    writer.place(("first",))
    at = writer.place(("second",))
    text = memory.index(b'["second"]')
    kept, memory[text : text + 10] = memory[text : text + 10], bytes(10)
    assert [run.key for run in reader.runs()] == [("first",)]
    memory[text : text + 10] = kept
    assert [run.start for run in reader.runs()][1] == at


def test_what_finds_no_room_breaks_nothing() -> None:
    sheet = of(bytearray(SIZE))
    for number in range(SIZE // 400):
        at = sheet.place(("x" * 300, str(number)), 20)
        sheet.cells[at + 19] += 1
    runs = sheet.runs()
    assert 1000 < len(runs) < SIZE // 400
    assert all(sheet.cells[run.start + 19] == 1 for run in runs)


def test_a_process_that_is_killed_leaves_its_counts() -> None:
    memory = sheets.make(2)
    code = (
        "import os, signal; from inference_gateway.telemetry import sheets\n"
        f"sheets.join({memory}, 2); own = sheets.of_this_process().own\n"
        "own.cells[own.place(('a',))] += 5; own.come_alive(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], pass_fds=[memory], check=False)
    first, second = sheets.of_worker(memory, 1).all
    [run] = second.runs()
    assert (run.key, second.cells[run.start]) == (("a",), 5)
    assert (first.is_alive, second.is_alive) == (False, True)
    sheets.bury(memory, 2)
    assert not second.is_alive
    assert second.cells[run.start] == 5
    os.close(memory)


def test_the_memory_has_no_name() -> None:
    memory = sheets.make(1)
    link = os.readlink(f"/proc/self/fd/{memory}")
    assert link.endswith("(deleted)")
    assert not Path(link.removesuffix(" (deleted)")).exists()
    os.close(memory)
