"""What keeps frames from being one volume with one spacing, as sentences with numbers.

A volume is regular where its planes lie on one line, each as far from the last as all the others. Positions
are written with few digits: a plane may be off by as much as its last digit can say, or by 2 % of a step.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from inference_gateway.dicom.instances import Frame, Vector

Places = Sequence[Sequence[Frame]]

# A step that is more than so many times the usual one is a gap.
_GAP = 1.5

TOLERANCE = 0.02
"""How far a plane may lie beside its place on an even grid: this part of a step."""

# It may be as far off as the digits of positions leave open, but never more than this part of a step.
_MOST_UNEVEN = 0.3

# Digits behind the point with which positions are written, coarsest first.
_DIGITS = (0.1, 0.01, 0.001)

# Planes may be shifted sideways by this part of a pixel.
_SHIFT = 0.5

# Gaps, duplicates and lost frames that are named one by one.
_MOST_NAMED = 3


def irregularities(places: Places, tolerance: float = TOLERANCE) -> list[str]:
    """Return what is irregular of the frames of a stack by place; an empty list where nothing is.

    `tolerance` is the part of a step by which a plane may lie beside its place on an even grid. A step that
    is longer by half of the usual one, or by this part where it is more, is a gap.
    """
    frames = [frame for place in places for frame in place]
    if len(frames) == 1:
        return []
    if frames[0].instance.tiled:
        return [f"{len(frames)} tiles of a whole-slide image, which are no planes of a volume"]
    unknown = sum(frame.distance is None for frame in frames)
    if unknown:
        return [f"{unknown} of {len(frames)} frames have no position in space"]
    said = _counts(places)
    if frames[0].pixel_spacing is None:
        said.append("the pixel spacing is not known")
    distances = [place[0].distance or 0.0 for place in places]
    said += _steps(distances, _open(frames), tolerance)
    return said + _shifts(places)


def steps_without_gaps(steps: Sequence[float]) -> list[float]:
    """Return the steps from plane to plane that are no gaps, at least one."""
    usual = sorted(steps)[(len(steps) - 1) // 2]
    return [step for step in steps if step <= _GAP * usual] or list(steps)


def unlike(firsts: Sequence[Frame], counts: Sequence[int]) -> list[list[str]]:
    """Return for each stack of a series what tells it from the others; `counts` are their frames."""
    if len(firsts) == 1:
        return [[]]
    total = sum(counts)
    kinds: dict[str, set[object]] = {
        "orientations": {frame.orientation for frame in firsts},
        "matrix sizes": {(frame.instance.rows, frame.instance.columns) for frame in firsts},
        "pixel spacings": {frame.pixel_spacing for frame in firsts},
    }
    several = " and ".join(f"{len(found)} {name}" for name, found in kinds.items() if len(found) > 1)
    return [[f"its series has {several}: {count} of its {total} frames are here"] for count in counts]


def _counts(places: Places) -> list[str]:
    """Return which places have too few or too many frames."""
    counts: Counter[int] = Counter(len(place) for place in places)
    usual = max(counts.items(), key=lambda found: (found[1], found[0]))[0]
    lost = [(at, place) for at, place in enumerate(places, start=1) if len(place) < usual]
    more = [(at, place) for at, place in enumerate(places, start=1) if len(place) > usual]
    said = []
    if lost:
        missing = sum(usual - len(place) for _, place in lost)
        named = _named(f"{len(place)} at place {at} ({_mm(place)})" for at, place in lost)
        images = "frame is" if missing == 1 else "frames are"
        said.append(f"{missing} {images} missing of {usual} x {len(places)}: {named}")
    if more:
        named = _named(f"{len(place)} at place {at} ({_mm(place)})" for at, place in more)
        said.append(f"more frames at one place than {usual}: {named}")
    return said


def _steps(distances: Sequence[float], open_: float, part: float) -> list[str]:
    """Return the gaps between planes, and whether the planes between gaps are uneven."""
    steps = [after - before for before, after in pairwise(distances)]
    if len(steps) < 2:
        return []
    regular = steps_without_gaps(steps)
    usual = sum(regular) / len(regular)
    border = max(_GAP, 1.0 + part) * sorted(steps)[(len(steps) - 1) // 2]
    gaps = [at for at, step in enumerate(steps) if step > border]
    said = [
        f"a gap of {steps[at]:.5g} mm between planes {at + 1} and {at + 2}, where {usual:.5g} mm is usual"
        for at in gaps[:_MOST_NAMED]
    ]
    if len(gaps) > _MOST_NAMED:
        said.append(f"{len(gaps) - _MOST_NAMED} more gaps")
    tolerance = max(part * usual, min(open_, _MOST_UNEVEN * usual))
    starts = [0, *(at + 1 for at in gaps)]
    ends = [*(at + 1 for at in gaps), len(distances)]
    runs = [distances[start:end] for start, end in zip(starts, ends, strict=True)]
    if any(_off_grid(run) > tolerance + 1e-6 for run in runs):
        said.append(f"uneven steps between planes: from {min(regular):.5g} to {max(regular):.5g} mm")
    return said


def _off_grid(distances: Sequence[float]) -> float:
    """Return in mm how far a plane lies beside its place on an even grid from the first to the last."""
    step = (distances[-1] - distances[0]) / max(1, len(distances) - 1)
    return max(abs(distance - distances[0] - at * step) for at, distance in enumerate(distances))


def _open(frames: Sequence[Frame]) -> float:
    """Return how much of a distance the digits of the positions leave open, in mm."""
    numbers = [number for frame in frames for number in frame.position or ()]
    unit = next((unit for unit in _DIGITS if all(_is_multiple(number, unit) for number in numbers)), 0.0)
    return unit * sum(map(abs, frames[0].normal or ()))


def _is_multiple(number: float, unit: float) -> bool:
    return math.isclose(number / unit, round(number / unit), rel_tol=1e-9, abs_tol=1e-5)


def _shifts(places: Places) -> list[str]:
    """Return how far planes are shifted sideways, as by a tilted gantry: half a pixel or more."""
    first = places[0][0]
    pixel = min(first.pixel_spacing) if first.pixel_spacing else math.inf
    farthest = max(_sideways(first, frame) for place in places for frame in place)
    if farthest < _SHIFT * pixel:
        return []
    return [f"planes are shifted sideways: by up to {farthest:.5g} mm from the first"]


def _sideways(first: Frame, frame: Frame) -> float:
    """Return the distance in mm between two positions, that along the normal left out."""
    normal: Vector = first.normal or (0.0, 0.0, 0.0)
    way = [b - a for a, b in zip(first.position or (), frame.position or (), strict=True)]
    along = sum(a * b for a, b in zip(normal, way, strict=True))
    return math.sqrt(max(0.0, sum(one * one for one in way) - along * along))


def _mm(place: Sequence[Frame]) -> str:
    return f"{place[0].distance or 0.0:.5g} mm"


def _named(found: Iterable[str]) -> str:
    """Return the first few of some, and how many more there are."""
    named = list(found)
    more = len(named) - _MOST_NAMED
    return ", ".join(named[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
