"""The marker ``memtun_shim``: a test's own process under the shim.

A library can only be preloaded when a process starts. So another pytest with the same
configuration runs such a test in a process of its own. In this process the test has its three
phases as every other test has; each waits for the same phase in the other process and takes over
its report. So a plugin that runs a test again, forks for it, stops after it or counts it sees
nothing special, and a process that dies, hangs or is interrupted is a phase that failed."""

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
    """Is this the process that was started for the test?"""
    return child.request() is not None


def captures(config: pytest.Config) -> bool:
    """Does the run capture output? With -s people want to see output when it is written."""
    asked = child.request()
    return bool(asked["captures"] if asked is not None else config.getoption("capture") != "no")


def runs(item: object) -> bool:
    """Is the item a test that has the marker, and is this not its own process?"""
    return isinstance(item, pytest.Item) and not is_child() and item.get_closest_marker("memtun_shim") is not None


def memtun_shim(
    link: Optional[str] = None, devices: Optional[Iterable[Argument]] = None
) -> tuple[Optional[str], Optional[Iterable[Argument]]]:
    """Checks the marker's arguments; Python says what is wrong with others."""
    return link, devices


class _Done(Exception):
    """The phase is over, and no other plugin has to do anything for it."""


class Phases:
    """Lets each phase wait for the same one in the test's process. No other plugin sets this
    test up or calls it in this process, because its fixtures, and what plugins do before it, are
    in the other one."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Starts the process and waits for the setup."""
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
        """Waits for the test's call."""
        if runs(item):
            _phase(item, "call")
            raise _Done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: Optional[pytest.Item]) -> None:
        """Waits for the teardown. Fixtures of earlier tests that this one could have used still
        exist until then."""
        if runs(item):
            _phase(item, "teardown")
            item.session._setupstate.teardown_exact(nextitem)
            raise _Done


class Quiet:
    """The other half: for every plugin around a phase that is over, the phase has ended well.
    Its outcome is in its report."""

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, None]:
        """Ends the phase well; this is the innermost wrapper."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, Any, None]:
        """Ends the phase well; this is the innermost wrapper."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        """Ends the phase well; this is the innermost wrapper."""
        _quiet((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        """Puts the report of the test's process in place of this process's. This is the
        innermost wrapper, so that every plugin that looks at reports sees that one."""
        outcome = item.stash.get(_OUTCOME, None)
        if outcome is None:
            yield
            return
        del item.stash[_OUTCOME]
        # A failure in this process must not be covered up by a success in the other one.
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
    """Forgets the exception after the report is made. A debugger that looks at the exception has
    done so in the process, or finds nothing there."""
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
        # The wait was ended by a time limit, a Ctrl-C or something else, and the test ends with it.
        sentence = f"{type(e).__name__} while the test's process was waited for"
        item.stash[_OUTCOME] = process.abort(when, sentence)
        raise
    if process.stop is not None:
        # The process said so: the whole run ends, as it does in a test without the marker.
        raise process.stop


def end(item: pytest.Item) -> None:
    """Ends the test's process, whatever became of its phases."""
    process = item.stash.get(_PROCESS, None)
    if process is not None:
        del item.stash[_PROCESS]
        process.close()


def interrupted(item: pytest.Item) -> None:
    """Reports the test when the run ends within it, before it has a report."""
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
    """Lets pytest-timeout's timer of a marked test run in the test's process, where it knows the
    stack. This process gives the other one a little longer, in case it does not react."""

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> Optional[bool]:
        """Sets a limit for the process in place of the timer."""
        if not runs(item):
            return None
        item.stash[_LIMIT] = settings.timeout
        process = item.stash.get(_PROCESS, None)
        if process is not None:
            process.limit(settings.timeout)
        return True

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> Optional[bool]:
        """Does nothing, because there is no timer."""
        return True if runs(item) else None


def _leave_xfail_to_the_child(item: pytest.Item) -> None:
    """Turns off xfail in this process: what is expected in the other one can depend on the shim,
    and its report says what came of it."""
    with contextlib.suppress(ImportError):
        from _pytest.skipping import xfailed_key

        item.stash[xfailed_key] = False  # type: ignore[misc]


def _judge_here(item: pytest.Item) -> None:
    """Judges an expected failure in this process when the other one can no longer say whether
    the failure was expected."""
    with contextlib.suppress(Exception):
        from _pytest.skipping import evaluate_xfail_marks, xfailed_key

        item.stash[xfailed_key] = evaluate_xfail_marks(item)


def _leave_stacks_to_the_child(item: pytest.Item) -> None:
    """Turns off pytest's faulthandler_timeout in this process, because the other one has the
    same."""
    with contextlib.suppress(ValueError):
        if float(item.config.getini("faulthandler_timeout") or 0) > 0:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()


def start(path: str) -> int:
    """Runs the test in its own process, which begins with this."""
    with open(path, "rb") as file:
        asked = pickle.load(file)
    os.unlink(path)
    if asked["captures"]:
        # Standard input is the same as that of a test in the process that captures.
        sys.stdin = DontReadFromInput()
    return child.main(asked)
