"""The fixtures ``memtun`` and ``memtun_session``, and which nets a test has used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .._net import Net
from . import captures, shim

_OWN = pytest.StashKey[Net]()
_SESSION = pytest.StashKey[Net]()


def _prepared(net: Net, config: pytest.Config) -> Net:
    net._record_output = shim.captures(config)
    return net


@pytest.fixture
def memtun(request: pytest.FixtureRequest) -> Iterator[Net]:
    """A fresh :class:`memtun.Net`, which is removed afterwards with everything that was started
    in it. In a test that is marked ``memtun_shim`` it is the net of the test's own process."""
    net = Net.of_this_process() if shim.is_child() else Net()
    with _prepared(net, request.config):
        request.node.stash[_OWN] = net
        captures.begin(request.node, net)
        try:
            yield net
        finally:
            captures.end(request.node)


@pytest.fixture(scope="session")
def memtun_session(request: pytest.FixtureRequest) -> Iterator[Net]:
    """One :class:`memtun.Net` for all tests of the session, one per worker with pytest-xdist."""
    with _prepared(Net(), request.config) as net:
        request.config.stash[_SESSION] = net
        yield net


def nets_of(item: pytest.Item) -> Iterator[Net]:
    """The nets that a test has used."""
    own = item.stash.get(_OWN, None)
    if own is not None:
        yield own
    session = item.config.stash.get(_SESSION, None)
    if session is not None and "memtun_session" in getattr(item, "fixturenames", ()):
        yield session
