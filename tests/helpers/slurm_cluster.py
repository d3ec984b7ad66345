"""A real SLURM on loopback: a controller and two nodes, in a temporary folder, stopped by their pids."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONFIG = """
ClusterName=resnetlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=3
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerParameters=bf_interval=1,sched_interval=2
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=4 RealMemory=1000 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=4 RealMemory=1000 Gres=gpu:2
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """What this machine lacks for a cluster, or None."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        return f"no {missing[0]} here: apt-get install slurm-wlm"
    return None if os.geteuid() == 0 else "SLURM's daemons need root"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which sbatch, squeue and srun find the cluster."""
    (folder / "state").mkdir(parents=True)
    host, ports = socket.gethostname(), _free_ports(3)
    file = folder / "slurm.conf"
    names = dict(zip(("port", "port1", "port2"), ports, strict=True))
    file.write_text(CONFIG.format(folder=folder, host=host.split(".")[0], **names))
    # a GPU of SLURM is a device file: the null device's number under a name that ends with the GPU's
    for device in (devices := [folder / f"gpu{number}" for number in range(2)]):
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={device}\n" for device in devices))
    environment = {
        "SLURM_CONF": str(file),
        "MASTER_ADDR": "127.0.0.1",  # n1 and n2 are names of SLURM alone
        "GLOO_SOCKET_IFNAME": "lo",
    }
    daemons = [["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in daemons:
            with (folder / f"{'-'.join(command)}.out").open("wb") as output:
                everything = {**os.environ, **environment}
                started.append(subprocess.Popen(command, env=everything, stdout=output, stderr=output))
        _wait_until_idle({**os.environ, **environment}, folder)
        yield environment
    finally:
        with suppress(OSError, subprocess.TimeoutExpired):
            command = ["scancel", "--me", "--signal=KILL"]
            subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=10)
            time.sleep(1)
        for daemon in reversed(started):
            daemon.send_signal(signal.SIGTERM)
        for daemon in started:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        command = ["sinfo", "--noheader", "--Node", "--format=%T"]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if answer.stdout.split() == ["idle", "idle"]:
            return
        if time.monotonic() > deadline:
            logs = "\n".join(f"{log}: {log.read_text()[-2000:]}" for log in folder.glob("*.[lo][ou][gt]"))
            raise RuntimeError(f"the nodes are {answer.stdout.split()} {answer.stderr}\n{logs}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
