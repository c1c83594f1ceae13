"""What the doctor found, as a table."""

from collections.abc import Sequence

from rich.table import Table

from pipelines.doctor.verdict import Machine, Stage, cpu_share


def stage_table(stages: Sequence[Stage], machine: Machine, binding: str) -> Table:
    """A row a stage; `binding` names the one that is marked."""
    table = Table("stage", "where", "when", box=None, pad_edge=False)
    for title in ("images/s", "ms an image", "CPU ms an image", "share of cores", "share of the CPU"):
        table.add_column(title, justify="right")
    table.add_column("")
    for stage in stages:
        table.add_row(
            stage.name,
            {"host": "host", "copy": "to the device", "device": "device"}[stage.where],
            "once, at the start" if stage.once else "each batch",
            f"{1 / stage.wall:,.0f}",
            f"{stage.wall * 1e3:.4f}",
            f"{stage.cpu * 1e3:.4f}",
            f"{min(1.0, stage.share_of_cores(machine.cores)):.0%}",
            "" if stage.once else f"{cpu_share(stage, stages):.0%}",
            "<- binds" if stage.name == binding else "",
        )
    return table
