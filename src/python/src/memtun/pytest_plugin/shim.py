"""The marker ``memtun_shim``: a test's own process under the shim.

A library can only be preloaded when a process starts. So such a test is run by another pytest, of the same
configuration, in a process of its own. Here the test has its three phases as every other; each waits for the
same phase there and gives its report out. So whoever runs a test again, forks for it, stops after it or
counts it sees nothing special, and a process that dies, hangs or is interrupted is a phase that failed."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Generator, Iterable
from typing import Any, Optional

import pytest
from _pytest.capture import DontReadFromInput

from .._errors import Error
from .._programs import Argument
from . import child
from .outcome import Outcome
from .process import Process

_PROCESS = pytest.StashKey[Process]()
_OUTCOME = pytest.StashKey[Outcome]()
_LIMIT = pytest.StashKey[float]()
_TOLD = pytest.StashKey[bool]()


def is_child() -> bool:
    """Is this the process that the test was given?"""
    return child.request() is not None


def captures(config: pytest.Config) -> bool:
    """Does the run capture output? With -s people want to see it when it is written."""
    asked = child.request()
    return bool(asked["captures"] if asked is not None else config.getoption("capture") != "no")


def runs(item: object) -> bool:
    """Is it a test that has the marker, and is not in its own process?"""
    return isinstance(item, pytest.Item) and not is_child() and item.get_closest_marker("memtun_shim") is not None


def memtun_shim(
    link: Optional[str] = None, devices: Optional[Iterable[Argument]] = None
) -> tuple[Optional[str], Optional[Iterable[Argument]]]:
    """The marker's own arguments; Python says what is wrong with others."""
    return link, devices


class _Done(Exception):
    """The phase is over: nobody else need do anything for it."""


class Phases:
    """Each waits for the same one there. Nobody else sets this test up or calls it here: its fixtures, and what
    others do before it, are there."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Starts the process."""
        if not runs(item):
            return
        end(item)
        _leave_xfail_to_the_child(item)
        _leave_stacks_to_the_child(item)
        marker = item.get_closest_marker("memtun_shim")
        assert marker is not None
        try:
            link, devices = memtun_shim(*marker.args, **marker.kwargs)
            item.stash[_PROCESS] = Process(item, item.stash.get(_LIMIT, None), link, devices)
        except (Error, OSError, TypeError) as e:
            sentence = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            item.stash[_OUTCOME] = Outcome(sentence=f"@pytest.mark.memtun_shim: {sentence}")
        else:
            _phase(item, "setup")
        raise _Done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Waits for the test."""
        if runs(item):
            _phase(item, "call")
            raise _Done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: Optional[pytest.Item]) -> None:
        """Waits for the end. Of the tests before this one the fixtures that this one could have used are still
        there."""
        if runs(item):
            _phase(item, "teardown")
            item.session._setupstate.teardown_exact(nextitem)
            raise _Done


class Quiet:
    """The other half: for everybody around it, a phase that is over has ended well. Its outcome is in its
    report."""

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, None]:
        """Innermost."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, Any, None]:
        """Innermost."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        """Innermost."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        """Innermost: whoever looks at reports sees the one that the process made."""
        outcome = item.stash.get(_OUTCOME, None)
        if outcome is None:
            yield
            return
        del item.stash[_OUTCOME]
        # What failed here is not to be covered up: not by what went well there.
        happened = call.excinfo is not None
        if not happened:
            if outcome.sentence is not None:
                _judge_here(item)
            call.excinfo = outcome.excinfo()
            item.stash[_TOLD] = True
        answer = yield
        report: pytest.TestReport = answer.get_result()
        for other in outcome.others:
            item.ihook.pytest_runtest_logreport(report=other)
        if not happened:
            outcome.shape(report)
        elif outcome.failed:
            report.sections.append(("the test's process", outcome.text()))


def _quiet(outcome: Any) -> None:
    if outcome.excinfo is not None and isinstance(outcome.excinfo[1], _Done):
        outcome.force_result([])


def forget_exception(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """The report is made. A debugger that looks at the exception has done so in the process, or finds nothing
    there."""
    if item.stash.get(_TOLD, False):
        del item.stash[_TOLD]
        call.excinfo = None


def _phase(item: pytest.Item, when: str) -> None:
    process = item.stash.get(_PROCESS, None)
    if process is None:
        return
    try:
        item.stash[_OUTCOME] = process.phase(when)
    except BaseException as e:
        # A time that is over, Ctrl-C, whatever else: the test ends with its wait.
        sentence = f"{type(e).__name__} while the test's process was waited for"
        item.stash[_OUTCOME] = process.abort(when, sentence)
        raise
    if process.stop is not None:
        # It said so: as in a test without the marker, the whole run ends.
        raise process.stop


def end(item: pytest.Item) -> None:
    """Whatever became of its phases, its process ends."""
    process = item.stash.get(_PROCESS, None)
    if process is not None:
        del item.stash[_PROCESS]
        process.close()


def interrupted(item: pytest.Item) -> None:
    """The run ends within this test, which has no report yet."""
    outcome = item.stash.get(_OUTCOME, None)
    if outcome is None or not outcome.failed:
        return
    del item.stash[_OUTCOME]
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome="failed",
        longrepr=None,
        when=outcome.when,  # type: ignore[arg-type]
        sections=[(f"Captured {key} {when}", content) for when, key, content in item._report_sections],
        start=time.time(),
        stop=time.time(),
    )
    outcome.shape(report)
    item.ihook.pytest_runtest_logreport(report=report)


class Timer:
    """pytest-timeout's timer of a marked test runs in the test's process, where it knows the stack. Here the
    process is given a little longer, should it not react."""

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> Optional[bool]:
        """Instead of the timer."""
        if not runs(item):
            return None
        item.stash[_LIMIT] = settings.timeout
        process = item.stash.get(_PROCESS, None)
        if process is not None:
            process.limit(settings.timeout)
        return True

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> Optional[bool]:
        """There is none."""
        return True if runs(item) else None


def _leave_xfail_to_the_child(item: pytest.Item) -> None:
    """What is expected there can depend on the shim; its report says what came of it."""
    with contextlib.suppress(ImportError):
        from _pytest.skipping import xfailed_key

        item.stash[xfailed_key] = False  # type: ignore[misc]


def _judge_here(item: pytest.Item) -> None:
    """The process cannot say any more whether it was expected to fail."""
    with contextlib.suppress(Exception):
        from _pytest.skipping import evaluate_xfail_marks, xfailed_key

        item.stash[xfailed_key] = evaluate_xfail_marks(item)


def _leave_stacks_to_the_child(item: pytest.Item) -> None:
    """pytest's faulthandler_timeout: the process has the same."""
    with contextlib.suppress(ValueError):
        if float(item.config.getini("faulthandler_timeout") or 0) > 0:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()


def start(path: str) -> int:
    """What the test's process begins with."""
    with open(path, "rb") as file:
        asked = pickle.load(file)
    os.unlink(path)
    if asked["captures"]:
        # As for a test in the process that captures.
        sys.stdin = DontReadFromInput()
    return child.main(asked)
