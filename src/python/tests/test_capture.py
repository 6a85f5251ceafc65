from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import memtun as m


def test_a_capture_has_what_was_written_before_its_end(echo, memtun: m.Net, tmp_path: Path) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 21345)
    tun.send_udp(b"earlier", ("10.0.0.1", 7))
    assert receiver.recv(timeout=20) == b"earlier"
    with memtun.capture(tmp_path / "file.pcapng") as capture:
        tun.send_udp(b"meanwhile", ("10.0.0.1", 7))
        assert receiver.recv(timeout=20) == b"meanwhile"
    data = capture.path.read_bytes()
    assert data.index(b"earlier") < data.index(b"meanwhile")
    assert capture.stop() == tmp_path / "file.pcapng"


def test_a_capture_ends_with_its_net(tmp_path: Path) -> None:
    with m.Net() as net:
        capture = net.capture(tmp_path / "file.pcapng")
    assert capture._process.poll() == 0


def test_a_file_that_cannot_be_written(memtun: m.Net, tmp_path: Path) -> None:
    with pytest.raises(m.Error, match=r"no/file\.pcapng"):
        memtun.capture(tmp_path / "no" / "file.pcapng")


def program_behind(memtun: m.Net) -> subprocess.Popen[str]:
    program = [sys.executable, str(Path(__file__).parent / "programs" / "behind.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    app = memtun.popen(program, **pipes)
    assert app.stdout.readline() == "ready\n"
    return app


def go_on(app: subprocess.Popen[str]) -> None:
    app.stdin.write("\n")
    app.stdin.flush()


def check_full(found: dict[str, Any]) -> None:
    assert found["first"] == [select.EPOLLOUT]
    assert found["slowest"] < 0.5 and found["written"] > 5000
    assert found["poll"] == found["select"] == found["early"] == []
    assert found["epoll"] == [[], []]
    assert 0.095 <= found["waited"] < 0.5


EVERY_WAY = {"edge", "poll", "select", "level", "late edge"}


def test_a_program_that_never_blocks_waits_for_a_capture_as_for_a_buffer(
    memtun: m.Net, tmp_path: Path
) -> None:
    app = program_behind(memtun)
    with memtun.capture(tmp_path / "file.pcapng") as capture:
        os.kill(capture._process.pid, signal.SIGSTOP)
        try:
            go_on(app)
            found = json.loads(app.stdout.readline())
            check_full(found)
            tun = memtun.interface("tun0", timeout=5)
            assert tun.counters.capture_refused > 0
            begun = time.monotonic()
            for timeout in (0, 0.3):
                with pytest.raises(m.TimeoutError, match="captures it"):
                    tun.inject(b"\x45" + bytes(1399), timeout=timeout)
            assert time.monotonic() - begun < 0.8
        finally:
            continued = time.monotonic()
            os.kill(capture._process.pid, signal.SIGCONT)
        woke = json.loads(app.stdout.readline())
        assert set(woke) == EVERY_WAY
        assert all(answer for answer, _ in woke.values()), woke
        # They wake only after a quarter of the log has been read.
        assert all(0 <= at - continued < 0.5 for _, at in woke.values()), (woke, continued)
        refused = tun.counters.capture_refused
        go_on(app)
        assert app.wait(10) == 0
        said = capture._process
        os.kill(said.pid, signal.SIGINT)
        _, text = said.communicate(timeout=20)
    assert f"tun0: {refused} packets were refused".encode() in text
    # There is one packet more than those that filled the log, which is the program's last one.
    assert (tmp_path / "file.pcapng").read_bytes().count(b"\x45" + bytes(1399)) == found["written"] + 1


def test_a_program_that_waits_for_a_capture_sees_it_die(memtun: m.Net, tmp_path: Path) -> None:
    app = program_behind(memtun)
    capture = memtun.capture(tmp_path / "file.pcapng")
    os.kill(capture._process.pid, signal.SIGSTOP)
    go_on(app)
    check_full(json.loads(app.stdout.readline()))
    capture._process.kill()
    killed = time.monotonic()
    woke = json.loads(app.stdout.readline())
    assert set(woke) == EVERY_WAY
    assert all(answer and 0 <= at - killed < 0.5 for answer, at in woke.values()), (woke, killed)
    go_on(app)
    assert app.wait(10) == 0
    capture._process.communicate(timeout=20)
    capture._stopped = True
