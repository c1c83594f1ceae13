"""How much host memory reading may take. Without TensorFlow."""

import re
from pathlib import Path

from base.errors import input_error

# Of what is free when reading starts; the rest is for the model, its checkpoints, and the system's file cache.
_SHARE = 0.6
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


class Budget:
    """Bytes for held splits and buffers; whoever takes some leaves less to the next.

    Args:
        asked: As `--memory-budget` has it; None: a share of the memory that is free, or that the container may
            still take.
    """

    def __init__(self, asked: int | str | None = None) -> None:
        self.is_explicit = asked is not None
        free = None if self.is_explicit else available_memory()
        # where nothing says what is free, the allocation itself does
        self.total = parse_bytes(asked) if self.is_explicit else 2**62 if free is None else int(_SHARE * free)
        self.taken = 0

    @property
    def left(self) -> int:
        """Bytes that nobody has taken."""
        return max(0, self.total - self.taken)

    def take(self, count: int) -> None:
        """Notes that `count` bytes are in use from now on."""
        self.taken += count


def parse_bytes(text: int | str) -> int:
    """A number of bytes, as people write it.

    Raises:
        InputError: No number of bytes.

    Example:
        >>> parse_bytes("1.5GB"), parse_bytes("64MiB"), parse_bytes(2000)
        (1500000000, 67108864, 2000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", str(text).strip().upper())
    if match is None or match[2] not in _UNITS:
        raise input_error("Expected a number of bytes, as 2000000000, 2GB or 1.5GiB", memory_budget=text)
    return int(float(match[1]) * _UNITS[match[2]])


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: the system's free ones, or less where its control group allows less.

    Files that the kernel keeps in memory but may drop count as free. None where nothing says it.
    """
    found = [_meminfo(root), *_control_groups(root)]
    return min((count for count in found if count is not None), default=None)


def _meminfo(root: Path) -> int | None:
    return _field(root / "proc/meminfo", "MemAvailable:", 1024)


def _control_groups(root: Path) -> list[int]:
    """What is left in each control group around this process.

    https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().split()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            mount = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            mount = root / "sys/fs/cgroup/memory"
        else:
            continue
        # Within a container the path may be the host's, and the group is found at the mount itself.
        folder = mount / path.lstrip("/")
        for group in (folder, *folder.parents):
            limit, used = _number(group / names[0]), _number(group / names[1])
            if limit is not None and used is not None:
                left.append(max(0, limit - used + (_field(group / "memory.stat", names[2]) or 0)))
            if group == mount:
                break
    return left


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _field(path: Path, name: str, unit: int = 1) -> int | None:
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return None
    return next((int(line[1]) * unit for line in words if line and line[0] == name), None)
