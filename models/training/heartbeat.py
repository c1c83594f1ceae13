"""Who of the workers is alive: each tells the others every second, by datagrams on the ports of their addresses.

TensorFlow's own health check asks the first worker alone, and does not say who is gone. Here every worker knows of
every other one: whether it has come at the start and was given the same options, whether it is alive, has ended and
why, and has saved. A worker that dies or hangs falls silent; then the operations that wait for it are aborted, the
lowest worker alive saves, and all end. Like TensorFlow's ports, these have no authentication: they are for networks
that are trusted. Free of TensorFlow.
"""

import atexit
import contextlib
import json
import os
import secrets
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from base.command import START_AGAIN
from models.training import beats
from models.training.beats import FINISHED, LEFT, MEETING, STOPPING, TRAINING, Beat, Peer
from models.training.cluster import Cluster
from models.training.meeting import absence, refusal

_GONE = (LEFT, FINISHED)
_REPEATED = 3  # times that a last word is said: datagrams get lost


class Heartbeat:
    """This worker's view of the others, kept up to date by a thread.

    Args:
        cluster: Of at least two workers.
        agreement: Name -> value, as JSON has it, of what must be the same on all of them.
        interval: Seconds between two beats.
        silence: Seconds without a beat after which a worker counts as lost. Only time in which this process ran itself
            counts: not where the machine slept, or its own thread was held up.
        patience: Seconds that a loss may leave the main thread in `communicating`; then the process ends, without
            saving: the step in flight holds the variables.
        say: Told why the process ends then.
    """

    def __init__(
        self,
        cluster: Cluster,
        agreement: Mapping[str, Any] | None = None,
        *,
        interval: float = 1.0,
        silence: float = 30.0,
        patience: float = 20.0,
        say: Callable[[str], None] = print,
    ) -> None:
        self._cluster = cluster
        self._agreement = json.loads(json.dumps(dict(agreement or {})))  # as it comes from the others
        self._interval, self._silence, self._patience, self._say = interval, silence, patience, say
        self._life = secrets.token_hex(8)
        self._state, self._why, self._saved = MEETING, "", -1
        places = enumerate(cluster.addresses)
        self._peers = [Peer(worker=i, address=address) for i, address in places if i != cluster.index]
        self._loss = ""
        self._abort: Callable[[str], None] | None = None
        self._communicating = False
        self._changed = threading.Condition()
        self._socket = beats.open_socket(cluster.addresses[cluster.index])
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def meet(self, seconds: float) -> None:
        """Starts beating, and returns when all the others have answered.

        Raises:
            StartAgain: After `seconds` some have not, or one has ended.
            InputError: One was started with other options.
        """
        self._thread.start()
        with self._changed:
            self._changed.wait_for(
                lambda: refusal(self._peers, self._agreement) or all(peer.met for peer in self._peers), seconds
            )
            error = refusal(self._peers, self._agreement) or absence(self._peers, seconds)
            self._state = TRAINING
        if error:
            self.leave(str(error))
            raise error
        atexit.register(self.leave, "its process has ended")  # however it ends, unless it is killed

    def on_loss(self, abort: Callable[[str], None]) -> None:
        """Has `abort(why)` called when a worker is lost, from the thread."""
        with self._changed:
            self._abort = abort
        self._tell()

    @contextlib.contextmanager
    def communicating(self) -> Iterator[None]:
        """A block in which the main thread waits for the other workers."""
        self._communicating = True
        try:
            yield
        finally:
            self._communicating = False

    def settle(self) -> str:
        """Waits, after a collective has failed, until it is clear who is alive.

        Returns:
            Who is lost and why: the one that others stop for, where that can be told; "" where all are alive.
        """
        with self._changed:
            self._state = STOPPING
            self._why = self._loss or "a collective operation failed"
        self._beat()
        with self._changed:
            self._changed.wait_for(lambda: all(p.state in (STOPPING, *_GONE) for p in self._peers), 5 * self._interval)
            for peer in self._peers:
                if peer.state not in _GONE and peer.silence > 2.5 * self._interval:
                    self._lose(peer, f"{peer} is silent")
            return next((peer.lost for peer in self._peers if peer.lost), self._loss)

    @property
    def loss(self) -> str:
        """Who was lost first, and why; "": nobody."""
        return self._loss

    @property
    def lowest_alive(self) -> int:
        """The lowest worker that is alive: who writes."""
        alive = [peer.worker for peer in self._peers if peer.state not in _GONE]
        return min([*alive, self._cluster.index])

    @property
    def writes(self) -> bool:
        """Whether this worker is the one that writes: the chief, or who stands in for it."""
        return self.lowest_alive == self._cluster.index

    @property
    def saved_elsewhere(self) -> int:
        """The last step that another worker says it has saved; -1: none."""
        return max(peer.saved for peer in self._peers)

    def saved(self, step: int) -> None:
        """Lets the others know that this worker has saved."""
        self._saved = step

    def leave(self, why: str) -> None:
        """Tells the others that this worker ends before the training does."""
        self._end(LEFT, why)

    def finish(self) -> str:
        """Waits until all have finished: a worker that ends takes down what others still read from it.

        Returns:
            Who did not, and why; "": all did.
        """
        with self._changed:
            self._state = FINISHED
        self._beat()
        with self._changed:
            self._changed.wait_for(lambda: self._loss or all(peer.state == FINISHED for peer in self._peers))
        self._end(FINISHED, "")
        return self._loss

    def _end(self, state: str, why: str) -> None:
        if self._closed.is_set():
            return
        with self._changed:
            self._state, self._why = state, why
        for _ in range(_REPEATED):
            self._beat()
        self._closed.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        before, left = time.monotonic(), self._patience
        while not self._closed.is_set():
            self._beat()
            self._listen(self._interval)
            now = time.monotonic()
            passed, before = min(now - before, 2 * self._interval), now
            with self._changed:
                for peer in self._peers:
                    self._judge(peer, passed)
            self._tell()
            left = left - passed if self._loss and self._communicating else self._patience
            if left < 0:
                self._give_up()

    def _beat(self) -> None:
        for peer in self._peers:
            agreement = self._agreement if self._state == MEETING else {}
            beats.send(
                self._socket,
                Beat(
                    worker=self._cluster.index,
                    life=self._life,
                    to=peer.life,
                    state=self._state,
                    why=self._why[:300],
                    saved=self._saved,
                    agreement=agreement,
                ),
                peer,
            )

    def _listen(self, seconds: float) -> None:
        """Takes what has come, and what comes within `seconds`."""
        end = time.monotonic() + seconds
        while not self._closed.is_set():
            ready, _, _ = select.select([self._socket], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return
            try:
                beat = beats.decode(self._socket.recv(65536))
            except OSError:
                continue
            peer = next((p for p in self._peers if beat and p.worker == beat.worker), None)
            if peer is not None:
                with self._changed:
                    self._hear(peer, beat)
                    self._changed.notify_all()
                self._tell()

    def _hear(self, peer: Peer, beat: Beat) -> None:
        if self._state == MEETING or not peer.met:
            unknown = peer.life != beat.life
            peer.take(beat, self._life)  # of an earlier run: it does not know this life, and has not been met
            if unknown:
                self._beat()
        elif beat.life != peer.life:
            if beat.state == MEETING:
                self._lose(peer, f"{peer} was started again")
        elif peer.state not in _GONE:
            stopped = peer.state == STOPPING
            peer.take(beat, self._life)
            if peer.state == LEFT and not stopped:
                self._lose(peer, f"{peer} has ended: {peer.why}")
            elif peer.state == STOPPING:
                self._mourn(f"{peer} stops: {peer.why}")

    def _judge(self, peer: Peer, passed: float) -> None:
        if self._state == MEETING or peer.state in _GONE:
            return
        peer.silence += passed
        if peer.silence > self._silence:
            self._lose(peer, f"{peer} is silent since {peer.silence:.0f} s")

    def _lose(self, peer: Peer, why: str) -> None:
        peer.state, peer.lost = LEFT, why
        self._mourn(why)

    def _mourn(self, why: str) -> None:
        if self._loss:  # what comes of the first loss is no news
            return
        self._loss = why
        self._changed.notify_all()

    def _tell(self) -> None:
        """Aborts what waits for a worker that is lost; without the lock, which those who wait may hold."""
        with self._changed:
            abort = self._abort if self._loss else None
            self._abort = None if abort else self._abort
        if abort is not None:
            abort(self._loss)

    def _give_up(self) -> None:
        self._say(
            f"error: {self._loss}; what waits for it can't be stopped. The last checkpoint stays: start all again."
        )
        self._state, self._why = LEFT, self._loss
        self._beat()
        sys.stdout.flush()
        os._exit(START_AGAIN)
