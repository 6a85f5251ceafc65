"""plots.py FIGURES: draws what stands in a file of JSON, with matplotlib, which the interpreter of the bench has.

Each of its figures has a name (of the SVG), a title, names of the axes, and series of [x, y]."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# The same figures make the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "memtun", "font.family": "sans-serif"})


def draw(figure: dict, path: Path) -> None:
    drawing, axes = plt.subplots(figsize=(7, 4))
    for name, points in figure["series"].items():
        axes.plot(*zip(*points), marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel=figure["x"], ylabel=figure["y"], title=figure["title"])
    axes.grid(True, which="major", alpha=0.4)
    axes.legend()
    ticks = sorted({x for points in figure["series"].values() for x, _ in points})
    axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
    axes.set_xticks([], minor=True)
    drawing.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(drawing)


if __name__ == "__main__":
    given = Path(sys.argv[1])
    for name, figure in json.loads(given.read_text()).items():
        draw(figure, given.with_name(f"{name}.svg"))
