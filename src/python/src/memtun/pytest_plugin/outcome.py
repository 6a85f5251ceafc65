"""What came of a phase of a marked test, and how its report is made that of the phase here."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from dataclasses import dataclass, field
from typing import Any, Optional

import pytest


def unpickled(pickled: Optional[bytes]) -> Optional[BaseException]:
    """The exception. None where it cannot be made here, whatever it does then."""
    if pickled is not None:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exception = pickle.loads(pickled)
            if isinstance(exception, BaseException):
                return exception
    return None


@dataclass
class Outcome:
    """What came of a phase."""

    when: str = "setup"
    report: Optional[pytest.TestReport] = None
    """As the process made it."""
    exception: Optional[tuple[Optional[bytes], str, str]] = None
    others: list[Any] = field(default_factory=list)
    """What it reported besides, of subtests."""
    sentence: Optional[str] = None
    """Why there is no report, or it does not count."""
    stacks: str = ""

    @property
    def failed(self) -> bool:
        """Did it fail?"""
        return self.sentence is not None or self.report is not None and self.report.failed

    def text(self) -> str:
        """What there is to say."""
        if self.sentence is None:
            return self.report.longreprtext if self.report is not None else ""
        return "\n\n".join(part for part in (self.sentence, self.stacks.strip()) if part)

    def excinfo(self) -> Optional[pytest.ExceptionInfo[BaseException]]:
        """The exception, for those who look at that and not at the report."""
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
        # One that looks the same.
        made: Exception = type(name, (Exception,), {})(said)
        return made

    def shape(self, report: pytest.TestReport) -> None:
        """Makes the report of the phase here that of the phase there."""
        if self.sentence is not None:
            report.outcome, report.longrepr = "failed", self.text()
        elif self.report is not None:
            for name in ("outcome", "longrepr", "duration", "start", "stop", "user_properties", "wasxfail"):
                if hasattr(self.report, name):
                    setattr(report, name, getattr(self.report, name))
            report.sections.extend(self.report.sections)
