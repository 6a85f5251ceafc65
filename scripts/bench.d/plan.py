"""How much is measured, the sides, and the figures that are made of two samples.

Timings of a machine that others use as well are worth nothing by themselves: the sides take turns, A B A B, and what
is judged is the median of the ratios of neighbours."""

from __future__ import annotations

from pathlib import Path

from sides import Callgrind, Failed, Unavailable
from table import Row

TIMES = ("{:.2f}", "times")
INSTRUCTIONS = ("{:+.1f}", "instructions")
MICROSECONDS = ("{:+.0f}", "µs")
KIB = ("{:.1f}", "KiB")
COUNT = ("{:,.0f}", "instructions")


class Plan:
    """How much is measured, and the sides: each an object, or the `Unavailable` that says why not."""

    def __init__(self, quick: bool, scratch: Path):
        self.quick, self.scratch, self.sides = quick, scratch, {}

    def add(self, name: str, make, *arguments) -> None:
        try:
            self.sides[name] = make(*arguments)
        except Unavailable as reason:
            self.sides[name] = reason

    def side(self, name: str):
        if isinstance(self.sides[name], Unavailable):
            raise Unavailable(f"{name}: {self.sides[name]}")
        return self.sides[name]


class Sampler:
    """Takes samples for a row until one side is missing or fails, and leaves the reason there."""

    def __init__(self, row: Row):
        self.row = row

    def __enter__(self) -> Row:
        return self.row

    def __exit__(self, kind, error, trace) -> bool:
        if isinstance(error, Unavailable):
            self.row.missing = str(error)
        elif isinstance(error, Failed):
            self.row.failure = str(error)
        else:
            return False
        return True


def speed(ours, theirs):
    return theirs / ours


def more(ours, theirs):
    return ours - theirs


def speed_lost(ours, theirs):
    return ours / theirs


def alone(ours, _):
    return ours


def count(plan: Plan, side: str, words, few: int, more_of_them: int) -> float:
    """Instructions of one: the difference of two runs, so that start and end of the program do not count. `words` makes
    the command for a number of them."""
    callgrind: Callgrind = plan.side("valgrind")
    totals = []
    for n in (few, few + more_of_them):
        out = plan.side(side).run(*callgrind.words(words(n)))
        if side == "memtun" and "no memtun" in out:
            raise Failed("the library was loaded and is not active")
        totals.append(callgrind.total())
    return round((totals[1] - totals[0]) / more_of_them, 1)
