"""``--memtun-capture DIR``: a pcapng file per failed test."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import pytest

from .._capture import Capture
from .._net import Net

_CAPTURE = pytest.StashKey[Capture]()
_FAILED = pytest.StashKey[bool]()

_LONGEST = 150


def file_name(nodeid: str) -> str:
    """A file name for a test, different for every test. Characters of the test's id that are not
    plain are replaced, and a digest tells apart the ids that look alike after that."""
    plain = re.sub(r"[^\w.-]+", "-", nodeid).strip("-.")
    if plain == nodeid and len(plain) <= _LONGEST:
        return f"{plain}.pcapng"
    digest = hashlib.sha256(nodeid.encode(errors="replace")).hexdigest()[:8]
    return f"{plain[:_LONGEST]}-{digest}.pcapng"


def begin(item: pytest.Item, net: Net) -> None:
    """Starts a test's capture."""
    directory = item.config.getoption("memtun_capture")
    if not directory:
        return
    directory = Path(item.config.invocation_params.dir, directory)
    directory.mkdir(parents=True, exist_ok=True)
    item.stash[_CAPTURE] = net.capture(directory / file_name(item.nodeid))


def keep(item: pytest.Item) -> None:
    """Says that the test has failed, so that its file is kept."""
    item.stash[_FAILED] = True


def end(item: pytest.Item) -> None:
    """Ends a test's capture. The file is removed unless the test has failed."""
    capture = item.stash.get(_CAPTURE, None)
    if capture is None:
        return
    try:
        capture.stop()
    finally:
        if not item.stash.get(_FAILED, False):
            with contextlib.suppress(FileNotFoundError):
                capture.path.unlink()


def path_of(item: pytest.Item) -> str:
    """A line for the report; empty when nothing is captured."""
    capture = item.stash.get(_CAPTURE, None)
    return f"capture: {capture.path}\n" if capture is not None else ""
