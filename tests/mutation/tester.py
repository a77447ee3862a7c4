"""Fork server of pytest: it imports once what tests need, and runs them in a fork for each mutant.

    tester.py --log .mutation/tests.log tests/test_ids.py

It runs in a copy of the checkout, with the copy's .venv. At first it runs the tests twice without a mutant:
to learn how long each takes and what they import from outside of the copy, and in the order of all later
runs, the fastest first. It prints the second run's seconds of the CPU.
For each line of its input it runs the tests again and prints what came of it: `passed`, `failed`,
`uncollected` (a module could not be imported, and nothing ran), or `timeout` (three times the CPU of the run
without a mutant and 2 s, or ten times its seconds and 60 s).
"""

import argparse
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hypothesis
import pytest

OPTIONS = ("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-o", "timeout=0")
PLUGINS = ("-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin")
"""Those that the tests need: to look for all that are installed takes longer than many tests."""
MAX_MEMORY_BYTES = 6 * 2**30
"""A mutant whose loop never ends may fill the memory before its time is over."""
OUTCOMES = ("passed", "failed", "uncollected")
LONGEST_S = 900
"""For the runs without a mutant, and for any run of which the machine's load makes a long one."""


class FastestFirst:
    """A plugin of pytest: the fastest tests first, and in each run the same examples of properties."""

    def __init__(self, seconds: dict[str, float]):
        self.seconds = seconds
        self.measured: dict[str, float] = {}
        self.collected = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        # It is enough that a property fails: its smallest example is not looked for.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        changes = {"derandomize": True, "database": None, "phases": phases}
        parent = hypothesis.settings.get_profile("any_load")
        hypothesis.settings.register_profile("mutation", parent, **changes)
        hypothesis.settings.load_profile("mutation")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.0))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected = not session.testsfailed  # also called after errors of the collection

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.measured[report.nodeid] = self.measured.get(report.nodeid, 0.0) + report.duration


def learn(tests: list[str], found: Path) -> int:
    """Run tests; write the seconds of each, and the modules that they import from outside of the folder."""
    plugin = FastestFirst({})
    code = pytest.main([*OPTIONS, *PLUGINS, *tests], [plugin])
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.copy().items()}
    here = str(Path.cwd())
    outside = [name for name, file in files.items() if file and not file.startswith(here)]
    found.write_text(json.dumps([plugin.measured, outside]))
    return int(code)


def run_tests(tests: list[str], seconds: dict[str, float], cpu_seconds: int) -> int:
    """Run tests in the order of their seconds, each process for so many of the CPU; the place in OUTCOMES."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for the programs that tests run
    plugin = FastestFirst(seconds)
    code = pytest.main([*OPTIONS, *PLUGINS, *tests], [plugin])
    return 0 if code == 0 else 1 if plugin.collected else 2


def run_in_fork(job: Callable[[], int], log: Path, timeout: float) -> tuple[int, float]:
    """The exit code of a job in a process group of its own, which is killed at its end, and its CPU seconds.

    After the timeout, or a limit of the CPU, the code is negative. What the job prints is written to the log.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), written, written)):
                os.dup2(opened, number)
            code = job()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    handle = os.pidfd_open(pid)
    select.select([handle], [], [], timeout)
    os.close(handle)
    os.killpg(pid, signal.SIGKILL)  # the job itself, or what it has left
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True, help="what the last run of the tests printed")
    parser.add_argument("tests", nargs=argparse.REMAINDER, help="as arguments of pytest")
    args = parser.parse_args()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    found = args.log.with_suffix(".json")
    if run_in_fork(partial(learn, args.tests, found), args.log, LONGEST_S)[0]:
        sys.exit(f"the tests fail without a mutant: {args.log}")
    seconds, modules = json.loads(found.read_text())
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    run = partial(run_tests, args.tests, seconds)
    begun = time.monotonic()
    code, cpu_seconds = run_in_fork(partial(run, LONGEST_S), args.log, LONGEST_S)
    if code:
        sys.exit(f"the tests fail without a mutant, the fastest first: {args.log}")
    run = partial(run, 2 + int(3 * cpu_seconds))
    timeout = min(LONGEST_S, 60 + 10 * (time.monotonic() - begun))
    print(f"{cpu_seconds:.1f} s", flush=True)
    for _ in sys.stdin:
        code, _ = run_in_fork(run, args.log, timeout)
        print(OUTCOMES[code] if code >= 0 else "timeout", flush=True)


if __name__ == "__main__":
    main()
