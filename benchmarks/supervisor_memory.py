"""What a search's own process holds in memory, over hundreds of trials that only pretend to train.

    python benchmarks/supervisor_memory.py [--trials 200] [--every 20] [--parallel 2] [--algorithms random bayesian]

Each algorithm in a process of its own, over a space of four floats; the trials are processes under guardians, as in
earnest, and write one line of metrics. The resident memory (VmRSS) after every 20 trials, and what is added after the
first 20: those bring the last imports. Beside it, how many objects Python's garbage collector knows, since the C
library keeps some of the memory that Python has given back.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]
SPACE = ("learning_rate", "dropout", "dense_dropout", "weight_decay")
TRAIN = """
    import pathlib, re, sys
    recipe, run = (pathlib.Path(sys.argv[sys.argv.index(name) + 1]) for name in ("--config", "--run"))
    values = [float(value) for value in re.findall("^(?:NAMES): (.*)$", recipe.read_text(), re.MULTILINE)]
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.jsonl").write_text('{"epoch": 1, "val_loss": %r}\\n' % sum((value - 0.3) ** 2 for value in values))
"""


def main() -> None:
    """Measures, and prints a series for each algorithm."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--algorithms", nargs="*", default=["random", "bayesian"])
    parser.add_argument("--contestant", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.contestant:
        _search(options)
        return
    for algorithm in options.algorithms:
        command = [sys.executable, __file__, *sys.argv[1:], "--contestant", algorithm]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        shown = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        series = json.loads(shown.stdout.splitlines()[-1])
        print(f"{algorithm:10}", ", ".join(f"{trial}: {size / 1e6:.1f}" for trial, size, _ in series), "MB")
        (first, before, few), (last, after, many) = series[1], series[-1]
        print(f"{'':10} {(after - before) / 1e6:+.1f} MB and {many - few:+,} objects from trial {first} to {last}")


def _search(options: argparse.Namespace) -> None:
    """Searches, and prints trials, each with bytes and objects."""
    from tuning.hours import Hours
    from tuning.oracles.journal import Journal
    from tuning.oracles.options import OracleOptions
    from tuning.oracles.oracle import Oracle
    from tuning.plan import SearchPlan
    from tuning.processes.slots import Slot
    from tuning.search import Search
    from tuning.search_directory import SearchDirectory
    from tuning.space.parameters import Float
    from tuning.space.space import space_of

    space = space_of([Float(name=name, low=0.0, high=1.0) for name in SPACE])
    oracle = OracleOptions(algorithm=options.contestant, trials=options.trials)
    plan = SearchPlan(
        space=space, options={"epochs": 1, "seed": 0, "data": "none"}, oracle=oracle, seed=0, data_fingerprint="none"
    )
    slots = [Slot(number=number + 1) for number in range(options.parallel)]
    series = [(0, *_held())]
    with tempfile.TemporaryDirectory() as scratch:
        train = Path(scratch, "train.py")
        train.write_text(textwrap.dedent(TRAIN).replace("NAMES", "|".join(SPACE)))
        directory = SearchDirectory(Path(scratch, "search"))
        with directory.locked(lambda: None) as lock:
            journal = Journal(directory.journal, Oracle(space, oracle, seed=0))
            command = [sys.executable, "-I", "-S", str(train)]
            search = Search(plan, directory, slots, journal, command, lock, hours=Hours(directory.hours))
            for count, result in enumerate(search.run(), start=1):
                if result.score is None:
                    raise SystemExit(f"trial {result.number}: {result.reason}")
                if count % options.every == 0:
                    series.append((count, *_held()))
    print(json.dumps(series))


def _held() -> tuple[int, int]:
    """Resident bytes, and objects."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), len(gc.get_objects())


if __name__ == "__main__":
    main()
