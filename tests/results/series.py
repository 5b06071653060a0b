"""A series as `results` asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Series:
    shape: tuple[int, int, int] = (3, 4, 5)
    series_instance_uid: str = "1.2.3"
    sop_instance_uids: Sequence[str] = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
    timepoints: int = 1
    frame_numbers: Sequence[int] | None = None
