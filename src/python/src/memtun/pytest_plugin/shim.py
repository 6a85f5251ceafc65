"""The marker ``memtun_shim``: a test's own process under the shim.

A library can only be preloaded when a process starts. So such a test is run by another pytest, of the same
configuration, in a process of its own; its reports come back through a file and are given out here as if the
test had run here."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional, TextIO

import pytest
from _pytest.config import create_terminal_writer

from .._errors import InvalidValue
from .._net import Net
from .._programs import Argument

_START = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    request = pickle.load(file)
sys.path[:] = request["path"]
from memtun.pytest_plugin import shim
sys.exit(shim.child(request))
"""

# Options of the whole run that mean nothing, or harm, where one test is run.
_NOT_FOR_CHILDREN: dict[str, Any] = {
    **{"keyword": "", "markexpr": "", "deselect": None, "ignore": None, "ignore_glob": None},
    **{"lf": False, "failedfirst": False, "newfirst": False, "stepwise": False, "stepwise_skip": False},
    **{"collectonly": False, "maxfail": 0, "basetemp": None, "usepdb": False, "trace": False},
    **{"xmlpath": None, "pastebin": None, "durations": None, "cacheshow": None, "setuponly": False},
    # What the test has written is with whoever started its process, also when it dies.
    "capture": "no",
    **{"numprocesses": None, "maxprocesses": None, "dist": "no", "tx": [], "looponfail": False},
}

_request_of_child: Optional[dict[str, Any]] = None


def is_child() -> bool:
    """Is this the process that the test was given?"""
    return _request_of_child is not None


def captures(config: pytest.Config) -> bool:
    """Does the run capture output? With -s people want to see it when it is written."""
    if _request_of_child is not None:
        return bool(_request_of_child["captures"])
    return bool(config.getoption("capture") != "no")


def run(
    item: pytest.Item,
    nextitem: Optional[pytest.Item],
    link: Optional[str] = None,
    devices: Optional[Iterable[Argument]] = None,
) -> None:
    """Runs the test in a process under the shim and gives its reports out."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    begun = time.time()
    try:
        reports = _reports(item, link, devices)
    except InvalidValue as e:
        reports = [_failed(item, f"@pytest.mark.memtun_shim: {e.strerror}", begun)]
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # Of the test before this one the fixtures that this one could have used are still there.
    item.session._setupstate.teardown_exact(nextitem)


def _reports(
    item: pytest.Item, link: Optional[str], devices: Optional[Iterable[Argument]]
) -> list[pytest.TestReport]:
    begun = time.time()
    config = item.config
    stream = subprocess.PIPE if captures(config) else None
    with tempfile.TemporaryDirectory(prefix="memtun-pytest-") as directory, Net() as net:
        request, answer = Path(directory, "request"), Path(directory, "reports")
        request.write_bytes(pickle.dumps(_request(item, answer)))
        program = net.popen(
            [sys.executable, "-c", _START, str(request)],
            link=link,
            devices=devices,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=None if stream is None else subprocess.STDOUT,
            cwd=str(config.invocation_params.dir),
        )
        output = (program.communicate()[0] or b"").decode(errors="replace")
        state = program.state
        answers = _read(answer) if answer.exists() else []
    reports = []
    for data in answers:
        report = config.hook.pytest_report_from_serializable(config=config, data=data)
        report.nodeid = item.nodeid
        reports.append(report)
    if not reports or reports[-1].when != "teardown":
        reports.append(_failed(item, f"the test's process under the shim: {state}", begun))
    if output:
        shows = next((r for r in reports if r.failed), None) or reports[min(1, len(reports) - 1)]
        shows.sections.append(("Captured output", output))
    return reports


def _read(path: Path) -> list[Any]:
    answers = []
    # The last one is cut where the process was killed while it wrote.
    with path.open("rb") as file, contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            answers.append(pickle.load(file))
    return answers


def _failed(item: pytest.Item, sentence: str, begun: float) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome="failed",
        longrepr=sentence,
        when="call",
        duration=time.time() - begun,
    )


def _request(item: pytest.Item, reports: Path) -> dict[str, Any]:
    config = item.config
    options = {
        **vars(config.option),
        **_NOT_FOR_CHILDREN,
        "rootdir": str(config.rootpath),
        "inifilename": str(config.inipath) if config.inipath else None,
    }
    # It stands for the tests of the whole run.
    options.pop("file_or_dir", None)
    for name, value in list(options.items()):
        try:
            pickle.dumps(value)
        except (pickle.PicklingError, TypeError, AttributeError):
            del options[name]
    test = "::".join([str(item.path), *item.nodeid.split("::")[1:]])
    return {
        "path": sys.path,
        "options": pickle.dumps(options),
        "test": test,
        "reports": str(reports),
        "captures": captures(config),
    }


def child(request: dict[str, Any]) -> int:
    """The process under the shim: runs its test, leaves the reports."""
    global _request_of_child
    _request_of_child = request
    # The reports' reader may show what this process writes; a terminal's summary would only repeat them.
    options = pickle.loads(request["options"])
    options["plugins"] = [*(options.get("plugins") or []), "no:terminal", "no:cacheprovider"]
    config = pytest.Config.fromdictargs(options, [request["test"]])
    with open(request["reports"], "wb") as file, open(os.devnull, "w") as nowhere:
        config.pluginmanager.register(_Reporter(config, file), "memtun-reporter")
        config.pluginmanager.register(_NoTerminal(config, nowhere), "terminalreporter")
        status: int = config.hook.pytest_cmdline_main(config=config)
    return status


class _NoTerminal:
    """Whoever explains a comparison asks the terminal's writer for its colours."""

    def __init__(self, config: pytest.Config, nowhere: TextIO) -> None:
        self._tw = create_terminal_writer(config, nowhere)


class _Reporter:
    """Leaves the reports in a file."""

    def __init__(self, config: pytest.Config, file: Any) -> None:
        self._config, self._file = config, file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        try:
            answer = pickle.dumps(data)
        except (pickle.PicklingError, TypeError, AttributeError):
            # A user property, which can be anything.
            answer = pickle.dumps({**data, "user_properties": []})
        self._file.write(answer)
        # What comes next may end the process.
        self._file.flush()
