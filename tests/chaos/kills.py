"""Kills of anything at any moment of a build: it goes on where it was, and ends as if nothing had happened.

An episode is a small build in a folder of its own. Kills wait for their moments (a file appears, a program
starts, so many requests were served), and each ends a process by a signal: Snakemake, a job, a worker of one,
the keeper of a server, its guard, or the server. The build is started again until it ends well.

    make test-chaos                            60 kills
    make test-chaos CHAOS_MINUTES=120          as many as come in two hours
    CHAOS_SEED=7                               other episodes
    CHAOS_COUNTS=counts.json                   adds up over runs, each of which draws new episodes
"""

import contextlib
import itertools
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from chaos.counts import Counts
from conftest import ROOT

from asked import PROGRAM, journaled_prompts, request
from fault_server import FaultServer, Reply, answer_to
from prep.storage.atomic import write_json
from running import python_environment
from server_config import stand_in_config
from small_build import TARGETS, Undisturbed, digest_data, journaled, managed_teacher, small_config
from stand_in_server import processes, starts, until
from teachers import note_requests, teach
from workflow import Build

pytest_plugins = ("chaos.fixtures",)

SEED = int(os.environ.get("CHAOS_SEED", "1"))
MINUTES = float(os.environ.get("CHAOS_MINUTES", "0"))
"""How long a lane goes on; 0: until its kills have come."""
LANES, KILLS = 2, 60
CLIENT_KILLS = 30
MOST_KILLS = 15  # of an episode, which is then left to end
PENDING, PATIENCE_S = 3, (4.0, 12.0)  # so many kills wait for their moments, each at most so long
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
VICTIMS = {
    "snakemake": (),
    "converter": ("scripts/convert_", "scripts/read_questions"),
    "assembler": ("scripts/assemble_artifact",),
    "client": ("scripts/answer_", "scripts/judge_", "scripts/probe_server"),
    "renderer": ("scripts/render_text",),
    "job": tuple(
        f"scripts/{step}_"
        for step in ("list", "fetch", "gather", "batch", "sample", "compare", "select", "manifest", "publish")
    ),
    "worker": ("multiprocessing.spawn",),
    "keeper": ("scripts/keep_server",),
    "guard": ("process_group.py",),
    "server": ("stand_in_server.py",),
}
"""What is killed: the words by which the command lines of its processes are known."""
FILES = (
    "work/list_shards/*.json",
    "work/convert_llava/*/.*.part",
    "work/convert_llava/*/*.json",
    "work/batch_questions/00001.json",
    "work/servers/qwen3/running/*.json",
    "work/servers/qwen3/probe.json",
    "work/journal/qwen3/*.jsonl",
    "work/answer_text/00000.json",
    "work/judge_text/.*.part",
    "work/judge_text/00000.json",
    "work/render_text/.*.part",
    "work/render_text/00000.json",
    "work/answer_image/*.json",
    "data/.*.part",
    "data/LLaVA_ReCap_558K.parquet",
    "data/manifest/*.json",
    "data/text2image.parquet",
)
"""Files whose appearance is a moment."""
ANSWER_S, LATER_S = 0.3, 0.5  # an answer takes up to so long; a kill comes up to so long after its moment
HANGS_AFTER_S, RUNS_AT_MOST_S = 300, 1800
"""Far above what a run takes: on a busy machine only one that hangs exceeds it."""
LEFT_AT_MOST_S = 15
"""After the end of a run nothing of it is left; a server that ignores SIGTERM has ten seconds of them."""
ORPHANED_S = 12
"""A server is orphaned if its keeper and its guard are killed so soon after each other that neither acts."""
LOCKED = "snakemake --unlock"


@dataclass(frozen=True)
class Kill:
    """One kill: when, whom, and how."""

    moment: Callable[[], bool]
    expiry: float  # when another one is drawn: it may be that the moment does not come
    later: float  # seconds
    victim: str
    number: signal.Signals
    group: bool  # Snakemake with its process group, as a terminal does


def running(folder: Path) -> dict[int, str]:
    """The command lines of all processes that run in a build's folder."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{entry}/cwd") == str(folder):
                found[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def find(folder: Path, victim: str) -> list[int]:
    """The processes of a kind that run in a build's folder."""
    words = VICTIMS[victim]
    return [pid for pid, line in running(folder).items() if any(word in line for word in words)]


def left(folder: Path) -> dict[int, str]:
    """All processes that run in a build's folder, or name it."""
    return processes(folder) | running(folder)


class Episode:
    """A build that is killed again and again, and started again, until it ends well."""

    def __init__(self, name: str, folder: Path, hub: Path, base_url: str) -> None:
        self.draw = random.Random(name)
        self.folder, self.asked, self.temporary = folder, folder / "asked", folder / "tmp"
        self.temporary.mkdir(parents=True)
        stubborn = ["--stubborn"] if self.draw.random() < 0.3 else []
        teacher = managed_teacher(folder, "--delay", str(ANSWER_S), *stubborn)
        self.build = Build(folder / "build", small_config(hub, base_url, teacher))
        self.kills: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.killed_at: defaultdict[str, list[float]] = defaultdict(list)  # in this run, by whom and how
        self.story: list[str] = []

    def requests(self) -> Counter[str]:
        """How often each request has come, by the digest of its answer."""
        return Counter(self.asked.read_text().split() if self.asked.exists() else ())

    def go_on(self) -> None:
        """Run until a run ends well, with what each must keep; its end is that of a build without kills."""
        answered: set[str] = set()
        before = self.requests()
        while True:
            code, killed = self._run()
            self._wait_for_end()
            asked = self.requests()
            again = {answer for answer in answered if asked[answer] != before[answer]}
            assert not again, f"answers that stood in the journal were asked for again: {again}"
            answered, before = journaled(self.build.folder), asked
            if code == 0:
                return
            if any((self.build.folder / ".snakemake/locks").glob("*")):
                assert killed, "the folder is locked, and Snakemake was not killed by SIGKILL"
                self._unlock()

    def _wait_for_end(self) -> None:
        """Nothing of a run that ended goes on, but a server that was orphaned."""
        ended, is_orphaned = time.monotonic(), self._is_orphaned()
        while found := [
            line
            for line in left(self.build.folder).values()
            if not is_orphaned or VICTIMS["server"][0] not in line
        ]:
            assert time.monotonic() < ended + LEFT_AT_MOST_S, f"left after {self.story}: {found}"
            time.sleep(0.05)
        self.runs[f"nothing left after {math.ceil(time.monotonic() - ended)} s"] += 1
        self.runs["servers orphaned"] += bool(left(self.build.folder))

    def _is_orphaned(self) -> bool:
        """Whether a keeper and a guard were killed in this run at about the same time."""
        moments = [self.killed_at[f"{victim} SIGKILL"] for victim in ("keeper", "guard")]
        return any(abs(one - other) < ORPHANED_S for one, other in itertools.product(*moments))

    def _unlock(self) -> None:
        """A run in a locked folder says what to do, and that is enough."""
        refused = self.build.run(*TARGETS)
        assert refused.returncode != 0
        assert LOCKED in refused.output, refused.output
        assert self.build.run("--unlock").returncode == 0
        self.runs["unlocked"] += 1

    def _run(self) -> tuple[int, bool]:
        """One run under kills: its exit code, and whether Snakemake was killed by SIGKILL."""
        output = self.folder / "output"
        with output.open("ab") as file:
            main = subprocess.Popen(
                self.build.command(*TARGETS),
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(self.temporary)},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.runs["runs"] += 1
        began, killed, told = time.monotonic(), False, None
        self.killed_at.clear()
        kills: list[Kill] = []
        while main.poll() is None:
            time.sleep(0.03)
            now = time.monotonic()
            if now - began > RUNS_AT_MOST_S or (told is not None and now - told > HANGS_AFTER_S):
                self.runs["hung"] += 1
                killed = True
                main.kill()
                main.wait()
            if sum(self.kills.values()) >= MOST_KILLS:
                continue
            kills = [kill for kill in kills if kill.expiry > now]
            kills += [self._draw_kill(now) for _ in range(PENDING - len(kills))]
            due = next((kill for kill in kills if kill.moment() and self._victims(kill, main)), None)
            if due:
                kills.remove(due)
                time.sleep(due.later)
                if self._end(due, main):
                    name = f"{due.victim} {due.number.name}"
                    self.kills[name] += 1
                    self.killed_at[name].append(time.monotonic())
                    self.story.append(f"{now - began:.1f} s: {name}")
                    if due.victim == "snakemake":
                        killed = killed or due.number == signal.SIGKILL
                        told = time.monotonic()
        self.story.append(f"{time.monotonic() - began:.1f} s: exit {main.returncode}")
        return main.returncode, killed

    def _draw_kill(self, now: float) -> Kill:
        """A kill whose moment has not come."""
        victim = self.draw.choice([*VICTIMS, "snakemake"])
        moments = [self._file_appears(pattern) for pattern in FILES]
        moments = [moment for moment in moments if not moment()]
        served = sum(self.requests().values()) + self.draw.randrange(1, 20)
        moments.append(lambda: sum(self.requests().values()) >= served)
        starter = self.draw.choice([*VICTIMS][1:]) if victim == "snakemake" else victim
        if self.draw.random() < 0.5:
            moments = [lambda: bool(find(self.build.folder, starter))]
        moment = self.draw.choice(moments)
        return Kill(
            moment=moment,
            expiry=now + self.draw.uniform(*PATIENCE_S),
            later=self.draw.uniform(0, LATER_S),
            victim=victim,
            number=self.draw.choice(SIGNALS),
            group=self.draw.random() < 0.5,
        )

    def _file_appears(self, pattern: str) -> Callable[[], bool]:
        return lambda: any(self.build.folder.glob(pattern))

    def _victims(self, kill: Kill, main: subprocess.Popen) -> list[int]:
        return [main.pid] if kill.victim == "snakemake" else find(self.build.folder, kill.victim)

    def _end(self, kill: Kill, main: subprocess.Popen) -> bool:
        """Send the signal to one of the processes that still lives; whether there was one."""
        if kill.victim == "snakemake" and kill.group and kill.number != signal.SIGKILL:
            is_alive = main.poll() is None
            if is_alive:
                os.killpg(main.pid, kill.number)
            return is_alive
        pids = self._victims(kill, main)
        for pid in self.draw.sample(pids, len(pids)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kill.number)
                return True
        return False

    def end_all(self) -> None:
        """End what a failed episode left."""
        for pid in left(self.build.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    shared = tmp_path_factory.getbasetemp().parent / f"chaos-{os.getppid()}.json"
    return Counts(Path(os.environ.get("CHAOS_COUNTS", shared)).resolve())


@pytest.mark.timeout(0)
@pytest.mark.parametrize("lane", range(LANES))
def test_a_build_that_is_killed_again_and_again_ends_as_one_that_is_not(
    lane: int, undisturbed: Undisturbed, short_folder: Path, counts: Counts
) -> None:
    began, killed = time.monotonic(), 0
    while time.monotonic() - began < 60 * MINUTES or (not MINUTES and killed < KILLS / LANES):
        name = f"{SEED}:{counts.claim_episode()}"
        folder = short_folder / name.replace(":", "-")
        with FaultServer() as server:
            episode = Episode(name, folder, undisturbed.hub, server.base_url)
            server.plan = note_requests(teach, episode.asked, ANSWER_S)
            try:
                episode.go_on()
                assert digest_data(episode.build.folder) == undisturbed.data
                assert not list(episode.build.folder.rglob("*.part")), "a part is left"
                again = episode.build.run(*TARGETS)
                assert "Nothing to be done" in again.output, again.output[-3000:]
            except BaseException:
                print(f"episode {name}", *episode.story, sep="\n")
                print((folder / "output").read_text(errors="replace")[-6000:])
                raise
            finally:
                episode.end_all()
        asked = episode.requests()
        episode.runs["requests"] += asked.total()
        episode.runs["answers"] += len(journaled(episode.build.folder))
        episode.runs["left in the temporary folder"] += len(list(episode.temporary.iterdir()))
        killed += episode.kills.total()
        print(name, *episode.story, counts.add(episode.kills, episode.runs), sep="\n", flush=True)
        shutil.rmtree(folder)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_server_in_the_foreground_goes_on_or_ends_as_a_whole(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Guard, server, and then the program that serves it are ended; then it is served again."""
    write_json(tmp_path / "server.json", asdict(stand_in_config(tmp_path, restarts=1)))
    program = [ROOT / "scripts/serve_server.py", "--server", tmp_path / "server.json"]
    command = [sys.executable, *program, "--key-file", tmp_path / "key"]
    for count in (2, 4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
            try:
                assert "until Ctrl-C" in serving.stdout.readline()
                for word in ("process_group.py", "stand_in_server.py"):
                    for pid in find_named(tmp_path, word):
                        os.kill(pid, number)
                until(lambda count=count: len(starts(tmp_path)) == count, HANGS_AFTER_S)
                serving.send_signal(number)
                serving.wait(LEFT_AT_MOST_S)
                until(lambda: not processes(tmp_path), LEFT_AT_MOST_S)
            finally:
                for pid in (serving.pid, *processes(tmp_path)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def find_named(folder: Path, program: str) -> list[int]:
    """The processes of a program whose command line names a folder."""
    return [pid for pid, line in processes(folder).items() if program in line]


def test_a_client_killed_thirty_times_in_a_row_goes_on_where_it_was(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    with FaultServer(lambda seen: Reply(delay=moments.uniform(0.01, 0.15))) as server:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.base_url]
        answered: set[str] = set()
        for _ in range(CLIENT_KILLS):
            before = Counter(server.attempts)
            running = subprocess.Popen(command, env=python_environment())
            # Somewhere between two answers; at times before the first.
            target = server.finished.total() + moments.randrange(10)
            while running.poll() is None and server.finished.total() < target:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.02))
            assert running.poll() is None, "it came to its end before it was killed"
            running.kill()
            running.wait()
            assert all(server.attempts[prompt] == before[prompt] for prompt in answered)
            answered = journaled_prompts(tmp_path / "journal")
        asked = Counter(server.attempts)
        subprocess.run(command, env=python_environment(), check=True)
        assert all(server.attempts[prompt] == asked[prompt] for prompt in answered)
        # What a kill loses is what was on its way.
        assert server.attempts.total() <= 300 + 16 * CLIENT_KILLS
    expected = [request(n) for n in range(300)]
    wanted = "".join(f"{each.id} {answer_to(each.body('model'))}\n" for each in expected)
    assert (tmp_path / "out").read_text() == wanted
