"""The pytest plugin: fixtures, a marker that puts a test's own process under the shim, a section in reports
of failures.

======================  ================================================================
module                  subject
======================  ================================================================
``fixtures``            ``memtun``, ``memtun_session``, and which nets a test has used
``report``              what is said of them when it fails
``shim``                the marker ``memtun_shim``
``process``             the process of a test that has it, from outside
``outcome``             what came of its phases
``child``               the process from inside
``channel``             messages between them
``captures``            the option ``--memtun-capture``
======================  ================================================================

PYTEST_DONT_REWRITE: as in the package.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from . import captures, fixtures, report, shim
from .fixtures import memtun, memtun_session

__all__ = ["memtun", "memtun_session"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the plugin's options."""
    parser.getgroup("memtun").addoption(
        "--memtun-capture",
        metavar="DIR",
        help="keep a pcapng file per failed test in this directory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the plugins that give it its meaning."""
    config.addinivalue_line(
        "markers",
        "memtun_shim(link='up', devices=None): run the test in a process of its own under the shim; the fixture "
        "memtun is the net of that process",
    )
    for plugin in (shim.Phases(), shim.Quiet(), shim.Timer()):
        config.pluginmanager.register(plugin)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, None]:
    """Reports a marked test even when the run ends within it, and ends its process."""
    outcome = yield
    if outcome.excinfo is not None:
        shim.interrupted(item)
    shim.end(item)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Adds the section on nets to a report."""
    outcome = yield
    shim.forget_exception(item, call)
    made: pytest.TestReport = outcome.get_result()
    if made.failed:
        captures.keep(item)
        for net in fixtures.nets_of(item):
            made.sections.append((f"memtun net {net.path}", captures.path_of(item) + report.of(net)))
