#!/usr/bin/env python
"""Searches hyperparameters: `scripts/tune.py --data DIR --out DIR --trials N [any option of train.py]`."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from base import command, native_log
from base.errors import require
from base.options import option, parse, to_dict
from pipelines.input_options import resolve
from pipelines.manifest import Manifest, read_manifest
from scripts import train, train_options
from scripts.search_space import search_space
from tuning.plan import SearchPlan
from tuning.ranking import failures, line, ranked, ranking_table, write_ranking
from tuning.search_directory import SearchDirectory
from tuning.search_options import SearchOptions
from tuning.space import describe
from tuning.space_recipe import is_searched


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Of train.py's own options, those that a recipe may hold."""

    evaluate_on: str | None = option(None, "goes into best.yaml as it is; the search looks at validation only")


GROUPS = {
    "search": SearchOptions,
    "recipe": RecipeOptions,
    **{title: group for title, group in train_options.GROUPS.items() if title != "run"},
}
DESCRIPTION = (
    "Searches hyperparameters at random, judging by validation loss. An option that is given here, or by --config, is "
    "fixed, unless the recipe says between what it is searched; --seed also draws the combinations."
)
WIDE = 10_000  # columns where the output is no terminal: a row is a line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    options = parse("tune.py", DESCRIPTION, GROUPS, argv, leave_out=is_searched)
    asked: SearchOptions = options["search"]
    manifest = read_manifest(Path(asked.data))
    plan = _plan(argv, options, manifest)
    directory = SearchDirectory(Path(asked.out))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
    with directory.locked(lambda: console.print(f"waiting for another process that works in {asked.out}")) as lock:
        if directory.is_finished(plan.identity(), overwrite=asked.overwrite):
            console.print(f"finished already: {directory.path}")
        else:
            _search(plan, directory, lock, console)
    _print_results(directory, console)


def _plan(argv: Sequence[str], options: dict[str, Any], manifest: Manifest) -> SearchPlan:
    asked: SearchOptions = options["search"]
    for split in ("train", "validation"):
        manifest.split(split, Path(asked.data))
    training = to_dict(*(group for title, group in options.items() if title != "search"))
    spec = resolve(options["input"], manifest.image_shape, manifest.channels)
    space, fixed = search_space(argv, options, asked.space, spec.image_size)
    return SearchPlan(
        space=space,
        options={**training, **fixed, "data": str(Path(asked.data).resolve())},
        trials=asked.trials,
        seed=training["seed"],
        data_fingerprint=manifest.fingerprint,
    )


def _search(plan: SearchPlan, directory: SearchDirectory, lock: int, console: Console) -> None:
    console.print("searched", *describe(plan.space), sep="\n  ")
    results = []
    with native_log.captured() as log, console.status("KerasTuner is loading") as status:
        log.keep_in(directory.log)
        from tuning.search import search  # brings TensorFlow, which takes seconds: refusals and --help come before it

        status.update(f"{plan.trials} trials are running, one at a time")
        for result in search(plan, directory, [sys.executable, train.__file__], lock):
            results.append(result)
            console.print(line(result, plan.trials), soft_wrap=True)
            status.update(f"{len(results)} of {plan.trials} trials have ended")
    if len(results) < plan.trials:
        console.print(f"no other combination was found after {len(results)} trials")
    write_ranking(plan, directory, results)


def _print_results(directory: SearchDirectory, console: Console) -> None:
    results = directory.results()
    for text in failures(results, directory):
        console.print(text, soft_wrap=True)
    order = ranked(results)
    do = "Mend what failed, and search anew with --overwrite."
    require(bool(order), f"Expected one of {len(results)} trials to succeed", do=do)
    console.print(ranking_table(results))
    console.print(
        f"best: trial {order[0].number}; train it: scripts/train.py --config {directory.best}", soft_wrap=True
    )


if __name__ == "__main__":
    sys.exit(main())
