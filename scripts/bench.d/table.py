"""Rows of figures, and the one table that is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles

HEAD = ["what", "measured", "floor", "compared with", "min / median / max", "budget", "holds"]


@dataclass
class Budget:
    limit: float
    at_least: bool = False
    more: bool = False  # of what grows: so many instructions more, instead of so many times
    each: bool = False  # with `more`: so many for each one more

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def unmeasured(row: Row | Growth) -> str:
    """The verdict of a row where no figures are held against a budget."""
    if row.failure:
        return f"NO, failed: {row.failure}"
    if row.missing:
        return f"not available: {row.missing}"
    return "" if row.budget else "-"


@dataclass
class Row:
    """One figure with everything it was computed from.

    `ours` and `theirs` are samples of the two sides taken in turns, `figure` makes one number of each pair of them;
    the median of those numbers is held against the budget. When the middle half of them lies on both sides of it, the
    machine was too noisy to tell."""

    what: str
    figure: callable
    form: str  # of a figure, for str.format
    measure: str  # the unit of a figure
    budget: Budget | None = None
    other: str = ""
    unit: str = "ns"
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)
    floor: list = field(default_factory=list)  # what nobody can do without
    failure: str = ""  # ours did not do it: the budget does not hold
    missing: str = ""  # a side is not here: nothing can be said

    def figures(self) -> list:
        # A figure that is compared with nothing is a count of its own.
        return [self.figure(a, b) for a, b in zip(self.ours, self.theirs if self.other else self.ours)]

    def verdict(self) -> str:
        return unmeasured(self) or self.judged()

    def judged(self) -> str:
        figures = self.figures()
        if len(figures) > 1:
            low, _, high = quantiles(figures, n=4, method="inclusive")
            if self.budget.holds(low) != self.budget.holds(high):
                return "unclear"
        return "yes" if self.budget.holds(median(figures)) else "NO"

    def above_floor(self) -> str:
        if not self.floor or not self.ours:
            return "-"
        return f"{amount(self.floor, self.unit)} ({median(self.ours) / median(self.floor):.1f} times)"

    def cells(self) -> list:
        budget = "-"
        if self.budget:
            bound = "at least" if self.budget.at_least else "at most"
            budget = f"{bound} {self.form.format(self.budget.limit)} {self.measure}"
        figures = self.figures()
        # One sample is a count, which has no spread.
        spread = [min(figures), median(figures), max(figures)] if len(figures) > 1 else figures
        return [
            self.what,
            amount(self.ours, self.unit),
            self.above_floor(),
            f"{self.other}: {amount(self.theirs, self.unit)}" if self.theirs else self.other,
            f"{' / '.join(map(self.form.format, spread))} {self.measure}" if spread else "-",
            budget,
            self.verdict(),
        ]


def amount(values: list, unit: str) -> str:
    if not values:
        return "-"
    value = median(values)
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


@dataclass
class Growth:
    """Instructions of one operation, by the number of what there is of something."""

    what: str
    numbers: list
    budget: Budget | None
    figures: list = field(default_factory=list)
    failure: str = ""
    missing: str = ""

    def grown(self) -> float:
        """The worst of them against the first: how many times, or how many instructions more."""
        first, most = self.figures[0], max(self.figures)
        if not self.budget or not self.budget.more:
            return most / first
        if self.budget.each:
            more = zip(self.numbers[1:], self.figures[1:])
            return max((figure - first) / (number - self.numbers[0]) for number, figure in more)
        return most - first

    def verdict(self) -> str:
        return unmeasured(self) or self.judged()

    def judged(self) -> str:
        return "yes" if self.budget.holds(self.grown()) else "NO"

    def cells(self) -> list:
        budget = "-"
        if self.budget:
            what = "times" if not self.budget.more else "instructions for each" if self.budget.each else "instructions more"
            budget = f"at most {self.budget.limit:g} {what}"
        by_number = ", ".join(f"{n:,}: {figure:,.0f}" for n, figure in zip(self.numbers, self.figures))
        return [self.what, by_number or "-", f"{self.grown():,.2f}" if self.figures else "-", budget, self.verdict()]


GROWTH_HEAD = ["what", "instructions, by N", "grown", "budget", "holds"]


def markdown(rows: list, head: list = HEAD) -> str:
    lines = [head, *(row.cells() for row in rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    # The last column holds sentences; padding the others to them would only make the table wide.
    widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)] + [5]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)
