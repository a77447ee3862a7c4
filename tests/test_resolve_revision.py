"""What a branch names is asked once, and written down."""

import shutil

from hub_server import Hub
from prep.storage.atomic import read_json, write_json
from running import run
from workflow import hub as corpus

REPO = "lmms-lab/LLaVA-ReCap-CC12M"


def resolve(folder, endpoint, revision):
    write_json(folder / "hub.json", {"mirror": None, "endpoint": endpoint})
    out = folder / "resolved.json"
    done = run(
        *("resolve_revision.py", "--repo", REPO, "--revision", revision),
        *("--hub", folder / "hub.json", "--resolved", out),
    )
    return done, out


def test_a_branch_becomes_the_commit_that_it_names_now(tmp_path):
    shutil.copytree(corpus() / REPO, tmp_path / "hub" / REPO)
    with Hub(tmp_path / "hub") as hub:
        done, out = resolve(tmp_path, hub.endpoint, "main")
        assert done.returncode == 0, done.stderr
        assert read_json(out) == {"repo": REPO, "revision": "main", "commit": hub.commit(REPO)}


def test_a_branch_that_is_not_there_is_one_line(tmp_path):
    with Hub(corpus()) as hub:
        done, out = resolve(tmp_path, hub.endpoint, "no-such-branch")
    assert done.returncode == 1
    assert REPO in done.last
    assert not out.exists()
