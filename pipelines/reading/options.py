"""How batches are read, as options; free of TensorFlow."""

import dataclasses
import os
from typing import Literal

from base.errors import require
from base.options import option
from pipelines.reading.budget import parse_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """Where examples wait, in which order they come, and how many hands bring them."""

    cache: Literal["auto", "memory", "none"] = option(
        "auto", "memory: read a split once and hold it; none: stream it in every epoch; auto: hold what fits the budget"
    )
    memory_budget: int | str | None = option(
        None,
        "bytes for held splits and buffers, as 2000000000 or 2GB; by default a share of what is free",
        neutral=True,  # what follows from it, the way of reading and the window, is not
    )
    hold_in: str | None = option(
        None,
        "folder by which trainings on this machine have the decoded images of a held split in common, in memory once; "
        "in /dev/shm, or on a disk, through the system's file cache; remove it when they have ended",
        neutral=True,
    )
    sampling: Literal["natural", "balanced"] = option(
        "natural", "balanced: all classes come equally often, so that examples of the smaller ones repeat"
    )
    shuffle_window: int | None = option(
        None, "of a streamed split: records among which the next one is drawn; by default 10000, or 128 MB of them"
    )
    interleave: int = option(16, "of a streamed split: shards that are read side by side; the order depends on it")
    decode_threads: int | None = option(
        None, "batches that are decoded side by side; by default one a core", neutral=True
    )
    prefetch: int | None = option(
        None, "batches that wait ready; by default 2, more where they are small", neutral=True
    )

    def __post_init__(self) -> None:
        if self.memory_budget is not None:
            require(
                parse_bytes(self.memory_budget) > 0,
                "Expected --memory-budget above 0",
                memory_budget=self.memory_budget,
            )
        for name, most in (
            ("shuffle_window", 2**31),
            ("interleave", 256),
            ("decode_threads", 1024),
            ("prefetch", 4096),
        ):
            value = getattr(self, name)
            require(
                value is None or 1 <= value <= most,
                f"Expected --{name.replace('_', '-')} from 1 to {most}",
                **{name: value},
            )
        require(
            self.sampling == "natural" or self.cache != "none",
            "Expected --sampling natural with --cache none: only a split that is held can be drawn from class by class",
            sampling=self.sampling,
            do="Choose --cache memory, or --sampling natural.",
        )

    @property
    def threads(self) -> int:
        """Batches that are decoded side by side."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.decode_threads or cores
