"""The loop: steps, evaluation, callbacks, epoch after epoch."""

import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from models.heads import Head
from models.training.feed import Feed
from models.training.hardware import Hardware
from models.training.keras_internals import build_metrics
from models.training.loop import build_evaluation_loop, build_training_loop
from models.training.loss_scale import LossScale
from models.training.meter import Meter
from models.training.saving import compile_with
from models.training.step import Batch, build_evaluation_step, build_training_step
from models.training.stopwatch import Stopwatch

_SECONDS_A_CALL = 0.2
_BATCHES_ON_DEVICE = 2


class Trainer:
    """Trains and evaluates one compiled model on one hardware; Keras' callbacks work.

    Args:
        model: From pixels to outputs, made under the strategy's scope; see `compile_model`.
        head: The model's head.
        hardware: What it runs on.
        augment: Of training batches, in the compiled step: a pure function from a batch to a batch.
    """

    def __init__(
        self,
        model: keras.Model,
        head: Head,
        hardware: Hardware,
        augment: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.model = model
        self.hardware = hardware
        self.strategy = hardware.strategy
        with self.strategy.scope():
            self.loss_scale = LossScale() if hardware.precision == "mixed_float16" else None
        step = build_training_step(model, head, xla=hardware.xla, loss_scale=self.loss_scale, augment=augment)
        self._run_steps = build_training_loop(self.strategy, step)
        self._run_evaluation = build_evaluation_loop(self.strategy, build_evaluation_step(model, head))

    def fit(
        self,
        training: Feed,
        validation: Feed | None = None,
        *,
        epochs: int,
        steps_per_call: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> keras.callbacks.History:
        """Trains, evaluating on `validation` after each epoch.

        Args:
            training: An endless feed.
            validation: A feed of every example once, or None.
            epochs: Passes over the training split.
            steps_per_call: Steps in one call of the compiled loop; 0: as many as take a fifth of a second.
            callbacks: Keras' callbacks; the batch callbacks come once a call. Logs hold `loss`, `accuracy`,
                `learning_rate`, `images_per_second`, `waiting` (share of the time spent waiting for input), with
                validation `val_loss` and `val_accuracy`, and with mixed_float16 `loss_scale` and `skipped_steps`.

        Returns:
            Keras' History: logs by epoch.
        """
        history = keras.callbacks.History()
        steps = training.steps_until(epochs - 1)
        listeners = keras.callbacks.CallbackList(
            [*callbacks, history], model=self.model, epochs=epochs, steps=steps, verbose=0
        )
        iterator = iter(self._distributed(training.dataset))
        meter = Meter()
        step = 0
        self.model.stop_training = False
        listeners.on_train_begin()
        for epoch in range(epochs):
            listeners.on_epoch_begin(epoch)
            meter.start_epoch()
            end = training.steps_until(epoch)
            while step < end:
                count = min(steps_per_call or meter.steps_within(_SECONDS_A_CALL), end - step)
                listeners.on_train_batch_begin(step)
                started = time.perf_counter()
                sums, waited = self._run_steps(iterator, count)
                meter.add(count, sums, waited, time.perf_counter() - started)
                step += count
                listeners.on_train_batch_end(step - 1, meter.logs())
            logs = {**meter.logs(), "learning_rate": float(self.model.optimizer.learning_rate.numpy())}
            if self.loss_scale:
                logs |= {"loss_scale": float(self.loss_scale.scale.numpy()), "skipped_steps": meter.skipped}
            if validation:
                logs |= self._validation_logs(validation)
            listeners.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        listeners.on_train_end(logs)
        return history

    def stopwatch(self, training: Feed) -> Stopwatch:
        """Times the steps of `fit` on a feed of its own."""
        return Stopwatch(self._run_steps, iter(self._distributed(training.dataset)), training.batch_size)

    def evaluate(self, feed: Feed) -> dict[str, np.ndarray]:
        """Evaluates every example once.

        Returns:
            In the split's order: `loss` float32 `[N]` (the penalties included, as Keras has it), `scores` float32
            `[N, K]`, `label` int32 `[N]`, `index` int64 `[N]`.
        """
        return self._run_evaluation(iter(self._distributed(feed.dataset)), feed.steps)

    def _validation_logs(self, feed: Feed) -> dict[str, float]:
        result = self.evaluate(feed)
        right = result["scores"].argmax(axis=1) == result["label"]
        return {"val_loss": float(result["loss"].mean(dtype=np.float64)), "val_accuracy": float(right.mean())}

    def _distributed(self, dataset: tf.data.Dataset):
        # Copied while the step before runs; a strategy of several replicas does it by itself.
        (device, *others) = self.hardware.devices
        if device.startswith("GPU") and not others and self.hardware.options.strategy == "single":
            dataset = dataset.apply(tf.data.experimental.prefetch_to_device(f"/{device}", _BATCHES_ON_DEVICE))
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)


def compile_model(model: keras.Model, head: Head, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles and builds a model with its real optimizer, loss and metrics, so that callbacks find them.

    Call it under the strategy's scope.
    """
    compile_with(model, head, optimizer)
    optimizer.build(model.trainable_variables)
    label = tf.zeros([1], tf.int32)
    build_metrics(model, head.targets(label), tf.zeros([1, head.units], model.output.dtype))
