"""The search: the oracle proposes, a process trains, the result is recorded and told to the oracle."""

from collections.abc import Iterator, Sequence

from tuning.oracle import RandomOracle
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.slots import Slot
from tuning.supervisor import Supervisor
from tuning.trial import TrialResult, end_trial, read_result, start_trial


def search(
    plan: SearchPlan, directory: SearchDirectory, train_command: Sequence[str], lock: int
) -> Iterator[TrialResult]:
    """Yields the result of each trial, in their order.

    A search that was interrupted goes on: its oracle proposes the same combinations again, and the trials that have a
    result are not repeated.

    Args:
        plan: What to search.
        directory: Where to, locked.
        train_command: How the train command is called, without its options: `[python, ".../train.py"]`.
        lock: The directory's lock. A trial holds it too, so that no second one starts beside it in the same folder,
            even when this process was killed.
    """
    oracle = RandomOracle(plan.space, trials=plan.trials, seed=plan.seed, folder=directory.oracle)
    with Supervisor([Slot(number=1)], keep_open=[lock]) as supervisor:
        for number in range(1, plan.trials + 1):
            proposal = oracle.propose()
            if proposal is None:  # the space has no other combination
                return
            trial, values = proposal
            folder = directory.trial(number)
            result = read_result(folder)
            if result is None:
                recipe = plan.trial_recipe(values)
                start_trial(supervisor, supervisor.free[0], folder, number, recipe, train_command)
                result = end_trial(folder, values, supervisor.wait())
            oracle.tell(trial, result.val_loss, result.reason)
            yield result
