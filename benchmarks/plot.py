"""The picture: `python plot.py results.json picture.png`, in an environment with matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

mpl.use("Agg")

SHOWN = ("parts", "one", "eight", "array")
MIB = 1 << 20
OURS, FLOOR, OTHER = "#0b6e4f", "#9aa5b1", "#c8553d"


def main(source: str, target: str) -> None:
    results = json.loads(Path(source).read_text())
    medians = {(row["workload"], row["server"]): row for row in results["medians"]}
    shown = [w for w in results["workloads"] if w["name"] in SHOWN]
    if not shown:
        return
    height = 0.9 + 0.28 * len(results["servers"])
    figure, grid = plt.subplots(len(shown), 2, figsize=(11, height * len(shown)), squeeze=False)
    for (left, right), workload in zip(grid, shown, strict=True):
        rows = [
            (server["title"], server["name"], medians.get((workload["name"], server["name"])))
            for server in reversed(results["servers"])
        ]
        bars(left, rows, "rate", 1e6, f"{workload['title']}: MB/s, more is better")
        bars(right, rows, "peak", MIB, "peak memory above idle, MiB: less is better")
        right.set_yticklabels([])
    machine = results["machine"]
    figure.suptitle(
        f"{results['command']}: {machine['processor']}, {machine['cores']} cores, {machine['python']}, "
        f"medians of {results['rounds']}",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(target, dpi=110)


def bars(
    axes: Axes, rows: list[tuple[str, str, dict[str, Any] | None]], name: str, unit: float, title: str
) -> None:
    values = [(row[name] or 0) / unit if row else 0 for _, _, row in rows]
    colours = [
        OURS if n.startswith("ours") else FLOOR if n.startswith("floor") else OTHER for _, n, _ in rows
    ]
    drawn = axes.barh(range(len(rows)), values, color=colours, height=0.7)
    labels = [f"{value:,.0f}" if row else "left out" for value, (_, _, row) in zip(values, rows, strict=True)]
    axes.bar_label(drawn, labels, padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), [title for title, _, _ in rows], fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlim(0, max(values, default=1) * 1.18 or 1)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    main(*sys.argv[1:3])
