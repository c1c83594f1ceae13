"""What a search may use of the machine: its GPUs and CPU cores, found without TensorFlow."""

import contextlib
import dataclasses
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """GPUs, as CUDA_VISIBLE_DEVICES names them, and the numbers of CPU cores."""

    gpus: tuple[str, ...]
    cores: tuple[int, ...]


def find_machine() -> Machine:
    """What this process may use."""
    listed = _nvidia_smi()
    gpus = gpus_of_folder(Path("/")) if listed is None else listed_gpus(listed)
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return Machine(gpus=visible_gpus(gpus, os.environ), cores=within_quota(affinity, Path("/")))


def listed_gpus(listing: str) -> tuple[str, ...]:
    """The GPUs in what `nvidia-smi -L` prints: their numbers, and of a GPU that is divided its parts.

    Example:
        >>> listed_gpus("GPU 0: A (UUID: GPU-1)\\nGPU 1: A (UUID: GPU-2)\\n  MIG 1g.5gb Device 0: (UUID: MIG-3)\\n")
        ('0', 'MIG-3')
    """
    gpus: list[str] = []
    for line in listing.splitlines():
        whole, part = re.match(r"GPU (\d+):", line), re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line)
        if whole:
            gpus.append(whole[1])
        elif part:
            if gpus and gpus[-1].isdecimal():
                gpus.pop()
            gpus.append(part[1])
    return tuple(gpus)


def gpus_of_folder(root: Path) -> tuple[str, ...]:
    """The GPUs that the driver's own folder knows, for where `nvidia-smi` is not there."""
    count = len(list((root / "proc/driver/nvidia/gpus").glob("*")))
    return tuple(str(number) for number in range(count))


def visible_gpus(gpus: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the machine's GPUs that CUDA_VISIBLE_DEVICES leaves, as it names them.

    As CUDA reads it: an entry that names no device hides those after it. UUIDs are taken as they stand.

    Example:
        >>> visible_gpus(("0", "1", "2"), {"CUDA_VISIBLE_DEVICES": "2,0,7,1"})
        ('2', '0')
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None or not gpus:
        return gpus
    visible: list[str] = []
    for entry in (text.strip() for text in named.split(",")):
        if entry not in gpus and not entry.startswith(("GPU-", "MIG-")):
            break
        visible.append(entry)
    return tuple(visible)


def within_quota(affinity: set[int] | range, root: Path) -> tuple[int, ...]:
    """The cores of an affinity mask, or fewer where a control group grants less of their time; at least one.

    https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/scheduler/sched-bwc.html
    """
    cores = tuple(sorted(affinity))
    quota = min(_quotas(root), default=float(len(cores)))
    return cores[: max(1, int(quota))]


def _quotas(root: Path) -> list[float]:
    """Cores' worth of time that each control group around this process grants."""
    with contextlib.suppress(OSError):
        found = []
        for line in (root / "proc/self/cgroup").read_text().split():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                mount = root / "sys/fs/cgroup"
            elif "cpu" in controllers.split(","):
                mount = root / "sys/fs/cgroup/cpu"
            else:
                continue
            # Within a container the path may be the host's, and the group is found at the mount itself.
            folder = mount / path.lstrip("/")
            for group in (folder, *folder.parents):
                found += _quota(group)
                if group == mount:
                    break
        return found
    return []


def _quota(group: Path) -> list[float]:
    """Of one control group, version 2 or 1; [] where it grants all."""
    with contextlib.suppress(OSError, ValueError):
        return [float.__truediv__(*map(float, (group / "cpu.max").read_text().split()))]
    with contextlib.suppress(OSError, ValueError):
        quota = float((group / "cpu.cfs_quota_us").read_text())
        return [quota / float((group / "cpu.cfs_period_us").read_text())] if quota > 0 else []
    return []


def _nvidia_smi() -> str | None:
    """What `nvidia-smi -L` prints; None where it is not there or finds no driver."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    return None
