"""What nvidia-smi says of GPUs beyond their names: memory and compute capability. Without TensorFlow."""

import contextlib
import dataclasses
import subprocess
from collections.abc import Sequence

_COLUMNS = "index,uuid,memory.total,compute_cap"


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The least that each of some GPUs has."""

    memory: int  # bytes
    capability: str  # "9.0"


def least_of(gpus: Sequence[str]) -> Gpu | None:
    """What each of these GPUs has at least; None where that can't be found, as of a part of a divided GPU.

    Args:
        gpus: As CUDA_VISIBLE_DEVICES names them.
    """
    command = ["nvidia-smi", f"--query-gpu={_COLUMNS}", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return least_in(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout, gpus)
    return None


def least_in(listing: str, gpus: Sequence[str]) -> Gpu | None:
    """The same from what nvidia-smi prints.

    Example:
        >>> least_in("0, GPU-a1, 81559, 9.0\\n1, GPU-b2, 16384, 7.5\\n", ["0", "GPU-b"])
        Gpu(memory=17179869184, capability='7.5')
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line.count(",") == 3]
    named = [next((row for row in rows if _names(gpu, row)), None) for gpu in gpus]
    if not named or None in named:
        return None
    try:
        memory = min(int(row[2]) for row in named)
        capability = min((row[3] for row in named), key=lambda text: tuple(map(int, text.split("."))))
    except ValueError:  # "[N/A]"
        return None
    return Gpu(memory * 2**20, capability)


def _names(gpu: str, row: Sequence[str]) -> bool:
    index, uuid, *_ = row
    return gpu == index or (gpu.startswith("GPU-") and uuid.startswith(gpu))  # CUDA takes the beginning of a UUID
