"""Work done by all cores at once, and handed out in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[tuple[Task, Result]]:
    """Yields each task with what `work` makes of it, in the tasks' order; a few are worked on ahead.

    To be closed when it is left early (`contextlib.closing`): no thread outlives that.
    """
    pending: collections.deque[tuple[Task, Future[Result]]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                pending.append((task, pool.submit(work, task)))
                if len(pending) > 2 * threads:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
