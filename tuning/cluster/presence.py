"""Which workers of a chief are there, and how long there has been none. Without a clock of its own."""


class Presence:
    """Names of workers, and when each last said something.

    Args:
        silent_seconds: After which a worker is taken for lost.
        now: The time, as everywhere here.
    """

    def __init__(self, silent_seconds: float, now: float) -> None:
        self.silent_seconds = silent_seconds
        self._seen: dict[str, float] = {}
        self._looked = self._last = now

    @property
    def names(self) -> list[str]:
        """Of those that are there."""
        return list(self._seen)

    def came(self, name: str, now: float) -> None:
        """A worker asks for a trial."""
        self._seen[name] = now

    def heard(self, name: str, now: float) -> None:
        """A worker gives a sign of life; one that is not known, as after a restart, may never ask again."""
        if name in self._seen:
            self._seen[name] = now

    def left(self, name: str) -> None:
        """A worker will not ask again."""
        del self._seen[name]

    def was_deaf(self, now: float) -> bool:
        """Whether it was this process that did not listen; then all are there as of now. To be called often."""
        deaf, self._looked = now - self._looked > self.silent_seconds / 2, now
        if deaf:
            self._seen, self._last = dict.fromkeys(self._seen, now), now
        return deaf

    def drop_silent(self, now: float) -> list[str]:
        """Takes those for lost that have been silent for too long, and returns their names."""
        silent = [name for name, seen in self._seen.items() if now - seen >= self.silent_seconds]
        for name in silent:
            del self._seen[name]
        return silent

    def seconds_alone(self, now: float, *, trains: bool) -> float:
        """How long nobody has been there. To be called often.

        Args:
            now: The time.
            trains: Whether somebody has a trial, whose name need not be known.
        """
        if self._seen or trains:
            self._last = now
        return now - self._last
