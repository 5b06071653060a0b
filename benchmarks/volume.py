"""What a volume of a study costs, beside the bare loop of pydicom that an author would write instead.

`python -m benchmarks.volume`: 300 slices of 512 x 512, in turn, on one core and on all of them. Each line has
the medians of both, in seconds of wall clock, and their ratio.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom

from inference_gateway.demo.phantom import make_phantom
from inference_gateway.study import read_study


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.volume", description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--edge", type=int, default=512, help="rows and columns of a slice (default 512)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    files = []
    for dataset in make_phantom(slices=options.slices, rows=options.edge, columns=options.edge).datasets():
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    cores = os.sched_getaffinity(0)
    for number in (1, len(cores)):
        os.sched_setaffinity(0, sorted(cores)[:number])
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(options.rounds):
            bare.append(seconds(loop, files))
            ours.append(seconds(volume, files))
        one, other = statistics.median(ours), statistics.median(bare)
        print(f"{number} cores: volume {one:.2f} s, loop {other:.2f} s, ratio {one / other:.2f}", flush=True)


def seconds(function: Callable[[list[Any]], Any], files: list[bytes]) -> float:
    inputs = [io.BytesIO(file) for file in files]
    start = time.perf_counter()
    function(inputs)
    return time.perf_counter() - start


def volume(inputs: list[Any]) -> Any:
    return read_study(inputs).volume().values


def loop(inputs: list[Any]) -> Any:
    images = [pydicom.dcmread(file) for file in inputs]
    images.sort(key=lambda image: image.ImagePositionPatient[2])
    planes = [
        image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept) for image in images
    ]
    return np.stack([plane.astype(np.float32) for plane in planes])


if __name__ == "__main__":
    main()
