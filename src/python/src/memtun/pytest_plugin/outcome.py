"""The outcome of a phase of a marked test, and how it becomes the report of the phase in this
process."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from dataclasses import dataclass, field
from typing import Any, Optional

import pytest


def unpickled(pickled: Optional[bytes]) -> Optional[BaseException]:
    """The exception; None when it cannot be made in this process, whatever its unpickling
    raises."""
    if pickled is not None:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exception = pickle.loads(pickled)
            if isinstance(exception, BaseException):
                return exception
    return None


@dataclass
class Outcome:
    """The outcome of a phase."""

    when: str = "setup"
    report: Optional[pytest.TestReport] = None
    """The report as the test's process made it."""
    exception: Optional[tuple[Optional[bytes], str, str]] = None
    others: list[Any] = field(default_factory=list)
    """Other reports of the process, which are those of subtests."""
    sentence: Optional[str] = None
    """Why there is no report, or why it does not count."""
    stacks: str = ""

    @property
    def failed(self) -> bool:
        """Has the phase failed?"""
        return self.sentence is not None or self.report is not None and self.report.failed

    def text(self) -> str:
        """The text of the failure."""
        if self.sentence is None:
            return self.report.longreprtext if self.report is not None else ""
        return "\n\n".join(part for part in (self.sentence, self.stacks.strip()) if part)

    def excinfo(self) -> Optional[pytest.ExceptionInfo[BaseException]]:
        """The exception, for plugins that look at it and not at the report."""
        if not self.failed or self.sentence is None and self.exception is None:
            return None
        try:
            raise self._raised()
        except BaseException:
            return pytest.ExceptionInfo.from_current()

    def _raised(self) -> BaseException:
        if self.sentence is not None or self.exception is None:
            return pytest.fail.Exception(self.text(), pytrace=False)
        pickled, name, said = self.exception
        exception = unpickled(pickled)
        if exception is not None:
            return exception
        # The real exception could not be sent, so one is made that looks the same.
        made: Exception = type(name, (Exception,), {})(said)
        return made

    def shape(self, report: pytest.TestReport) -> None:
        """Makes the report of the phase in this process that of the phase in the test's process."""
        if self.sentence is not None:
            report.outcome, report.longrepr = "failed", self.text()
        elif self.report is not None:
            for name in ("outcome", "longrepr", "duration", "start", "stop", "user_properties", "wasxfail"):
                if hasattr(self.report, name):
                    setattr(report, name, getattr(self.report, name))
            report.sections.extend(self.report.sections)
