"""Runs a marked test in its process, and tells the process that started it how it goes."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Generator
from typing import Any, Optional

import pytest
from _pytest.runner import runtestprotocol
from _pytest.terminal import TerminalReporter, pytest_report_teststatus

from .channel import Sender, high

STACKS = signal.SIGRTMAX - 3
"""Signal that makes the process write the stacks of its threads, whatever it hangs in."""

# Plugins that have nothing to do in a process that runs one test once.
_NOT_HERE = ["no:cacheprovider", "no:terminalprogress", "no:sugar"]

_request: Optional[dict[str, Any]] = None


def request() -> Optional[dict[str, Any]]:
    """The request that this process was started with; None in every other process."""
    return _request


def main(asked: dict[str, Any]) -> int:
    """Runs the test."""
    global _request
    _request = asked
    if asked["captures"]:
        # A Ctrl-C is for the process that started this one, which then asks where this one is. With
        # -s people may type to this one.
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        for stream in (sys.stdout, sys.stderr):
            # Output is written at once, so that it is not lost when the next line kills the
            # process.
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    sender = Sender(asked["messages"], asked["orders"])
    stacks = _show_stacks(asked["stacks"])
    coverage = _coverage(asked["coverage"])
    options = pickle.loads(asked["options"])
    options["plugins"] = [*(options.get("plugins") or []), *_NOT_HERE]
    config = pytest.Config.fromdictargs(options, [asked["test"]])
    # The plugin's options are known by now, and nothing of it is to write.
    config.pluginmanager.unregister(name="terminal")
    if asked["workerinput"] is not None:
        # The fixture worker_id, and other code that asks for the process of pytest-xdist, look
        # here.
        config.workerinput = asked["workerinput"]  # type: ignore[attr-defined]
    config.pluginmanager.register(_Reporter(config, sender, asked["terminal"]), "memtun-reporter")
    config.pluginmanager.register(_Terminal(config, sender), "terminalreporter")
    try:
        config.hook.pytest_cmdline_main(config=config)
    finally:
        # pytest has turned the faulthandler off.
        faulthandler.enable(stacks)
        if coverage is not None:
            coverage.stop()
            coverage.save()
    main_thread = threading.main_thread()
    left = [t.name for t in threading.enumerate() if t is not main_thread and not t.daemon]
    sender.send("done", left)
    return 0


def _show_stacks(path: str) -> int:
    """Lets others see where this process is: on a signal, and when it ends itself without a
    word. Returns the descriptor of the file."""
    stacks = high(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    faulthandler.register(STACKS, file=stacks, all_threads=True)
    pid, leave = os.getpid(), os._exit

    def _exit(status: int) -> None:
        if os.getpid() == pid:
            with contextlib.suppress(Exception):
                faulthandler.dump_traceback(file=stacks, all_threads=True)
        leave(status)

    os._exit = _exit  # type: ignore[assignment]
    # The interpreter's own end is not reported.
    atexit.register(setattr, os, "_exit", leave)
    return stacks


def _coverage(asked: Optional[dict[str, Any]]) -> Any:
    """Measures coverage as pytest-cov does where the test was started. That pytest-cov finds the
    file and adds it to its own."""
    if asked is None:
        return None
    import coverage

    measured = coverage.Coverage(**asked, data_suffix=True)
    # Warnings about files that this one test does not touch would be of no use.
    measured._warn_no_data = measured._warn_unimported_source = False
    measured.start()
    return measured


class _Terminal(TerminalReporter):  # type: ignore[misc]
    """A terminal reporter for other plugins that ask for it: for its colours when they explain a
    comparison, and for the names of outcomes when they count them. A plugin that ends a test
    after its time, or enters the debugger, writes to its writer; live log lines go to the
    terminal of the run."""

    pytest_report_teststatus = staticmethod(pytest_report_teststatus)

    def __init__(self, config: pytest.Config, sender: Sender) -> None:
        super().__init__(config, sys.stderr)
        self._sender = sender

    def write(self, content: str, *, flush: bool = False, **markup: bool) -> None:
        """Writes the text as it is."""
        self._sender.send("terminal", "write", [content], {"flush": flush, **markup})

    def section(self, title: str, sep: str = "=", **kw: bool) -> None:
        """Writes a line with a title."""
        self._sender.send("terminal", "section", [title, sep], kw)


# Its hooks are removed, because it does not report how the run goes.
for _name in dir(TerminalReporter):
    if _name.startswith("pytest_"):
        setattr(_Terminal, _name, None)


class _Reporter:
    """Tells the process that started this one how the test goes."""

    def __init__(self, config: pytest.Config, sender: Sender, terminal: Optional[list[int]]) -> None:
        self._config, self._sender = config, sender
        self._exception: Optional[BaseException] = None
        self._terminal = None if terminal is None else [high(fd) for fd in terminal]
        self._no_input: Any = None
        self._lost = False
        self._own: list[int] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: Optional[pytest.Item]) -> bool:
        """Runs the test once, in this process. A plugin that runs tests again, or elsewhere,
        does so where this process was started."""
        self._sender.send("started")
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runtestprotocol(item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        """Keeps the exception of the phase."""
        yield
        self._exception = call.excinfo.value if call.excinfo is not None else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sends the report of a phase that is over."""
        plain = type(report) is pytest.TestReport
        data = _in_utf8(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))
        self._sender.send("report", plain, data, _sendable(self._exception) if report.failed else None)
        if plain:
            # It waits, so that what the next phase writes is captured as the next phase's output.
            self._sender.wait()

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str, location: Any) -> None:
        """Sends a warning. Those of the test's collection have been seen where this process was
        started."""
        if when == "runtest":
            what = warning_message.message
            sendable = _sendable(what if isinstance(what, Warning) else warning_message.category(what))
            self._sender.send("warning", sendable, warning_message.filename, warning_message.lineno, location)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Says that the test cannot be collected, because something is broken here that is not
        broken where the process was started."""
        if report.failed:
            self._lost = True
            self._sender.send("lost", report.longreprtext)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Says that the test was not found."""
        if not session.items and not self._lost:
            self._sender.send("lost", "the test was not found, or was deselected, in the process under the shim")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Says that the run ends here."""
        ends = isinstance(excinfo.value, pytest.exit.Exception)
        # An interrupt without a traceback was raised outside of any code, as when the debugger is
        # left.
        text = str(excinfo.getrepr(style="long")) if excinfo.traceback else str(excinfo.value)
        status = getattr(excinfo.value, "returncode", None)
        self._sender.send("interrupted", text, str(excinfo.value) if ends else None, status)

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self) -> None:
        """Shows with --pdb where the debugger is before it says that it is there."""
        if self._config.getoption("usepdb"):
            self.pytest_enter_pdb()

    def pytest_enter_pdb(self) -> None:
        """Connects the terminal, because somebody wants to type."""
        self._sender.send("pdb")
        if self._terminal is None or self._own:
            return
        sys.stdout.flush()
        self._own = [high(os.dup(fd)) for fd in range(3)]
        for fd, real in enumerate(self._terminal):
            os.dup2(real, fd)
        self._no_input, sys.stdin = sys.stdin, sys.__stdin__
        _foreground(os.getpgrp())

    def pytest_leave_pdb(self) -> None:
        """Disconnects the terminal again."""
        if self._own:
            sys.stdout.flush()
            _foreground(os.getpgid(os.getppid()))
            for fd, own in enumerate(self._own):
                os.dup2(own, fd)
                os.close(own)
            self._own = []
            sys.stdin = self._no_input


def _foreground(group: int) -> None:
    """Lets a process group read from the terminal, if there is one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_utf8(value: Any) -> Any:
    """The same value with text that can be sent: pytest-xdist ends the run over half of a
    surrogate pair, which stands in a path that is not UTF-8."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, (tuple, list)):
        return type(value)([_in_utf8(v) for v in value])
    if isinstance(value, dict):
        return {_in_utf8(k): _in_utf8(v) for k, v in value.items()}
    return value


def _sendable(exception: Optional[BaseException]) -> Optional[tuple[Optional[bytes], str, str]]:
    """The pickled exception (None if it cannot be pickled), its name and its text."""
    if exception is None:
        return None
    try:
        said = str(exception)
    except Exception as e:
        said = f"(its text raised {type(e).__name__})"
    name = type(exception).__name__
    try:
        pickled = pickle.dumps(exception)
        pickle.loads(pickled)
    except Exception:
        return None, name, said
    return pickled, name, said
