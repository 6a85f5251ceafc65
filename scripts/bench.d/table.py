"""Rows of figures, and the one table that is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles

HEAD = ["what", "measured", "compared with", "min / median / max", "budget", "holds"]


@dataclass
class Budget:
    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


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
    failure: str = ""  # ours did not do it: the budget does not hold
    missing: str = ""  # a side is not here: nothing can be said

    def figures(self) -> list:
        return [self.figure(a, b) for a, b in zip(self.ours, self.theirs)]

    def verdict(self) -> str:
        if self.failure:
            return f"NO, failed: {self.failure}"
        if self.missing:
            return f"not available: {self.missing}"
        if self.budget is None:
            return "-"
        figures = self.figures()
        if len(figures) > 1:
            low, _, high = quantiles(figures, n=4, method="inclusive")
            if self.budget.holds(low) != self.budget.holds(high):
                return "unclear"
        return "yes" if self.budget.holds(median(figures)) else "NO"

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


def markdown(rows: list) -> str:
    lines = [HEAD, *(row.cells() for row in rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    # The last column holds sentences; padding the others to them would only make the table wide.
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD) - 1)] + [5]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)
