"""docs/performance.md and its plots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import packets
from plan import Plan
from sides import ROOT, run

DOCS = ROOT / "docs"
# Rows of the growth that are drawn, with their names there.
DRAWN = {
    "inject one, read it, N tunnels in the process": "inject one, read it",
    "epoll_wait with N tunnels, nothing ready": "epoll_wait, nothing ready",
    "open, attach and close one more of N tunnels": "open, attach, close",
}


def figures(growth: list, sizes: dict) -> dict:
    tunnels = {DRAWN[row.what]: list(zip(row.numbers, row.figures)) for row in growth if row.what in DRAWN and row.figures}
    by_size = {name: list(zip(packets.SIZES, values)) for name, values in sizes.items()}
    return {
        "performance-tunnels": {
            "title": "Nothing grows with the tunnels of a process",
            "x": "tunnels in the process", "y": "instructions of one operation", "series": tunnels,
        },
        "performance-sizes": {
            "title": "A packet in and out, 32 at a time",
            "x": "bytes of the packet", "y": "nanoseconds", "series": by_size,
        },
    }  # fmt: skip


def plots(plan: Plan, growth: list, into: Path) -> None:
    """Draws the plots into a directory."""
    given = plan.scratch / "figures.json"
    given.write_text(json.dumps(figures(growth, packets.by_size(plan))))
    run([plan.side("matplotlib"), Path(__file__).with_name("plots.py"), given])
    for name in ("performance-tunnels", "performance-sizes"):
        shutil.copyfile(plan.scratch / f"{name}.svg", into / f"{name}.svg")


def text(summary: str, table: str, growth: str) -> str:
    words = Path(__file__).with_name("page.md").read_text()
    for name, value in (("summary", summary), ("table", table), ("growth", growth)):
        words = words.replace("{" + name + "}", value)
    return words
