"""Lets tests run in a checkout without an installation, too, with the sources of this checkout
and its release build."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_installed = any(
    point.value == "memtun.pytest_plugin"
    for distribution in importlib.metadata.distributions()
    for point in distribution.entry_points
)
if not _installed:
    if importlib.util.find_spec("memtun") is None:
        source = str(Path(__file__).parent / "src")
        sys.path.insert(0, source)
        # The pytest processes that tests of the plugin start need this as well.
        os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    pytest_plugins.append("memtun.pytest_plugin")


@pytest.fixture
def installed() -> bool:
    """Does pytest find the plugin by its entry point?"""
    return _installed
