"""Where trials can run at the same time: the GPUs and cores of the machine, dealt out. Without TensorFlow."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from base.errors import require
from tuning.processes.machine import Machine


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one trial."""

    number: int  # from 1
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)  # added to that of the search
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # for the trial's recipe
    cores: tuple[int, ...] = ()  # that its process is bound to; (): to none

    def describe(self) -> str:
        """As 'GPU 2, 3; 4 threads'."""
        gpus, threads = self.environment.get("CUDA_VISIBLE_DEVICES"), self.options.get("intra_op_threads")
        parts = [f"GPU {gpus.replace(',', ', ')}"] if gpus else []
        if self.cores:
            parts.append(f"core{'s' if len(self.cores) > 1 else ''} {', '.join(map(str, self.cores))}")
        elif threads:
            parts.append(f"{threads} thread{'s' if threads > 1 else ''}")
        return "; ".join(parts)


def slots(
    parallel: int | Literal["auto"], devices_per_trial: int | None, machine: Machine, *, bound: bool = False
) -> tuple[Slot, ...]:
    """Deals a machine out.

    All slots are alike but for the numbers of their devices, so that a trial's result does not depend on the slot it
    had. The share of the cores stands as thread counts in the trial's recipe: with these it can be had again bit for
    bit, on all cores too.

    Args:
        parallel: Trials at the same time; auto: as many as there is room for.
        devices_per_trial: GPUs a trial, on a machine without any CPU cores; None: one GPU, or an equal share of the
            cores (one, where `parallel` is auto).
        machine: What there is.
        bound: Whether a trial's threads are kept on its cores. By default the system moves them to where there is room:
            on two cores that others used too, pairs of trials of one thread each took 32 to 47 s (median of 7: 36),
            bound to a core each 29 to 72 s (median 44), in as much CPU time and with the same bits.

    Raises:
        InputError: More is asked for than there is.
    """
    gpus, cores = machine.gpus, machine.cores
    devices, kind = (gpus, "GPU") if gpus else (cores, "CPU core")
    require(parallel == "auto" or parallel >= 1, "Expected --parallel auto, or at least 1", parallel=parallel)
    each = 1 if devices_per_trial is None else devices_per_trial
    require(each >= 1, "Expected --devices-per-trial of at least 1", devices_per_trial=each)
    here = f"{len(devices)} {kind}{'' if len(devices) == 1 else 's'} of this machine"
    require(each <= len(devices), f"Expected --devices-per-trial of at most the {here}", devices_per_trial=each)
    most = len(devices) // each
    require(
        parallel == "auto" or parallel <= most,
        f"Expected --parallel of at most {most}: {each} a trial, of the {here}",
        parallel=parallel,
    )
    count = most if parallel == "auto" else parallel
    # Of GPUs, none has cores of its own where there are fewer cores than trials.
    share = each if devices_per_trial and not gpus else len(cores) // count
    return tuple(
        _slot(
            place + 1,
            max(1, share),
            cores[place * share : (place + 1) * share] if bound else (),
            gpus[place * each : (place + 1) * each],
        )
        for place in range(count)
    )


def _slot(number: int, threads: int, cores: tuple[int, ...], gpus: tuple[str, ...]) -> Slot:
    options: dict[str, Any] = dict.fromkeys(("intra_op_threads", "inter_op_threads", "decode_threads"), threads)
    if gpus:  # "auto" would take more of them where the recipe is trained alone
        options |= {"strategy": "mirrored", "replicas": len(gpus)} if len(gpus) > 1 else {"strategy": "single"}
    environment = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    return Slot(number=number, environment=environment, options=options, cores=cores)
