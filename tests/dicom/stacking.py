"""Images at places along the normal of their plane → their one stack."""

import random
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset

from inference_gateway.dicom.series import Stack, read_study
from tests.dicom.objects import as_file, plane

OBLIQUE = [2 / 3, 1 / 3, 2 / 3, -2 / 3, 2 / 3, 1 / 3]


def stack_of(datasets: Iterable[Dataset]) -> Stack:
    shuffled = list(datasets)
    random.Random(5).shuffle(shuffled)
    ((stack,),) = (series.stacks for series in read_study(map(as_file, shuffled)).series)
    return stack


def at(*places: float, **attributes: Any) -> list[Dataset]:
    return [plane(z, InstanceNumber=number, **attributes) for number, z in enumerate(places, start=1)]


def even(count: int, step: float) -> list[float]:
    return [round(step * number, 6) for number in range(count)]
