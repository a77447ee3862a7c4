"""Nothing that differs between machines and runs decides a byte of `data/`.

Not the locale, the hash seed, the time zone or the number of cores; not the order in which folders list their
files, the number of endpoints, or the order in which answers come.
"""

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_source_containers import SOURCES, write_corpus

from fault_server import Ask, FaultServer, Reply
from small_build import TARGETS, Undisturbed, digest_data, small_config
from teachers import note_requests, teach
from workflow import Build

pytest_plugins = ("chaos.fixtures",)

SHUFFLED = '''
"""Folders list their files in an order of this process's own."""
import os, random

draw = random.Random(os.environ["LISTING_SEED"] + str(os.getpid()))
listdir, scandir = os.listdir, os.scandir

class Shuffled:
    def __init__(self, entries):
        with entries:
            self.entries = list(entries)
        draw.shuffle(self.entries)
    def __iter__(self):
        return iter(self.entries)
    def __next__(self):
        if not self.entries:
            raise StopIteration
        return self.entries.pop()
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    close = __exit__

def shuffled(*place, **named):
    names = listdir(*place, **named)
    draw.shuffle(names)
    return names

os.listdir, os.scandir = shuffled, lambda *place: Shuffled(scandir(*place))
'''
CONTAINERS = ("array", "ours/lines", "tarred", "listed")


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the Turkish locale, in which `I` and `i` are no pair."""
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8"], check=True)
    return folder


@contextlib.contextmanager
def endpoints(count: int, asked: Path, delay: float) -> Iterator[list[str]]:
    """So many servers, whose answers come late by up to `delay` seconds, each by an amount of its own."""
    late = random.Random(count)

    def plan(ask: Ask) -> Reply:
        reply = teach(ask)
        return Reply(content=reply.content, delay=late.uniform(0, delay))

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(note_requests(plan, asked))) for _ in range(count)]
        yield [server.base_url for server in servers]


@pytest.fixture
def hub(tmp_path: Path, undisturbed: Undisturbed) -> Path:
    """The small corpus, and one of other containers."""
    hub = tmp_path / "hub"
    hub.mkdir()
    for organization in undisturbed.hub.iterdir():
        (hub / organization.name).symlink_to(organization)
    write_corpus(hub)
    return hub


def build_all(folder: Path, hub: Path, cores: int, count: int, **environment: str) -> dict[str, str]:
    """Build both corpora by `count` servers; the digests of `data/`."""
    (folder / "site").mkdir(parents=True)
    (folder / "site/sitecustomize.py").write_text(SHUFFLED)
    with endpoints(count, folder / "asked", delay=0.2) as urls:
        config = small_config(hub, urls[0])
        config["sources"] |= {name: SOURCES[name] for name in CONTAINERS}
        for server in config["servers"].values():
            server["base_urls"] = urls
        build = Build(folder / "build", config)
        told = os.environ | {"PYTHONPATH": str(folder / "site")} | environment
        done = build.run(*TARGETS, "--cores", str(cores), environment=told)
        assert done.returncode == 0, done.output[-4000:]
    return digest_data(build.folder)


def test_no_byte_depends_on_where_and_in_which_order_things_are_done(
    tmp_path: Path, undisturbed: Undisturbed, hub: Path, locales: Path
) -> None:
    one = build_all(
        *(tmp_path / "one", hub, 1, 1),
        LC_ALL="C",
        PYTHONHASHSEED="1",
        TZ="Asia/Kathmandu",
        LISTING_SEED="1",
    )
    other = build_all(
        *(tmp_path / "other", hub, 4, 3),
        LC_ALL="tr_TR.UTF-8",
        LOCPATH=str(locales),
        PYTHONHASHSEED="4242",
        TZ="America/St_Johns",
        LISTING_SEED="2",
    )
    assert one == other
    # The small corpus comes out as without the rest.
    kept = {name: digest for name, digest in one.items() if name in undisturbed.data}
    assert {name for name in kept if kept[name] != undisturbed.data[name]} <= {
        "dataset_info.json",
        "image_thinking.parquet",
        "manifest/image_thinking.json",
    }
