"""The pytest plugin: fixtures, a marker that puts a test's own process under the shim, a section in reports
of failures.

======================  ================================================================
module                  subject
======================  ================================================================
``fixtures``            ``memtun``, ``memtun_session``, and which nets a test has used
``report``              what is said of them when it fails
``shim``                the marker ``memtun_shim``
``captures``            the option ``--memtun-capture``
======================  ================================================================
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Optional

import pytest

from . import captures, fixtures, report, shim
from .fixtures import memtun, memtun_session

__all__ = ["memtun", "memtun_session"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the option."""
    parser.getgroup("memtun").addoption(
        "--memtun-capture",
        metavar="DIR",
        help="keep a pcapng file per failed test in this directory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line(
        "markers",
        "memtun_shim(link='up', devices=None): run the test in a process of its own under the shim; the fixture "
        "memtun is the net of that process",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: Optional[pytest.Item]) -> Optional[bool]:
    """Runs a test that has the marker."""
    marker = item.get_closest_marker("memtun_shim")
    if marker is None or shim.is_child():
        return None
    shim.run(item, nextitem, **marker.kwargs)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Adds the section."""
    outcome = yield
    made: pytest.TestReport = outcome.get_result()
    if made.failed:
        captures.keep(item)
        for net in fixtures.nets_of(item):
            made.sections.append((f"memtun net {net.path}", captures.path_of(item) + report.of(net)))
