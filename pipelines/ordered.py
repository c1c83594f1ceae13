"""Work done by others at once, and handed out in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    submit: Callable[[Task], Future[Result]], tasks: Iterable[Task], ahead: int
) -> Iterator[tuple[Task, Result]]:
    """Yields each task with what comes of it, in the tasks' order, while up to `ahead` others are worked on.

    To be closed when it is left early (`contextlib.closing`): what has not begun by then never does.
    """
    pending: collections.deque[tuple[Task, Future[Result]]] = collections.deque()
    try:
        for task in tasks:
            pending.append((task, submit(task)))
            if len(pending) > ahead:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    finally:
        for _, future in pending:
            future.cancel()
