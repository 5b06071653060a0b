"""The picture: `python plot.py results.json picture.png`, in an environment with matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.use("Agg")

SHOWN = ("parts", "one", "eight", "array")
MIB = 1 << 20
JSON_AT = 250  # bytes: where a request of JSON only is drawn
TICKS = (
    (JSON_AT, 1e3, 1e4, 1e5, 1e6, 1e7, 64e6),
    ("JSON", "1 KB", "10 KB", "100 KB", "1 MB", "10 MB", "64 MB"),
)
LINES = ("#0b6e4f", "#4fb286", "#9aa5b1", "#c8553d", "#e0a458", "#7b6d8d", "#5390d9")
OURS, FLOOR, OTHER = "#0b6e4f", "#9aa5b1", "#c8553d"


def main(source: str, target: str, curve: str) -> None:
    results = json.loads(Path(source).read_text())
    draw_bars(results, target)
    draw_curve(results, curve)


def draw_bars(results: dict[str, Any], target: str) -> None:
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
    save(figure, results, target)


def save(figure: Figure, results: dict[str, Any], target: str) -> None:
    machine = results["machine"]
    figure.suptitle(
        f"{results['command']}: {machine['processor']}, {machine['cores']} cores, {machine['python']}, "
        f"medians of {results['rounds']}",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(target, dpi=110)


def draw_curve(results: dict[str, Any], target: str) -> None:
    """Requests per second over the size of the body, both on log scales; one panel for each number of
    connections.
    """
    points = [w for w in results["workloads"] if w["kind"] == "curve"]
    counts = sorted({w["connections"] for w in points})
    if not counts:
        return
    medians = {(row["workload"], row["server"]): row["rate"] for row in results["medians"]}
    figure, panels = plt.subplots(
        1, len(counts), figsize=(4.6 * len(counts), 4.6), squeeze=False, sharey=True
    )
    for axes, count in zip(panels[0], counts, strict=True):
        shown = [w for w in points if w["connections"] == count]
        for number, server in enumerate(results["servers"]):
            seen = [(w, medians.get((w["name"], server["name"]))) for w in shown]
            drawn = [(max(w["parts"] * w["part_bytes"], JSON_AT), rate) for w, rate in seen if rate]
            if drawn:
                ours = server["name"].startswith("ours")
                axes.loglog(
                    *zip(*drawn, strict=True),
                    marker="o",
                    markersize=3,
                    linewidth=2.2 if ours else 1,
                    color=LINES[number % len(LINES)],
                    label=server["title"],
                )
        axes.set_title(f"requests per second, {count} connection{'s' * (count > 1)}", fontsize=9, loc="left")
        axes.set_xticks(*TICKS, fontsize=7)
        axes.minorticks_off()
        axes.tick_params(axis="y", labelsize=7)
        axes.grid(alpha=0.3)
    panels[0][0].legend(fontsize=7)
    save(figure, results, target)


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
    main(*sys.argv[1:4])
