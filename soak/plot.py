"""The picture: `python plot.py soak.json soak.png`, in an environment with matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

mpl.use("Agg")


def main(source: str, target: str) -> None:
    results = json.loads(Path(source).read_text())
    samples = results["samples"]
    line = {name: value * 3600 / 1024 for name, value in results["slope_bytes_per_second"].items()}
    figure, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True)
    for axis, name, unit, scale in zip(
        axes, ("rss", "descriptors", "threads"), ("MiB", "", ""), (1 << 20, 1, 1), strict=True
    ):
        axis.plot([each["seconds"] for each in samples], [each[name] / scale for each in samples], ".-")
        if name == "rss":
            before = [each["rss_before"] / scale for each in samples]
            axis.plot([each["seconds"] for each in samples], before, ".", color="#9aa5b1", zorder=0)
        axis.axvline(results["settled_from"], color="#9aa5b1", linewidth=0.8)
        axis.set_ylabel(f"{name} {unit}".strip())
        axis.set_ylim(bottom=0)
    axes[0].set_title(
        f"{sum(results['requests'].values())} requests; floor of the memory {line['value']:+.0f} KiB/h "
        f"(95 %: {line['low']:+.0f} to {line['high']:+.0f})",
        fontsize=10,
    )
    axes[-1].set_xlabel("seconds; the server at rest")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:3])
