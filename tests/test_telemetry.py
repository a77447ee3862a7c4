"""Programs send no telemetry: their connections are observed, and what they leave in the home folder."""

import asyncio
import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from conftest import ROOT
from PIL import Image, ImageDraw, ImageFont
from test_read_pages import ENGLISH, build, run

from connections import observed
from fault_server import FaultServer
from hub_server import Hub, undisturbed
from prep.rendering.typeset import Typesetter
from prep.runtime import telemetry
from prep.serving.server import Server
from render_config import RENDER
from server_config import stand_in_config
from stand_in_server import starts
from teachers import teach
from workflow import Build, config, hub

# Where names of users are looked up; a host that such a daemon does not know is looked up elsewhere too.
USERS = ("/var/run/nscd/", "/run/systemd/userdb/", "/var/lib/sss/")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process's connections")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home folder, and an environment in which nobody has opted out of anything."""
    for name in (*telemetry.OPT_OUTS, "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


@linux
def test_connections_of_every_kind_and_look_ups_are_seen():
    code = """
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"x", ("127.0.0.1", 9))
sender.sendmsg([b"x"], [], 0, ("127.0.0.2", 9))
for host in ("127.0.0.3", "host.invalid"):
    try:
        socket.create_connection((host, 1))
    except OSError:
        pass
"""
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    done, found = observed(lambda: subprocess.run([sys.executable, "-c", child], check=False))
    assert done.returncode == 0
    plain = {("127.0.0.1", 9), ("127.0.0.2", 9), ("127.0.0.3", 1)}
    assert plain < found
    assert all("nscd" in each if isinstance(each, str) else each[1] == 53 for each in found - plain)


@linux
def test_reading_pages_connects_to_nothing_and_leaves_nothing_at_home(tmp_path, home):
    build(tmp_path, Typesetter(RENDER, 42), [ENGLISH], [ENGLISH])
    (read,), found = observed(lambda: run(tmp_path, "questions.parquet"))
    assert read["pages"] == 1
    assert (found, left(home)) == (set(), [])


def ask_embedded_server(picture: bytes) -> tuple[str, str]:
    """Start the embedded server, ask it about a picture; its URL and its answer."""
    command = [sys.executable, ROOT / "scripts/embedded_server.py", "--model", "small", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--threads", "1"],
        env=os.environ | {"VLLM_API_KEY": "k3y"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+/v1", line)))
        image = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "Read."}]
        with openai.OpenAI(base_url=url, api_key="k3y", max_retries=0, timeout=120) as client:
            messages = [{"role": "user", "content": content}]
            answer = client.chat.completions.create(model="small", messages=messages, seed=1)
        return url, answer.choices[0].message.content
    finally:
        process.kill()
        process.communicate()


@linux
def test_the_embedded_server_connects_to_nothing_while_it_reads_a_picture(tmp_path, home):
    picture = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(picture).text((20, 30), "lighthouse", "black", ImageFont.load_default(48))
    picture.save(tmp_path / "page.png")
    (url, answer), found = observed(lambda: ask_embedded_server((tmp_path / "page.png").read_bytes()))
    assert "lighthouse" in answer.lower()
    assert (found, left(home)) == ({address(url)}, [])


@linux
def test_a_whole_run_connects_to_its_hub_and_its_endpoint_alone(tmp_path, home, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Hub(hub()) as source, FaultServer(teach, slots=16) as server:
        undisturbed(monkeypatch, home)
        # Where Slurm is installed, Snakemake's plugin asks for its settings, which Slurm may look up by DNS.
        monkeypatch.setenv("SLURM_CONF", os.devnull)
        small = config(
            server.base_url,
            hub={"endpoint": source.endpoint},
            onevision={"configs": ["iiit5k"]},
            text_reasoning={"max_questions": 4},
            image_reasoning={"samples_per_config": 4},
        )
        build = Build(tmp_path / "build", small)
        done, found = observed(lambda: build.run("all"))
    assert done.returncode == 0, done.output[-4000:]
    found = {each for each in found if not (isinstance(each, str) and each.startswith(USERS))}
    assert found == {address(url) for url in (source.endpoint, source.storage, server.base_url)}
    assert (left(home), left(temporary)) == ([], [])


@linux
def test_a_managed_server_is_told_and_what_the_user_has_set_stays(tmp_path, home, monkeypatch):
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    telemetry.opt_out()

    async def environment_of_server() -> dict[str, str]:
        with Server(stand_in_config(tmp_path), tmp_path) as server:
            await server.ensure_endpoints()
            (pid,) = starts(tmp_path)
            lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
        return dict(line.split("=", 1) for line in lines if line)

    told = asyncio.run(environment_of_server())
    assert told.items() >= (telemetry.OPT_OUTS | {"VLLM_NO_USAGE_STATS": "0"}).items()
