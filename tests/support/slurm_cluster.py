"""A Slurm cluster on this machine: two nodes on the loopback, with declared cores, memory and fake GPUs.

    with SlurmCluster(folder) as cluster:
        subprocess.run(["sbatch", "--wrap", "hostname"], env=cluster.environment)

By hand, until Ctrl-C, with the line that points a shell to it:

    python -m slurm_cluster --folder /tmp/slurm

Everything is in its folder. Slurm's commands are Debian's; where they are absent, apt installs them, as root.
The daemons run as root, as Slurm's do. The cluster keeps no accounts: `sacct` is there, and says so.
"""

import argparse
import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

PACKAGES = ["slurm-wlm", "munge"]
NODES = ["node1", "node2"]
CORES, MEMORY_MB, GPUS = 8, 200_000, 2
"""What each node declares; nothing checks that the machine has it."""
READY_S, STOP_S = 60, 30
LOCK = Path(tempfile.gettempdir(), "slurm_cluster.lock")
"""Held while packages are installed."""


class NoSlurm(Exception):
    """Slurm cannot be had here: the message says why."""


def install() -> None:
    """Have Slurm and munge from Debian; NoSlurm where they cannot be installed or cannot run."""
    if os.geteuid() != 0:
        raise NoSlurm("Slurm's daemons run as root: start this as root, in a container, say")
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        _install_packages()


def _install_packages() -> None:
    if shutil.which("slurmctld", path=_path()) and shutil.which("munged", path=_path()):
        return
    if not shutil.which("apt-get"):
        raise NoSlurm(f"no apt-get here: install {' and '.join(PACKAGES)}")
    # Installing starts no daemon: those of a package would take the standard ports.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoSlurm(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}")


class SlurmCluster:
    """The cluster, from the beginning of its `with` block to its end; `folder` is made and stays."""

    def __init__(self, folder: Path, nodes: list[str] | None = None):
        self.folder, self.nodes = folder.resolve(), nodes or NODES
        self.daemons: dict[str, subprocess.Popen] = {}
        """The processes that run: munged, slurmctld, and each node's slurmd by the node's name."""

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's commands speak to this cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), _path()])
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.conf)}

    def __enter__(self) -> "SlurmCluster":
        install()
        try:
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, command: str) -> str:
        """What one of Slurm's commands prints; CalledProcessError when it fails."""
        done = subprocess.run(
            shlex.split(command), env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """Each job that waits or runs, by its id: its state."""
        lines = self.run("squeue --noheader --array --format=%i|%T").split()
        return dict(line.split("|") for line in lines)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._spawn(node, "slurmd", "-D", "-N", node, "-f", str(self.conf))

    def fail_node(self, node: str) -> None:
        """Take a node down as its crash does: its daemon and its jobs are killed at once."""
        self._end(node, signal.SIGKILL)
        for process in self._job_processes(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.run(f"scontrol update NodeName={node} State=DOWN Reason=test")

    def recover_node(self, node: str) -> None:
        """Bring a node up again: Slurm takes it back once it registers (ReturnToService)."""
        self.start_node(node)
        state = f"sinfo --noheader --nodes={node} --format=%t"
        _until(lambda: not self.run(state).startswith("down"), node)

    def stop(self) -> None:
        """Cancel every job and end every daemon. What a job left behind its step ends too."""
        if "slurmctld" in self.daemons:
            subprocess.run(["scancel", "--user", "root"], env=self.environment, check=False)
            deadline = time.monotonic() + STOP_S
            while time.monotonic() < deadline and self._still_running():
                time.sleep(0.2)
        for name in [*self.nodes, "slurmctld", "munged"]:
            self._end(name, signal.SIGTERM)

    def _job_processes(self, node: str) -> list[psutil.Process]:
        """The processes of a node's jobs, and the daemons of their steps."""
        marks = {"SLURMD_NODENAME": node, "SLURM_CONF": str(self.conf)}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if marks.items() <= process.environ().items():
                    parents = process.parents()
                    found += [process, *(each for each in parents if each.name().startswith("slurmstepd"))]
        return found

    def _still_running(self) -> bool:
        try:
            return bool(self.jobs())
        except subprocess.CalledProcessError:
            return False

    def _configure(self) -> None:
        for name in ("bin", "log", "state", "spool", "munge", "dev"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # munged trusts no folder that others may write into.
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge/key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o600)
        for gpu in range(GPUS):
            # Slurm wants a device, and numbers it by its name.
            device = self.folder / f"dev/gpu{gpu}"
            device.unlink(missing_ok=True)
            device.symlink_to("/dev/null")
        # A step's srun is started without SLURM_CONF, by Snakemake's executor, and looks in /etc/slurm.
        srun = self.folder / "bin/srun"
        real = shutil.which("srun", path=_path())
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {real} "$@"\n')
        srun.chmod(0o755)
        (self.folder / "gres.conf").write_text(
            f"NodeName={','.join(self.nodes)} Name=gpu File={self.folder}/dev/gpu[0-{GPUS - 1}]\n"
        )
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n")
        self.conf.write_text(self._settings())

    def _settings(self) -> str:
        controller, *ports = _free_ports(1 + len(self.nodes))
        host = socket.gethostname().partition(".")[0]
        lines = [
            "ClusterName=loopback",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={controller}",
            "SlurmUser=root",
            "SlurmdUser=root",
            f"AuthInfo=socket={self.folder}/munge/socket",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/state/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/state/%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld",
            f"SlurmdLogFile={self.folder}/log/%n",
            # Control groups tell jobs of two clusters on one machine apart by the job's number.
            f"FirstJobId={1000 * controller}",
            f"ProctrackType={'proctrack/cgroup' if _has_freezer() else 'proctrack/linuxproc'}",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none",
            "MpiDefault=none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            # What nodes declare counts, and not what the machine has.
            "SlurmdParameters=config_overrides",
            "ReturnToService=2",
            "SchedulerParameters=batch_sched_delay=1,sched_min_interval=100000,bf_interval=2",
            "KillWait=5",
            "SlurmdTimeout=30",
            "GresTypes=gpu",
        ]
        for node, port in zip(self.nodes, ports, strict=True):
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
                f" CPUs={CORES} RealMemory={MEMORY_MB} Gres=gpu:{GPUS}"
            )
        lines.append(
            f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE DefMemPerCPU=100"
        )
        return "\n".join([*lines, ""])

    def _start(self) -> None:
        munge = self.folder / "munge"
        files = ("socket", "pid-file", "log-file", "seed-file", "key-file")
        names = (f"--{file}={munge / file.removesuffix('-file')}" for file in files)
        self._spawn("munged", "munged", "--foreground", "--force", "--num-threads=4", *names)
        _until((munge / "socket").exists, "munged")
        self._spawn("slurmctld", "slurmctld", "-D", "-c", "-f", str(self.conf))
        for node in self.nodes:
            self.start_node(node)
        _until(lambda: self._idle() == len(self.nodes), f"the nodes; see {self.folder}/log")

    def _idle(self) -> int:
        """How many nodes wait for work."""
        try:
            return self.run("sinfo --noheader --Node --format=%t").split().count("idle")
        except subprocess.CalledProcessError:
            return 0

    def _spawn(self, name: str, *command: str) -> None:
        with (self.folder / f"log/{name}.out").open("ab") as told:
            # In a session of its own: Ctrl-C at a terminal is for the runs on the cluster.
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=told, stderr=told, start_new_session=True
            )

    def _end(self, name: str, how: int) -> None:
        daemon = self.daemons.pop(name, None)
        if daemon is None:
            return
        daemon.send_signal(how)
        try:
            daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _path() -> str:
    """PATH with the folders of daemons, which are not on everybody's."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _has_freezer() -> bool:
    """Whether Slurm can hold a job in a control group, as sites do, and end what left the job's process tree.

    A container often has none: there a process that outlives its parent is lost to Slurm.
    """
    return os.access("/sys/fs/cgroup/freezer", os.W_OK)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _until(condition, what: str) -> None:
    """Wait until a condition holds; NoSlurm when it does not in time."""
    deadline = time.monotonic() + READY_S
    while not condition():
        if time.monotonic() > deadline:
            raise NoSlurm(f"not ready in {READY_S} s: {what}")
        time.sleep(0.2)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--folder", type=Path, required=True, help="where everything of the cluster is")
    folder = flags.parse_args().folder
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), SlurmCluster(folder) as cluster:
        print(f"export SLURM_CONF={cluster.conf} PATH={cluster.folder}/bin:$PATH", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
