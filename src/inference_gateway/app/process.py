"""What is set for the whole process: memory, garbage collector, Python's lock, pydicom's decoders.

A server receives in blocks of some 100 KB. By default glibc maps and unmaps each of them, and the kernel
finds and clears new pages every time: most of the time of an upload. With these thresholds such blocks come
from the heap, whose freed end is kept up to a few MiB, and the same pages are used again.

A full collection of Python's garbage collector looks through every module that was imported. With NumPy and
pydicom that holds the event loop for 20 to 30 ms, with a framework for models for longer. Once the models are
set up, what is there is there to stay.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib import import_module
from importlib.util import find_spec

# malloc.h: parameters of mallopt, and our values in bytes.
_M_TRIM_THRESHOLD = (-1, 4 << 20)
_M_MMAP_THRESHOLD = (-3, 2 << 20)


# Seconds after which a thread that computes in Python lets another one run; Python's own is 0.005.
_SWITCH_INTERVAL = 0.0005


def share_the_lock() -> None:
    """Has Python's lock change hands sooner: the event loop needs it several times for one probe.

    For the whole process. An interval that is shorter already is left alone.
    """
    if sys.getswitchinterval() > _SWITCH_INTERVAL:
        sys.setswitchinterval(_SWITCH_INTERVAL)


def keep_freed_memory() -> bool:
    """Set the thresholds for this process; return whether it did.

    Not where the C library is no glibc, nor where the environment tunes malloc already.
    """
    tuned = any(name.startswith("MALLOC_") for name in os.environ)
    if tuned or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(*_M_TRIM_THRESHOLD) & mallopt(*_M_MMAP_THRESHOLD))


def teach_pydicom() -> None:
    """Make the decoders of the extra `codecs` known to pydicom, where a model's module has imported it."""
    if "pydicom" in sys.modules and find_spec("imagecodecs") is not None:
        import_module("inference_gateway.dicom.codecs")


# New objects after which the young ones are searched: as in Python 3.13. With the 700 of older versions a
# handful of requests in flight is searched again and again, and each object is still in use.
_YOUNG = 2000


def exempt_from_collection() -> None:
    """Collect garbage, and exempt all that is left from later collections, until `gc.unfreeze()`.

    Later ones are not as often as by default; never, where the application has switched them off.
    """
    gc.collect()
    gc.freeze()
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG:
        gc.set_threshold(_YOUNG, *older)
