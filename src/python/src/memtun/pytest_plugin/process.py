"""The process of a marked test, seen from outside: its phases, its limits and its end."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import pytest

from .._errors import Error
from .._net import Net
from .._programs import Argument
from . import child
from .channel import Receiver
from .outcome import Outcome, unpickled

_START = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    sys.path[:] = pickle.load(file)
from memtun.pytest_plugin import shim
sys.exit(shim.start(sys.argv[2]))
"""

# Options of the whole run that mean nothing, or do harm, in a process that runs one test once.
_NOT_FOR_CHILDREN: dict[str, Any] = {
    **{"keyword": "", "markexpr": "", "deselect": None, "ignore": None, "ignore_glob": None},
    **{"lf": False, "failedfirst": False, "newfirst": False, "stepwise": False, "stepwise_skip": False},
    **{"collectonly": False, "maxfail": 0, "xmlpath": None, "pastebin": None, "durations": None},
    **{"cacheshow": None, "session_timeout": None, "forked": False, "reruns": None},
    # The test's output goes where the output of this process goes.
    "capture": "no",
    # Other plugins write these files about a run, which are those of the run in this process, or
    # show these things of it.
    **{"report_log": None, "htmlpath": None, "json_report": False, "instafail": False},
    **{"numprocesses": None, "maxprocesses": None, "dist": "no", "tx": [], "looponfail": False},
    # Coverage is measured from before the first import on, see child.
    **{"cov_source": [], "cov_report": {}, "cov_fail_under": None},
}

# Time in seconds that the process may take over what pytest-timeout does not count: until its test
# begins, ...
_BEGINNING = 60.0
# ... from the moment when its own timer has struck, and until it ends when nothing keeps it from
# that.
_REACTION = 5.0
_END = 30.0
# Time in seconds that threads which the test has left behind may go on.
_THREADS = 2.0


# A stack frame of pytest's or the plugin's, between the test and the beginning of its process.
_FRAME_OF_NOBODY = re.compile(r'^  File "([^"]*/(_pytest|pluggy|memtun/pytest_plugin)/[^"]*|<string>)", line ')


class Process:
    """The process under the shim in which a test runs."""

    stop: Optional[BaseException] = None
    """The exception by which the test has ended the whole run."""

    def __init__(
        self,
        item: pytest.Item,
        limit: Optional[float],
        link: Optional[str],
        devices: Optional[Iterable[Argument]],
    ) -> None:
        self._item = item
        self._read: list[Any] = []
        self._log: Any = None
        self._limit = limit
        self._begun = self._phase_begun = time.monotonic()
        self._started = self._failed = self._over = self._done = self._waits = self._closed = False
        self._left: list[str] = []
        with contextlib.ExitStack() as opened:
            self._dir = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="memtun-pytest-")))
            net = opened.enter_context(contextlib.closing(Net()))
            self._receiver = opened.enter_context(contextlib.closing(Receiver(self._dir / "messages", self._dir / "orders")))
            (self._dir / "stacks").touch()
            if _log_file(item.config) is not None:
                (self._dir / "log").touch()
                self._log = opened.enter_context((self._dir / "log").open("rb"))
            streams = self._written(item.config, opened)
            terminal = _terminal(item.config)
            try:
                (self._dir / "path").write_bytes(pickle.dumps(sys.path))
                (self._dir / "request").write_bytes(pickle.dumps(_request(item, self._dir, terminal)))
                self._program = net.popen(
                    # Unbuffered: what a test has printed is told also when it hangs or is killed.
                    [sys.executable, "-u", "-c", _START, str(self._dir / "path"), str(self._dir / "request")],
                    link=link,
                    devices=devices,
                    stdin=subprocess.DEVNULL if terminal else None,
                    stdout=streams[0],
                    stderr=streams[1],
                    cwd=str(item.config.invocation_params.dir),
                    pass_fds=terminal or (),
                )
            finally:
                for fd in terminal or ():
                    os.close(fd)
            self._ended = opened.pop_all()

    def _written(self, config: pytest.Config, opened: contextlib.ExitStack) -> list[Any]:
        """The files that the process writes to: none when it writes as this process does, whose
        output is captured below Python. When this process captures in Python alone, it is handed
        what was written to the files."""
        if config.getoption("capture") in ("fd", "no"):
            return [None, None]
        paths = [self._dir / "out", self._dir / "err"]
        written = [opened.enter_context(path.open("ab")) for path in paths]
        # The files are opened again, so that they have positions of their own.
        self._read = [opened.enter_context(path.open("rb")) for path in paths]
        return written

    def limit(self, seconds: Optional[float]) -> None:
        """Gives the process so many seconds from now on."""
        self._limit = seconds
        self._begun = time.monotonic()

    def phase(self, when: str) -> Outcome:
        """Waits for a phase to end."""
        self._phase_begun = time.monotonic()
        outcome = Outcome(when)
        if self._closed:
            return outcome
        try:
            if self._waits:
                self._waits = False
                self._receiver.go_on()
            if not self._over:
                self._wait(outcome)
            if when == "teardown":
                self._finish(outcome)
        finally:
            self._pass_on()
        return outcome

    def _wait(self, outcome: Outcome) -> None:
        while True:
            message = self._receive()
            if message is None and self._program.poll() is None and not self._is_late():
                continue
            # A process that has ended may have sent a message just before.
            message = message or self._receive(0)
            if message is None:
                self._died(outcome, late=self._program.poll() is None)
                return
            kind, *values = message
            self._over = kind in ("interrupted", "lost", "done")
            if kind == "report":
                plain, data, exception = values
                report = self._item.config.hook.pytest_report_from_serializable(config=self._item.config, data=data)
                report.nodeid = self._item.nodeid
                self._waits = plain
                self._failed = self._failed or report.failed
                if plain and report.when == outcome.when:
                    outcome.report, outcome.exception = report, exception
                    return
                if not plain and report.failed:
                    _count_subtest(self._item)
                outcome.others.append(report)
                continue
            if kind == "interrupted":
                self._interrupted(outcome, *values)
                return
            if kind == "lost":
                outcome.sentence = f"the test's process under the shim: {values[0]}"
                self._kill()
                return
            self._note(kind, values)
            if kind == "done":
                outcome.sentence = "the test's process under the shim ended its run without a report; see its output"
                return

    def _interrupted(self, outcome: Outcome, text: str, ends: Optional[str], status: Optional[int]) -> None:
        if ends is not None:
            # The status is not 0, because this test has not passed.
            self.stop = pytest.exit.Exception(ends, status or None)
        # A user who leaves the debugger has seen how the test failed.
        if not self._failed:
            how = "was interrupted" if ends is None else f"ended the run: {ends}"
            outcome.sentence, outcome.stacks = f"the test's process under the shim {how}", text

    def _note(self, kind: str, values: list[Any]) -> None:
        if kind == "started":
            self._started = True
            self._begun = time.monotonic()
        elif kind == "pdb":
            self._limit = None
        elif kind == "done":
            self._done, self._left = True, values[0]
        elif kind == "warning":
            self._warn(*values)
        elif kind == "terminal":
            _show(self._item.config, *values)

    def _warn(self, sendable: tuple[Optional[bytes], str, str], filename: str, lineno: int, location: Any) -> None:
        """Reports a warning of the test as pytest does."""
        pickled, name, said = sendable
        message = unpickled(pickled)
        if not isinstance(message, Warning):
            message = UserWarning(f"{name}: {said}")
        self._item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warnings.WarningMessage(message, type(message), filename, lineno),
                "when": "runtest",
                "nodeid": self._item.nodeid,
                "location": location,
            }
        )

    def _receive(self, timeout: Optional[float] = None) -> Optional[tuple[Any, ...]]:
        if timeout is None:
            end = self._deadline()
            timeout = None if end is None else max(0.0, end - time.monotonic())
        return self._receiver.receive(self._program.pid, timeout)

    def _deadline(self) -> Optional[float]:
        if self._limit is None:
            return None
        if not self._started:
            return self._begun + self._limit + _BEGINNING
        return max(self._begun + self._limit, self._phase_begun) + _REACTION

    def _is_late(self) -> bool:
        end = self._deadline()
        return end is not None and time.monotonic() >= end

    def _died(self, outcome: Outcome, late: bool) -> None:
        self._over = True
        timed_out = self._limit is not None and time.monotonic() >= self._begun + self._limit
        what = "the test's process under the shim"
        if late:
            outcome.stacks = self.stacks()
            self._kill()
            where = "did not react to it" if self._started else "did not begin its test"
            outcome.sentence = f"Timeout (>{self._limit}s): {what} {where}"
            return
        outcome.stacks = self._stacks()
        outcome.sentence = f"{what}: {self._program.state}"
        if self._program.returncode == 1 and timed_out and outcome.stacks:
            outcome.sentence = f"Timeout (>{self._limit}s): {what}: {self._program.state}"
        elif self._program.returncode >= 0:
            outcome.sentence += ", before the test was over"

    def _finish(self, outcome: Outcome) -> None:
        """Waits for the end of the process and removes what is left of its net."""
        if self._waits:
            self._waits = False
            self._receiver.go_on()
        end = time.monotonic() + _END
        while not self._done:
            runs = self._program.poll() is None and time.monotonic() < end
            message = self._receive(max(0.0, end - time.monotonic()) if runs else 0)
            if message is not None:
                kind, *values = message
                if kind in ("lost", "interrupted") and outcome.sentence is None:
                    outcome.sentence = f"the test's process under the shim: {values[0]}"
                self._note(kind, values)
            elif not runs:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(_THREADS if self._left else _END if self._done else 0)
        failed = outcome.sentence is not None
        if self._program.poll() is None:
            outcome.stacks = outcome.stacks or self.stacks()
            self._kill()
            why = f": threads of it go on: {', '.join(self._left)}" if self._left else ""
            if not failed:
                outcome.sentence = f"the test's process under the shim did not end after its test{why}"
        elif self._program.returncode != 0 and outcome.report is not None and not failed:
            outcome.stacks = self._stacks()
            outcome.sentence = f"the test's process under the shim, after its test: {self._program.state}"
        try:
            self.close()
        except Error as e:
            if outcome.sentence is None:
                outcome.sentence = f"the net of the test's process: {e.strerror}"

    def stacks(self) -> str:
        """The stacks of its threads. It is empty when the process cannot write them, because it
        is stopped or has not begun."""
        if self._program.poll() is None:
            before = len(self._stacks())
            # Before the process is prepared for the signal, the signal ends it. That does no harm,
            # because it is to be ended anyway.
            self._program.send_signal(child.STACKS)
            limit = time.monotonic() + 1
            size, same = before, 0
            while time.monotonic() < limit and same < 3:
                time.sleep(0.02)
                now = len(self._stacks())
                same = same + 1 if now == size > before else 0
                size = now
        return self._stacks()

    def _stacks(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._dir / "stacks").read_text(errors="replace").splitlines()
            return "\n".join(line for line in lines if not _FRAME_OF_NOBODY.search(line))
        return ""

    def abort(self, when: str, sentence: str) -> Outcome:
        """Ends the process at once."""
        self._over, self._waits = True, False
        outcome = Outcome(when, sentence=sentence, stacks=self.stacks())
        self._kill()
        self._pass_on()
        with contextlib.suppress(Error):
            self.close()
        return outcome

    def _kill(self) -> None:
        self._program.kill()
        self._program.wait()

    def _pass_on(self) -> None:
        """Passes on what the process wrote where that is not captured already, and writes its
        log lines into the log file, if there is one."""
        log = _log_file(self._item.config)
        if log is not None and self._log is not None:
            log.acquire()
            try:
                log.stream.write(self._log.read().decode(errors="replace"))
                log.flush()
            finally:
                log.release()
        for stream, to in zip(self._read, (sys.stdout, sys.stderr)):
            to.write(stream.read().decode(errors="replace"))

    def close(self) -> None:
        """Ends the process, whatever it does."""
        if self._program.poll() is None:
            self._kill()
        self._pass_on()
        self._read = []
        self._log = None
        self._closed = True
        self._ended.close()


def _count_subtest(item: pytest.Item) -> None:
    """Makes pytest say of the test that it contains a subtest that failed."""
    with contextlib.suppress(ImportError, AttributeError, KeyError):
        from _pytest.subtests import failed_subtests_key

        item.config.stash[failed_subtests_key][item.id] += 1


def _log_file(config: pytest.Config) -> Any:
    """The handler that writes log lines into a file, if a log file was asked for."""
    handler = getattr(config.pluginmanager.getplugin("logging-plugin"), "log_file_handler", None)
    return None if handler is None or handler.baseFilename == os.devnull else handler


def _show(config: pytest.Config, how: str, arguments: list[Any], keywords: dict[str, Any]) -> None:
    """Shows something on the terminal, which is below the capture."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter is not None:
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            getattr(reporter, how)(*arguments, **keywords)


def _terminal(config: pytest.Config) -> Optional[list[int]]:
    """Standard input, output and error as they are below the capture, for a debugger in the
    process. It is None without a capture."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None or not capture.is_globally_capturing():
        return None
    capture.suspend_global_capture(in_=True)
    try:
        return [os.dup(fd) for fd in range(3)]
    except OSError:
        return None
    finally:
        capture.resume_global_capture()


def _request(item: pytest.Item, dir: Path, terminal: Optional[list[int]]) -> dict[str, Any]:
    config = item.config
    options = {
        **vars(config.option),
        **_NOT_FOR_CHILDREN,
        "basetemp": _basetemp(config),
        "rootdir": str(config.rootpath),
        "inifilename": str(config.inipath) if config.inipath else None,
    }
    if _log_file(config) is not None:
        # This process goes on to write into its own log file.
        options.update(log_file=str(dir / "log"), log_file_mode="w")
    # These are the tests of the whole run.
    options.pop("file_or_dir", None)
    for name, value in list(options.items()):
        try:
            pickle.dumps(value)
        except (pickle.PicklingError, TypeError, AttributeError):
            del options[name]
    # This is not the item's own id, to which pytest-xdist may have added a group.
    inside = [item.name, *(node.name for node in item.listchain()[-2::-1] if isinstance(node, pytest.Class))]
    return {
        "options": pickle.dumps(options),
        "test": "::".join([str(item.path), *reversed(inside)]),
        "messages": str(dir / "messages"),
        "orders": str(dir / "orders"),
        "stacks": str(dir / "stacks"),
        "captures": terminal is not None,
        "terminal": terminal,
        "coverage": _coverage(item),
        "workerinput": getattr(config, "workerinput", None),
    }


def _basetemp(config: pytest.Config) -> Optional[str]:
    """A base for its temporary directories inside that of the run, so that they are kept and
    removed with those of the run."""
    factory = getattr(config, "_tmp_path_factory", None)
    return None if factory is None else str(factory.mktemp("memtun-shim"))


def _coverage(item: pytest.Item) -> Optional[dict[str, Any]]:
    """How pytest-cov measures; None if it does not."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None or getattr(controller, "cov", None) is None:
        return None
    if item.get_closest_marker("no_cover") or "no_cover" in getattr(item, "fixturenames", ()):
        return None
    context = getattr(item.config.option, "cov_context", None) == "test"
    return {
        "source": controller.cov_source,
        "branch": controller.cov_branch,
        "config_file": controller.cov_config,
        "data_file": os.path.join(controller.topdir, controller.cov.config.data_file),
        "context": f"{item.nodeid}|run" if context else None,
    }
