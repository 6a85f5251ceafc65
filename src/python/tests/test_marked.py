"""A marked test never passes falsely: whatever it does, and whatever runs it, it is one test
with its outcome, and every other test is reported."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import time
import xml.etree.ElementTree
from pathlib import Path

import pytest

# Tests that do everything that a test can do. The outcomes of their reports, and what their reports
# show, are below.
SOURCE = '''
import asyncio, ctypes, faulthandler, multiprocessing, threading, time, unittest
import memtun as m

marked = pytest.mark.memtun_shim
shim = m.active()

@pytest.fixture(scope="session")
def session_fixture():
    yield shim

@pytest.fixture(scope="module", autouse=True)
def module_fixture():
    yield shim

def test_first(module_fixture):
    assert not shim

@marked
def test_passes(memtun, module_fixture, session_fixture):
    attach()
    assert shim and module_fixture and session_fixture

def here_it_hangs(): time.sleep(100)

@marked
@pytest.mark.timeout(2, method="signal")
def test_times_out_by_signal():
    print("before the wait")
    here_it_hangs()

@marked
@pytest.mark.timeout(2, method="thread")
def test_times_out_by_thread():
    print("before the wait")
    here_it_hangs()

@marked
@pytest.mark.timeout(1, method="signal")
def test_hangs_and_takes_no_notice(memtun):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    here_it_hangs()

@marked
def test_is_killed():
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)

@marked
def test_crashes():
    print("last words")
    ctypes.string_at(0)

@marked
def test_leaves_with_0():
    print("last words")
    os._exit(0)

@marked
def test_leaves_with_7():
    os._exit(7)

@marked
def test_exits():
    sys.exit(0)

@marked
def test_interrupts_itself():
    raise KeyboardInterrupt

@marked
def test_prints_a_lot():
    for n in range(20_000):
        print(f"line {n} " + 80 * "x")
    assert False, "after a lot"

@marked
def test_leaves_a_process_behind():
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)

@marked
def test_its_copy_goes_on():
    os.fork()

@marked
def test_leaves_a_daemonic_thread_behind():
    threading.Thread(target=here_it_hangs, daemon=True).start()

@marked
def test_leaves_a_thread_behind():
    threading.Thread(target=here_it_hangs, name="left").start()

@marked
def test_closes_everything():
    os.closerange(3, 4096)

@pytest.fixture
def broken_before():
    os._exit(3)

@pytest.fixture
def broken_after():
    yield
    os._exit(3)

@marked
def test_dies_in_setup(broken_before):
    pass

@marked
def test_dies_in_teardown(broken_after):
    pass

def at_the_end():
    os.kill(os.getpid(), signal.SIGSEGV)

@marked
def test_crashes_after_its_end():
    import atexit
    atexit.register(at_the_end)

@marked
@pytest.mark.parametrize("value", ["a b", "a[b]", "a::b/c"])
def test_parameters(value):
    assert value != "a[b]"

@marked
@pytest.mark.skip(reason="not now")
def test_skipped():
    pass

@marked
@pytest.mark.skipif(not shim, reason="only under the shim")
def test_skipped_outside_only():
    pass

@marked
@pytest.mark.xfail
def test_expected():
    assert False

@marked
@pytest.mark.xfail(not shim, reason="only outside", strict=True)
def test_expected_outside_only():
    assert False

@marked
@pytest.mark.xfail(strict=True)
def test_unexpected():
    pass

@marked
class TestCase(unittest.TestCase):
    def setUp(self):
        self.shim = m.active()
    def test_method_passes(self):
        self.assertTrue(self.shim)
    def test_method_fails(self):
        self.assertEqual(1, 2)

@marked
class TestClass:
    def test_fails(self, capsys):
        print("said to capsys")
        assert capsys.readouterr().out == ""

@marked
@pytest.mark.asyncio
async def test_async():
    await asyncio.sleep(0)
    assert shim

def test_last(module_fixture, session_fixture):
    assert not shim and not module_fixture and not session_fixture
'''

P, F, S, X = "passed", "failed", "skipped", "error"
# A test that has passed and whose teardown has failed has two outcomes.
OUTCOMES = {
    "test_first": [P],
    "test_passes": [P],
    "test_times_out_by_signal": [F],
    "test_times_out_by_thread": [F],
    "test_hangs_and_takes_no_notice": [F],
    "test_is_killed": [F],
    "test_crashes": [F],
    "test_leaves_with_0": [F],
    "test_leaves_with_7": [F],
    "test_exits": [F],
    "test_interrupts_itself": [F],
    "test_prints_a_lot": [F],
    "test_leaves_a_process_behind": [P],
    "test_its_copy_goes_on": [P],
    "test_leaves_a_daemonic_thread_behind": [P],
    "test_leaves_a_thread_behind": [P, X],
    # pytest, too, needs some of these descriptors at its end.
    "test_closes_everything": [P, X],
    "test_dies_in_setup": [X],
    "test_dies_in_teardown": [P, X],
    "test_crashes_after_its_end": [P, X],
    "test_parameters[a b]": [P],
    "test_parameters[a[b]]": [F],
    "test_parameters[a::b/c]": [P],
    "test_skipped": [S],
    "test_skipped_outside_only": [P],
    "test_expected": [S],
    "test_expected_outside_only": [F],
    "test_unexpected": [F],
    "test_method_passes": [P],
    "test_method_fails": [F],
    "test_fails": [F],
    "test_async": [P],
    "test_last": [P],
}
SHOWN = [
    "*Timeout (>2.0s) from pytest-timeout.",
    "Timeout (>2.0s): the test's process under the shim: exit status 1",
    "Timeout (>1.0s): the test's process under the shim did not react to it",
    '*File "*", line * in here_it_hangs',
    '*File "*", line * in test_hangs_and_takes_no_notice',
    "the test's process under the shim: ended by SIGKILL",
    "*Fatal Python error: Segmentation fault",
    "the test's process under the shim: exit status 0, before the test was over",
    '*File "*", line * in test_leaves_with_0',
    "the test's process under the shim: exit status 7, before the test was over",
    "*SystemExit: 0",
    "the test's process under the shim was interrupted",
    "*raise KeyboardInterrupt",
    "*after a lot",
    "the test's process under the shim did not end after its test: threads of it go on: left",
    '*File "*", line * in broken_before',
    '*File "*", line * in broken_after',
    "the test's process under the shim, after its test: ended by SIGSEGV",
]
# One test of each sort.
CORE = (
    "test_first or test_passes or test_times_out_by_ or test_is_killed or test_leaves_with_0 or test_dies_in or "
    "test_interrupts_itself or test_prints_a_lot or test_parameters or test_skipped or test_expected or TestCase or test_last"
)
WAYS: dict[str, list[str]] = {
    "alone": [],
    "xdist": ["-n", "2"],
    "xdist, by group": ["-n", "2", "--dist", "loadgroup"],
    "cov": ["--cov", ".", "--cov-report", "term"],
    "xdist and cov": ["-n", "2", "--cov", ".", "--cov-report", "term"],
    "forked": ["--forked"],
    "not captured": ["-s"],
    "captured in Python": ["--capture=sys"],
    "captured and shown": ["--capture=tee-sys"],
}
NEEDED = {"-n": "xdist", "--cov": "pytest_cov", "--forked": "pytest_forked", "--reruns": "pytest_rerunfailures"}


def needs(*arguments: str) -> None:
    """Skips the test unless the plugins that the run is about are installed; the versions are
    those that scripts/test installs."""
    for name in ["pytest_timeout", *(NEEDED[a] for a in arguments if a in NEEDED)]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")


def in_xml(path: Path) -> dict[str, list[str]]:
    """The outcomes of every test in a JUnit file."""
    found: dict[str, list[str]] = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        kinds = [{"failure": F, "error": X, "skipped": S}[e.tag] for e in case if e.tag in ("failure", "error", "skipped")]
        # A test that has passed and whose teardown has failed is one case with an error in it.
        found.setdefault(case.attrib["name"], []).extend(kinds or [P])
    return found


def in_summary(text: str) -> dict[str, list[str]]:
    """The outcomes of every test in the summary of -rA."""
    words = {"PASSED": P, "FAILED": F, "ERROR": X, "XFAIL": S, "XPASS": P}
    found: dict[str, list[str]] = {}
    for line in text[text.index("short test summary info") :].splitlines():
        said = re.match(r"(PASSED|FAILED|ERROR|XFAIL|XPASS) \S+?\.py::(?:Test\w+::)?(test_\w+(?:\[.*?\](?=$| -|\]))*)", line)
        if said:
            name = said[2] + ("]" if said[2].count("[") > said[2].count("]") else "")
            found.setdefault(name, []).append(words[said[1]])
    return found


@pytest.mark.parametrize("way", WAYS)
def test_every_test_has_its_outcome(run, way: str, pytester: pytest.Pytester) -> None:
    arguments = WAYS[way]
    needs(*arguments)
    if way == "forked" and run("def test_it(): pass", "--forked").ret != 0:
        if "MEMTUN_TEST_FORKED" in os.environ:
            pytest.fail("this pytest was chosen because pytest-forked works with it, and it does not")
        pytest.skip("this pytest-forked does not work with this pytest; scripts/test runs this with an older one")
    source = SOURCE
    outcomes = OUTCOMES
    if way not in ("alone", "xdist"):
        arguments = [*arguments, "-k", CORE]
        wanted = [word for word in CORE.replace("TestCase", "test_method_").split(" or ")]
        outcomes = {name: found for name, found in OUTCOMES.items() if any(word in name for word in wanted)}
    if importlib.util.find_spec("pytest_asyncio") is None:
        source = source.replace("@marked\n@pytest.mark.asyncio\nasync def", "@marked\ndef").replace("    await", "    #")
    result = run(source, "-rA", "--junitxml", "out.xml", *arguments)
    assert result.ret == 1
    expected = {name: sorted(found) for name, found in outcomes.items()}
    summary = in_summary(result.stdout.str())
    summary |= {"test_skipped": [S]}
    assert {name: sorted(found) for name, found in summary.items()} == expected
    # An error after a success replaces the success there.
    recorded = {name: sorted(set(found) - ({P} if X in found else set())) for name, found in in_xml(pytester.path / "out.xml").items()}
    assert recorded == {name: sorted(set(found) - ({P} if X in found else set())) for name, found in expected.items()}
    if outcomes is OUTCOMES:
        result.stdout.fnmatch_lines_random(SHOWN)
    said = result.stdout.str() + result.stderr.str()
    assert said.count("before the wait") >= 2 and said.count("last words") >= 2
    assert "line 0 x" in said and "line 19999 x" in said
    assert "INTERNALERROR" not in said


def test_run_again_until_it_passes(run) -> None:
    needs("--reruns")
    result = run(
        """
import time
def here_it_hangs(): time.sleep(100)
@pytest.mark.memtun_shim
@pytest.mark.timeout(2)
@pytest.mark.parametrize("end", ["hang", "exit", "raise"])
def test_third_time(end):
    with open(f"times-{end}", "a+") as file:
        file.write("x")
        file.seek(0)
        if len(file.read()) < 3:
            here_it_hangs() if end == "hang" else os._exit(0) if end == "exit" else [][1]
@pytest.mark.memtun_shim
@pytest.mark.flaky(reruns=5, only_rerun=["IndexError"])
def test_never():
    raise KeyError("not this")
""",
        "--reruns",
        "2",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*6 rerun*"])


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_the_first_failure_ends_the_run(run, arguments: list[str]) -> None:
    needs(*arguments)
    result = run(
        """
@pytest.mark.memtun_shim
@pytest.mark.parametrize("n", range(20))
def test_it(n):
    if n == 1:
        os.kill(os.getpid(), signal.SIGKILL)
""",
        "-x",
        *arguments,
    )
    assert result.ret == (1 if not arguments else 2)
    assert result.parseoutcomes()["failed"] == 1 and result.parseoutcomes()["passed"] < 10


def test_the_last_failures_are_run_again(run) -> None:
    source = """
@pytest.mark.memtun_shim
@pytest.mark.parametrize("n", range(3))
def test_it(n):
    if n == 1:
        os._exit(0)
"""
    run(source, "-p", "cacheprovider").assert_outcomes(failed=1, passed=2)
    again = run(source, "-p", "cacheprovider", "--lf")
    again.assert_outcomes(failed=1)


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_ctrl_c(start, pytester: pytest.Pytester, arguments: list[str]) -> None:
    needs(*arguments)
    process = start(
        """
import time
def here_it_hangs():
    open("hangs", "w").close()
    time.sleep(100)
def test_before():
    pass
@pytest.mark.memtun_shim
def test_interrupted():
    here_it_hangs()
""",
        "--junitxml",
        "out.xml",
        *arguments,
    )
    limit = time.monotonic() + 60
    while not (pytester.path / "hangs").exists() and time.monotonic() < limit:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 2, said
    assert "KeyboardInterrupt" in said
    if not arguments:
        assert re.search(r'File ".*", line \d+ in here_it_hangs', said)
        assert "1 failed, 1 passed" in said
        assert in_xml(pytester.path / "out.xml") == {"test_before": [P], "test_interrupted": [F]}


def test_what_else_interrupts_the_wait_is_a_failure_with_the_stack_of_the_test(run) -> None:
    result = run(
        """
import threading, time, memtun as m
def here_it_hangs():
    open("hangs", "w").close()
    time.sleep(100)
class Alarm(Exception): pass
def handler(*_): raise Alarm("from outside")
def strike():
    while not os.path.exists("hangs"):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGALRM)
if not m.active():
    signal.signal(signal.SIGALRM, handler)
    threading.Thread(target=strike, daemon=True).start()
@pytest.mark.memtun_shim
def test_it():
    print("said before")
    here_it_hangs()
def test_after():
    pass
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Alarm: from outside"])
    result.stdout.fnmatch_lines(["*said before*"])
    result.stdout.fnmatch_lines(["*in here_it_hangs"])


def test_a_debugger_in_the_process(run, pytester: pytest.Pytester) -> None:
    source = """
@pytest.mark.memtun_shim
@pytest.mark.parametrize("n", range(2))
def test_it(memtun, n):
    word = f"the word is {n}"
    if n == 0:
        breakpoint()
    attach()
    assert n == 0, "it ends here"
@pytest.mark.memtun_shim
def test_after():
    pass
"""
    # Output is not captured where a user types; and each process reads everything in a pipe.
    result = run(source, "-k", "0", stdin=b"p word\nc\n")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["*'the word is 0'*"])
    result = run(source, "-k", "1 or after", "--pdb", stdin=b"p word * 2\nc\n")
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*'the word is 1the word is 1'*"])
    result.stderr.fnmatch_lines(["*it ends here*", "*entering PDB*"])
    result = run(source, "-k", "1 or after", "--pdb", stdin=b"q\n")
    assert result.ret == 2
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*Quitting debugger*"])


def test_the_run_ends_where_the_test_says_so(run) -> None:
    result = run(
        """
@pytest.mark.memtun_shim
def test_it():
    pytest.exit("that is all", returncode=0)
def test_after():
    pass
"""
    )
    assert result.ret != 0
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*that is all*"])


def test_subtests_are_reported(run) -> None:
    pytest.importorskip("_pytest.subtests")
    result = run(
        """
@pytest.mark.memtun_shim
def test_it(subtests):
    for n in range(3):
        with subtests.test(n=n):
            assert n != 1
"""
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 != 1*"])
    result.stdout.fnmatch_lines(["SUBFAILED*", "FAILED*contains 1 failed subtest*"])


def test_what_a_marked_test_covers_is_counted(run, pytester: pytest.Pytester) -> None:
    needs("--cov")
    pytester.mkpydir("covered")
    (pytester.path / "covered" / "code.py").write_text("def f(n):\n    if n:\n        return 1\n    return 2\n")
    for arguments in ([], ["-n", "2"]):
        if arguments:
            needs(*arguments)
        result = run(
            """
@pytest.mark.memtun_shim
def test_marked():
    from covered.code import f
    assert f(1) == 1
def test_other():
    from covered.code import f
    assert f(0) == 2
""",
            "--cov",
            "covered",
            *arguments,
        )
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["covered/code.py * 4 * 0 * 100%*"])


def test_fixtures_of_workers_and_directories(run) -> None:
    needs("-n")
    result = run(
        """
@pytest.mark.memtun_shim
def test_it(worker_id, tmp_path, capfd, monkeypatch, record_property):
    assert worker_id.startswith("gw")
    (tmp_path / "file").write_text("kept")
    os.write(1, b"out")
    assert capfd.readouterr().out == "out"
    record_property("answer", 42)
""",
        "-n",
        "1",
        "--junitxml",
        "out.xml",
    )
    result.assert_outcomes(passed=1)


def test_a_process_that_finds_no_test_says_why(run, pytester: pytest.Pytester) -> None:
    result = run(
        """
import memtun as m
if m.active():
    raise ImportError("not here")
@pytest.mark.memtun_shim
def test_it():
    pass
def test_after():
    pass
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ImportError: not here*"])


WARNS = """
import warnings
class OfTheTest(UserWarning):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
@pytest.mark.memtun_shim
def test_it():
    warnings.warn("look here")
    warnings.warn(OfTheTest(1, 2))
@pytest.mark.memtun_shim
def test_quiet():
    pass
"""


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_its_warnings_are_shown(run, arguments: list[str]) -> None:
    needs(*arguments)
    result = run(WARNS, *arguments)
    result.assert_outcomes(passed=2, warnings=2)
    result.stdout.fnmatch_lines(["*::test_it", "*.py:*: UserWarning: look here", "*OfTheTest: 1 and 2"])


def test_warnings_are_errors_where_the_run_says_so(run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n")
    result = run(WARNS)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*UserWarning: look here"])


LOGS = """
import logging
def test_before():
    logging.warning("from before")
@pytest.mark.memtun_shim
def test_it():
    logging.warning("from within")
def test_after():
    logging.warning("from after")
"""


def test_what_it_logs_is_shown_live(run) -> None:
    result = run(LOGS, "-o", "log_cli=true")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*live log call*", "*from before", "*::test_it*", "*live log call*", "*from within", "*from after"])


def test_threads_that_log_do_not_garble_what_it_reports(run) -> None:
    result = run(
        """
import logging, threading
@pytest.mark.memtun_shim
@pytest.mark.parametrize("n", range(3))
def test_it(n):
    def log():
        while True:
            logging.warning("x" * 10_000)
    threading.Thread(target=log, daemon=True).start()
    assert False, "y" * 1_000_000
""",
        "-o",
        "log_cli=true",
        "--tb=line",
        "--show-capture=no",
    )
    result.assert_outcomes(failed=3)
    assert result.stdout.str().count("AssertionError: yyy") >= 3


def test_what_it_logs_comes_into_the_file(run, pytester: pytest.Pytester) -> None:
    run(LOGS, "--log-file", "log.txt").assert_outcomes(passed=3)
    said = (pytester.path / "log.txt").read_text().splitlines()
    assert [line[line.index("from") :] for line in said] == ["from before", "from within", "from after"]


def test_reporters_of_other_plugins(run, pytester: pytest.Pytester) -> None:
    """These plugins ask for the terminal and for the names of outcomes, and write files about
    the whole run."""
    (pytester.path / "reporter.py").write_text(
        """
import pytest
from _pytest.terminal import TerminalReporter

def pytest_addoption(parser):
    parser.addoption("--report-log")

def pytest_configure(config):
    if config.getoption("--report-log"):
        config.pluginmanager.register(Log(open(config.getoption("--report-log"), "w"), config))

class Log:
    def __init__(self, file, config):
        self.file, self.config = file, config
    def pytest_runtest_logreport(self, report):
        self.file.write(f"{report.nodeid} {report.when} {report.outcome}\\n")
        self.file.flush()

def pytest_runtest_logreport(report):
    _config.hook.pytest_report_teststatus(report=report, config=_config)[0]
    _config.pluginmanager.getplugin("terminalreporter").hasmarkup

@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    global _config
    _config = session.config
"""
    )
    result = run(LOGS, "-p", "reporter", "--report-log", "out.log")
    result.assert_outcomes(passed=3)
    lines = (pytester.path / "out.log").read_text().splitlines()
    assert [line.split("::")[1] for line in lines] == [
        f"{name} {when} passed" for name in ("test_before", "test_it", "test_after") for when in ("setup", "call", "teardown")
    ]


def test_text_that_is_not_utf_8_ends_no_run(run) -> None:
    needs("-n")
    result = run(
        """
@pytest.mark.memtun_shim
def test_it(record_property):
    record_property("path", "b\\udcff")
    assert os.fsdecode(b"a\\xff") == "another"
@pytest.mark.memtun_shim
@pytest.mark.parametrize("n", range(3))
def test_others(n):
    pass
""",
        "-n",
        "1",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*a\\udcff*"])
