from __future__ import annotations

import os

import pytest


def test_the_report_of_a_failure_shows_the_net(run) -> None:
    result = run(
        """
def test_it(memtun):
    memtun.popen(ECHO)
    tun = memtun.interface("tun0", timeout=20)
    tun.receive_udp(*tun.send_udp(b"ping", ("10.0.0.1", 7))).recv(timeout=20)
    tun.addresses.add("10.8.0.1/24")
    memtun.routes.add("192.168.7.0/24 via 10.8.0.2")
    memtun.neighbours.add("fd00::2 dev tun0")
    memtun.permissions.discard("open")
    memtun.fault("write=EIO@7")
    memtun.popen(["sh", "-c", "echo oh dear; exit 3"]).wait()
    assert False
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- memtun net /*",
            "denied: open",
            "fault: write=EIO@7",
            "*: tun0: <*UP*> mtu 1500 state UP *",
            "*RX: 1 packets 32 bytes 0 dropped*",
            "*TX: 1 packets 32 bytes 0 dropped*",
            "route: 192.168.7.0/24 via 10.8.0.2 dev tun0",
            "neighbour: fd00::2 dev tun0*",
            "last 2 packets*",
            "* tun0 in  * > * UDP 4 bytes",
            "* tun0 out IPv4 10.0.0.1:7 > 10.1.2.3:21345 UDP 4 bytes",
            "program *, running: *echo.py tun0",
            "    interface tun0",
            "program *, exit status 3: sh -c *",
            "    oh dear",
        ]
    )


def test_the_report_shows_an_interface_that_is_gone(run) -> None:
    result = run(
        """
def test_it(memtun):
    app = memtun.popen(ECHO)
    tun = memtun.interface("tun0", timeout=20)
    app.kill()
    app.wait()
    assert not tun.gone
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*tun0: <*(gone)", "program *, ended by SIGKILL: *"])


def test_a_test_that_passes_says_nothing(run) -> None:
    result = run("def test_it(memtun):\n    memtun.popen(ECHO)\n    memtun.interface('tun0', timeout=20)\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*interface tun0*")


def test_with_dash_s_programs_write_where_pytest_does(run) -> None:
    result = run(
        "def test_it(memtun):\n    assert memtun.run(['echo', 'seen']) and memtun.popen(['echo', 'also']).wait() == 0\n",
        "-s",
    )
    result.stdout.fnmatch_lines(["*seen", "*also"])


def test_every_test_has_a_net_of_its_own_and_the_session_one(run) -> None:
    result = run(
        """
seen = []
@pytest.mark.parametrize("n", range(3))
def test_it(memtun, memtun_session, n):
    seen.append((memtun.path, memtun_session.path))
    assert len({own for own, _ in seen}) == n + 1
    assert len({session for _, session in seen}) == 1
    assert [own.exists() for own, _ in seen] == [False] * n + [True]
    assert memtun.interfaces() == []
def test_last(memtun_session):
    assert memtun_session.path == seen[0][1]
"""
    )
    result.assert_outcomes(passed=4)


MARKED = """
pytestmark = pytest.mark.memtun_shim

@pytest.fixture(scope="module")
def module_fixture():
    yield os.getpid()

def test_passes(memtun, module_fixture):
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    tun.send_udp(b"ping", ("10.0.0.1", 7))
    assert os.read(fd, 100)[28:] == b"ping"
    assert module_fixture == os.getpid()

def test_fails(memtun):
    attach()
    print("said before")
    assert {"a": 1} == {"a": 2}

@pytest.mark.skip(reason="not now")
def test_skipped():
    pass

def test_skips():
    pytest.skip("not here")

@pytest.mark.xfail
def test_expected():
    assert False

def test_dies():
    print("last words", flush=True)
    os.write(2, b"very last words")
    os.kill(os.getpid(), signal.SIGSEGV)

@pytest.mark.parametrize("name", ["a b", "a[b]", "a::b"])
def test_names(name):
    assert os.environ["MEMTUN_NET"]

class TestClass:
    def test_method(self, memtun):
        attach()

@pytest.fixture
def broken():
    yield
    raise ValueError("in the end")

def test_teardown(broken):
    pass
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_test_can_be_under_the_shim_itself(run, arguments: tuple[str, ...]) -> None:
    if arguments:
        pytest.importorskip("xdist")
    result = run(MARKED, "-rA", *arguments)
    result.assert_outcomes(passed=6, failed=2, skipped=2, xfailed=1, errors=1)
    result.stdout.fnmatch_lines(["*{'a': 1} == {'a': 2}*"])
    result.stdout.fnmatch_lines(["said before"])
    result.stdout.fnmatch_lines(["*tun0: <*"])
    result.stdout.fnmatch_lines(["*under the shim: ended by SIGSEGV", "last words", "*very last words*"])
    result.stdout.fnmatch_lines(["*in the end*"])
    result.stdout.fnmatch_lines(["SKIPPED*not now"])


def test_the_marker_takes_settings(run) -> None:
    result = run(
        """
@pytest.mark.memtun_shim(link="down", devices=["/dev/tun7"])
def test_it(memtun):
    fd = os.open("/dev/tun7", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
    assert memtun.interface("tun0").info().state == "DOWN"
@pytest.mark.memtun_shim(link="sideways")
def test_refused():
    pass
@pytest.mark.memtun_shim(lnk="down")
def test_misspelt():
    pass
"""
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*link 'sideways': give up or down"])
    result.stdout.fnmatch_lines(["*memtun_shim: memtun_shim() got an unexpected keyword argument 'lnk'"])


def test_a_failure_shows_the_line_of_the_test_and_the_sentence(run) -> None:
    result = run(
        """
def test_it(memtun):
    memtun.popen(ECHO)
    memtun.interface("tun0", timeout=20)
    memtun.interface("tun7", timeout=0.3)
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>       memtun.interface("tun7", timeout=0.3)'])
    result.stdout.fnmatch_lines(["E       memtun.TimeoutError: * no interface tun7 in time; *echo.py tun0: running; there is tun0)"])
    result.stdout.no_fnmatch_line("*_library.py*")


def test_marked_and_other_tests_mix_in_modules_with_fixtures(run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import os, pytest
def pytest_addoption(parser):
    parser.addoption("--colour")
@pytest.fixture(scope="module")
def colour(request):
    yield request.config.getoption("--colour"), os.getpid()
"""
    )
    source = """
import os, pytest, memtun as m
def test_a(colour):
    assert colour == ("red", os.getpid()) and not m.active()
@pytest.mark.memtun_shim
def test_b(colour):
    assert colour == ("red", os.getpid()) and m.active()
"""
    pytester.makepyfile(test_one=source, test_two=source)
    result = run("", "--colour", "red", "--strict-markers", "-k", "test_a or test_b")
    result.assert_outcomes(passed=4)


def test_a_runner_that_is_killed_leaves_nothing(run, pytester: pytest.Pytester) -> None:
    result = run(
        """
def test_it(memtun):
    app = memtun.popen(ECHO)
    memtun.interface("tun0", timeout=20)
    with open("left", "w") as file:
        print(app.pid, memtun.path, file=file)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    assert result.ret == -9
    from test_net import gone_in_time, running

    pid, path = (pytester.path / "left").read_text().split()
    assert gone_in_time(lambda: running(int(pid)))
    assert gone_in_time(lambda: os.path.exists(path))


def test_a_failed_test_keeps_its_packets(run, pytester: pytest.Pytester) -> None:
    result = run(
        """
@pytest.mark.parametrize("good", [True, False])
def test_it(memtun, good):
    memtun.popen(ECHO)
    tun = memtun.interface("tun0", timeout=20)
    tun.receive_udp(*tun.send_udp(b"a word to find", ("10.0.0.1", 7))).recv(timeout=20)
    assert good
@pytest.mark.memtun_shim
def test_marked(memtun):
    attach()
    assert False
""",
        "--memtun-capture",
        "some/where",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["capture: */some/where/*.pcapng"])
    files = sorted((pytester.path / "some" / "where").iterdir())
    assert len(files) == 2
    for file in files:
        data = file.read_bytes()
        assert data[:4] == b"\x0a\x0d\x0d\x0a" and b"tun0" in data
    assert b"a word to find" in files[0].read_bytes()


def test_there_is_as_little_to_read_as_for_other_tests(run) -> None:
    source = "@pytest.mark.memtun_shim\ndef test_marked(): sys.stdin.read()\n\ndef test_other(): sys.stdin.read()\n"
    result = run(source)
    result.assert_outcomes(failed=2)
    assert result.stdout.str().count("OSError: pytest: reading from stdin") >= 2
