"""Settings of the whole process, each in a process of its own: they cannot be taken back."""

import os
import subprocess
import sys

import pytest

from inference_gateway.app.process import share_the_lock

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")

RESIDENT = """
import sys
from inference_gateway.app.process import keep_freed_memory
print(keep_freed_memory())
def faults():
    return int(open("/proc/self/stat").read().rpartition(")")[2].split()[7])
blocks = [bytes(300_000) for _ in range(3)]
del blocks
before = faults()
for _ in range(300):
    block = bytearray(300_000)
print(faults() - before)
"""


def run(code: str, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@linux
def test_freed_blocks_are_used_again() -> None:
    done, faults = run(RESIDENT)
    assert done == "True"
    assert int(faults) < 300 * 73 / 10  # 73 pages each, if they came from the kernel every time


@linux
def test_an_environment_that_tunes_malloc_is_left_alone() -> None:
    code = "from inference_gateway.app.process import keep_freed_memory; print(keep_freed_memory())"
    assert run(code, MALLOC_TRIM_THRESHOLD_="1000000") == ["False"]


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from inference_gateway.app.process import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


def test_what_is_there_is_not_searched_for_garbage() -> None:
    code = """
import gc
from inference_gateway.app.process import exempt_from_collection
gc.set_debug(gc.DEBUG_SAVEALL)
cycle = []
cycle.append(cycle)
del cycle
exempt_from_collection()
print(len(gc.garbage) > 0, gc.get_freeze_count() > 1000)
"""
    assert run(code) == ["True", "True"]


@pytest.mark.parametrize(("before", "after"), [("700", "2000"), ("5000", "5000"), ("0", "0")])
def test_young_objects_are_searched_less_often(before: str, after: str) -> None:
    code = f"""
import gc
from inference_gateway.app.process import exempt_from_collection
gc.set_threshold({before}, 10, 10)
exempt_from_collection()
print(*gc.get_threshold())
"""
    assert run(code) == [after, "10", "10"]


@pytest.mark.parametrize(("before", "after"), [(0.005, 0.0005), (0.0001, 0.0001)])
def test_pythons_lock_changes_hands_sooner(before: float, after: float) -> None:
    found = sys.getswitchinterval()
    try:
        sys.setswitchinterval(before)
        share_the_lock()
        assert sys.getswitchinterval() == pytest.approx(after, abs=2e-6)  # it counts microseconds
    finally:
        sys.setswitchinterval(found)


PLUGINS = """
from inference_gateway.app.process import teach_pydicom
teach_pydicom()
import sys
print("pydicom" in sys.modules)
import pydicom
teach_pydicom()
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLosslessSV1
print(*get_decoder(JPEGLosslessSV1).available_plugins)
"""


def test_pydicom_decodes_more_where_a_model_uses_it_and_is_not_loaded_for_it() -> None:
    assert run(PLUGINS) == ["False", "inference-gateway"]
