"""The loop: steps, evaluation, callbacks, epoch after epoch."""

import contextlib
import dataclasses
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.heads import Head
from models.training import datasets, failures, memory
from models.training.compiling import compile_model, head_of
from models.training.failures import NotFinite
from models.training.feed import Feed
from models.training.hardware import Hardware, prepare
from models.training.keeper import Keeper
from models.training.keras_internals import all_layers, moving_averages
from models.training.loop import Result, build_evaluation_loop, build_training_loop, memory_of
from models.training.loss_options import LossOptions
from models.training.loss_scale import LossScale
from models.training.meter import Meter
from models.training.objective import Objective
from models.training.options import HardwareOptions
from models.training.rate_finder import RangeTest, range_test
from models.training.replay import Replay, replay
from models.training.resizing import Stage
from models.training.snapshot import Snapshot, assign, require_same, variables_of
from models.training.state import TrainingState
from models.training.step import Batch, StepOptions, Sums, build_evaluation_step, build_training_step
from models.training.stopwatch import Stopwatch

_SECONDS_A_CALL = 0.2
_BATCHES_ON_DEVICE = 2


class Trainer:
    """Trains and evaluates one compiled model on one hardware; Keras' callbacks work.

    Args:
        model: From pixels to outputs, made under the strategy's scope.
        optimizer: Of Keras; None: the model is compiled already, see `compile_model`.
        head: The model's head; by default what its number of outputs says: softmax, or one sigmoid unit.
        hardware: What it runs on; by default one device.
        objective: What is minimised; by default the head's loss.
        step: How the step is put together; whether XLA compiles it is the hardware's to say.
        augment: Of training batches, in the compiled step: a pure function from a batch to a batch.
        stages: The first epochs, on smaller images; see `build_stages`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer | None = None,
        head: Head | None = None,
        hardware: Hardware | None = None,
        *,
        objective: Objective | None = None,
        step: StepOptions | None = None,
        augment: Callable[[Batch], Batch] | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        head = head or head_of(model)
        hardware = hardware or prepare(HardwareOptions(strategy="single"))
        self.model = model
        self.hardware = hardware
        self.strategy = hardware.strategy
        with self.strategy.scope():
            if optimizer is not None:  # made anew: its variables are to be the strategy's
                compile_model(model, head, type(optimizer).from_config(optimizer.get_config()))
            self.loss_scale = LossScale() if hardware.precision == "mixed_float16" else None
        self._head, self._augment = head, augment
        self._objective = objective or Objective(head, LossOptions())
        self._options = dataclasses.replace(step or StepOptions(), xla=hardware.xla, synchronized=hardware.synchronized)
        several = hardware.workers > 1
        self._memory = memory_of(len(model.trainable_variables)) if several else ()
        self._stages = (*stages, Stage(math.inf, model))
        self._loops = [self._loop(stage, self._options) for stage in self._stages]
        self._run_steps = self._loops[-1]
        judged = moving_averages(model.optimizer) or model.trainable_variables
        evaluation = build_evaluation_step(model, head, judged, gathered=several)
        self._state: TrainingState | None = None
        self._run_evaluation = build_evaluation_loop(self.strategy, evaluation, gathered=several)

    def fit(
        self,
        training: Feed | tf.data.Dataset,
        validation: Feed | tf.data.Dataset | None = None,
        *,
        epochs: int = 1,
        planned: int | None = None,
        steps_per_call: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        keeper: Keeper | None = None,
        start: Snapshot | None = None,
    ) -> keras.callbacks.History:
        """Trains, evaluating on `validation` after each epoch.

        Args:
            training: An endless feed, from the step on that the run starts at; or a finite dataset of batches (image,
                label) at the run's start.
            validation: A feed of every example once, such a dataset, or None.
            epochs: Passes over the training split, those before `start` included.
            planned: Epochs that callbacks are told of, where more are to follow; None: `epochs`.
            steps_per_call: Steps in one call of the compiled loop; 0: as many as take a fifth of a second.
            callbacks: Keras' callbacks; the batch callbacks come once a call. Logs hold `loss`, `accuracy`,
                `images_per_second`, `waiting` (share of the time spent waiting for input), and at an epoch's end
                `learning_rate` (the last step's), `gradient_norm/LAYER`, with validation `val_loss` and `val_accuracy`,
                with mixed_float16 `loss_scale` and `skipped_steps`.
            keeper: Saves the run, and what a step that fails can be replayed from.
            start: Where to go on from; None: at the beginning.

        Returns:
            Keras' History: logs by epoch.

        Raises:
            NotFinite: A step's loss or gradients were no numbers.
            InputError: Batches that do not fit the memory, with a size that does; a layer that XLA can't compile.
            PeerLost: Another worker is lost; the run is saved by the lowest that is alive.
        """
        replicas = self.hardware.replicas
        if not isinstance(training, Feed):
            training = datasets.training_feed(training, replicas=replicas)
        if isinstance(validation, tf.data.Dataset):
            validation = datasets.evaluation_feed(validation, replicas=replicas, batch_size=training.batch_size)
        history = keras.callbacks.History()
        planned = planned or epochs
        listeners = keras.callbacks.CallbackList(
            [*callbacks, history], model=self.model, epochs=planned, steps=training.steps_until(planned - 1), verbose=0
        )
        state = self._state = TrainingState(self.model, self.loss_scale, listeners.callbacks, history)
        self.model.stop_training = False
        listeners.on_train_begin()
        if start is not None:
            state.restore(start)
        iterator = iter(self._distributed(training.dataset))
        for epoch in range(state.epoch, epochs):
            if self._stage(epoch) != self._stage(epoch - 1):
                state.meter.start_stage()
            listeners.on_epoch_begin(epoch)
            end = training.steps_until(epoch)
            while state.step < end:
                count = min(steps_per_call or state.meter.steps_within(_SECONDS_A_CALL), end - state.step)
                count = min(count, keeper.steps_left(state.step) or count) if keeper else count
                listeners.on_train_batch_begin(state.step)
                with self._explaining(state, keeper, training):
                    self._call(iterator, count, state)
                if state.meter.sums.skipped and not self.loss_scale:
                    state.take_back_skipped()
                    saved = keeper is not None and keeper.keep_for_replay(state.snapshot())
                    raise NotFinite(state.step, epoch, saved=saved)
                listeners.on_train_batch_end(state.step - 1, state.meter.logs())
                if keeper:
                    keeper.after_call(state.step, state.snapshot)
            with self._explaining(state, keeper, training):
                logs = {**state.logs(), "learning_rate": self._learning_rate()}
                logs |= self._validation_logs(validation) if validation else {}
            listeners.on_epoch_end(epoch, logs)
            state.end_epoch(logs)
            if keeper:
                keeper.after_epoch(state.step, state.snapshot)
            if self.model.stop_training:
                break
        listeners.on_train_end()
        return history

    def find_rate(self, training: Feed, steps: int) -> RangeTest:
        """A range test of the learning rate; it spoils the weights.

        The step must have been built with the factors `rising_rates(steps) / HIGHEST`, and the optimizer with the
        learning rate `HIGHEST`.
        """
        return range_test(self._steps(training), steps)

    def require_fits(self, start: Snapshot, source: str) -> None:
        """Refuses a snapshot of another model or optimizer, layer by layer; `source` is where it comes from."""
        require_same(variables_of(self.model, self.loss_scale), start.arrays, source)

    def snapshot(self) -> Snapshot:
        """Where `fit` has left the training, or where it would begin."""
        return (self._state or TrainingState(self.model, self.loss_scale, (), keras.callbacks.History())).snapshot()

    def take_over(self, snapshot: Snapshot) -> None:
        """Gives model and optimizer what `snapshot` holds of them."""
        assign(variables_of(self.model, self.loss_scale), snapshot.arrays, "the snapshot")

    def settle(self) -> None:
        """Gives the model the weights that are evaluated: their moving averages, where the optimizer keeps them."""
        averages = moving_averages(self.model.optimizer) or []
        for variable, average in zip(self.model.trainable_variables, averages, strict=False):
            variable.assign(average)

    def replay(self, start: Snapshot, parts: Sequence[Batch]) -> Replay:
        """Makes the step after `start` again, uncompiled and without its update; see `replay`.

        Args:
            start: As the keeper saved it for replay; the model takes over what it holds.
            parts: That step's global batch: the batch of each replica in turn.
        """
        assign(variables_of(self.model, self.loss_scale), start.arrays, "the replay")
        if self.hardware.synchronized:  # moments of all replicas together are those of one that has all examples
            parts = [{name: tf.concat([part[name] for part in parts], axis=0) for name in parts[0]}]
        stage = self._stages[self._stage(start.epoch)]
        return replay(
            self.model,
            self._head,
            self._objective,
            parts,
            augment=stage.augmented(self._augment),
            accumulate=self._options.accumulate,
            forward=stage.forward,
        )

    def stopwatch(self, training: Feed) -> Stopwatch:
        """Times the steps of `fit` on a feed of its own."""
        return Stopwatch(self._steps(training), training.batch_size)

    def evaluate(self, feed: Feed | tf.data.Dataset) -> dict[str, np.ndarray]:
        """Evaluates every example once; of a feed, or a dataset of batches (image, label).

        Returns:
            In the split's order: `loss` float32 `[N]` (the penalties included, as Keras has it), `scores` float32
            `[N, K]`, `label` int32 `[N]`, `index` int64 `[N]`.
        """
        if not isinstance(feed, Feed):
            feed = datasets.evaluation_feed(feed, replicas=self.hardware.replicas)
        with self._communicating():
            return self._run_evaluation(iter(self._distributed(feed.dataset)), feed.steps)

    def _steps(self, training: Feed) -> Callable[[int], Result]:
        """Makes so many steps on a feed of its own; nothing is reported or saved."""
        iterator, nothing = iter(self._distributed(training.dataset)), Meter(len(self.model.trainable_variables)).sums

        def make_steps(count: int) -> Result:
            with self._communicating():
                return self._run_steps(iterator, count, nothing)

        return make_steps

    def _call(self, iterator: Any, count: int, state: TrainingState) -> None:
        """Makes steps; one that fails in the middle has made those before."""
        for variable in self._memory[:1]:
            variable.assign(0)
        started = time.perf_counter()
        try:
            with self._communicating():
                result = self._loops[self._stage(state.epoch)](iterator, count, state.meter.sums)
        except tf.errors.OpError:
            if self._memory:
                done, *sums = (variable.numpy() for variable in self._memory)
                if done:
                    state.add(Result(Sums(*sums), int(done), 0.0), 0.0)
            raise
        state.add(result, time.perf_counter() - started)

    @contextlib.contextmanager
    def _explaining(self, state: TrainingState, keeper: Keeper | None, training: Feed) -> Iterator[None]:
        """Where TensorFlow's errors become ones that say what to do; where another worker is lost, the run is saved."""
        peers = self.hardware.heartbeat
        try:
            yield
        except tf.errors.ResourceExhaustedError as error:
            raise self._out_of_memory(error, training, state.epoch) from None
        except tf.errors.OpError as error:
            if peers is not None and (peers.loss or failures.is_lost_peer(error)):
                save = keeper and functools.partial(keeper.save, state.step, state.snapshot)
                raise failures.lost(peers, error, state.step, save) from None
            raise failures.uncompiled(error, [layer.name for layer in all_layers(self.model)]) or error from None

    def _communicating(self) -> contextlib.AbstractContextManager[None]:
        peers = self.hardware.heartbeat
        return peers.communicating() if peers else contextlib.nullcontext()

    def _loop(self, stage: Stage, options: StepOptions) -> Callable[[Any, int, Sums], Result]:
        step = build_training_step(
            self.model,
            self._head,
            self._objective,
            options,
            loss_scale=self.loss_scale,
            augment=stage.augmented(self._augment),
            forward=stage.forward,
        )
        return build_training_loop(
            self.strategy,
            step,
            stop_at_skipped=self.loss_scale is None,
            memory=self._memory,
            agreed=self.hardware.workers > 1,
        )

    def _stage(self, epoch: int) -> int:
        """Which stage an epoch belongs to, both counted from 0."""
        return next(number for number, stage in enumerate(self._stages) if epoch < stage.until)

    def _out_of_memory(self, error: tf.errors.ResourceExhaustedError, training: Feed, epoch: int) -> Exception:
        if self.hardware.workers > 1:  # the others would have to try with us
            return memory.unexplored(error, training.batch_size)
        warnings.warn(f"Out of memory at --batch-size {training.batch_size}: trying what fits", stacklevel=3)
        stage, variables = self._stage(epoch), variables_of(self.model, self.loss_scale)
        before = {name: np.array(variable.numpy()) for name, variable in variables.items()}

        def run(dataset: tf.data.Dataset, accumulate: int) -> None:
            loop = self._loop(self._stages[stage], dataclasses.replace(self._options, accumulate=accumulate))
            try:
                loop(iter(self._distributed(dataset)), 1, Meter(len(self.model.trainable_variables)).sums)
            finally:
                assign(variables, before, "memory")

        return memory.explained(error, training, self.hardware.replicas, self._options.accumulate, run)

    def _learning_rate(self) -> float:
        """Of the last step: the optimizer's own, and the schedule's factor on it."""
        optimizer, factors = self.model.optimizer, self._options.factors
        rate = float(optimizer.learning_rate.numpy())
        if factors is None:
            return rate
        return rate * float(factors[min(max(int(optimizer.iterations.numpy()) - 1, 0), len(factors) - 1)])

    def _validation_logs(self, feed: Feed) -> dict[str, float]:
        result = self.evaluate(feed)
        right = result["scores"].argmax(axis=1) == result["label"]
        return {"val_loss": float(result["loss"].mean(dtype=np.float64)), "val_accuracy": float(right.mean())}

    def _distributed(self, dataset: tf.data.Dataset):
        if dataset.options().autotune.enabled is None:
            # Its thread is not woken when an iterator goes that a compiled loop has drawn from: it sleeps on, for up to
            # a minute, and is waited for. Parallel calls then have all threads, and buffers grow as they are emptied.
            options = tf.data.Options()
            options.autotune.enabled = False
            dataset = dataset.with_options(options)
        # Copied while the step before runs; a strategy of several replicas does it by itself. Nothing may come after.
        (device, *others) = self.hardware.devices
        if device.startswith("GPU") and not others and self.hardware.options.strategy == "single":
            dataset = dataset.apply(tf.data.experimental.prefetch_to_device(f"/{device}", _BATCHES_ON_DEVICE))
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)
