"""The peer of `trials_per_hour.py`: the same search by KerasTuner's own `search()`, in one process, as users write it.

keras_tuner_search.py SETTINGS.json FOLDER: the settings of `trials_per_hour.py`; the results go to FOLDER/results.json.
"""

import json
import sys
from pathlib import Path

import keras
import keras_tuner
import numpy as np

SETTINGS = json.loads(Path(sys.argv[1]).read_text())
FIXED = SETTINGS["fixed"]
PARAMETERS: dict[tuple, int] = {}  # values -> those of the model


def main() -> None:
    """Searches, prints the ranking, and writes it."""
    folder = Path(sys.argv[2])
    keras.utils.set_random_seed(0)
    with np.load(SETTINGS["arrays"]) as arrays:
        training, validation = ((arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "validation"))
    tuner = keras_tuner.GridSearch(build, "val_loss", max_trials=SETTINGS["trials"], directory=folder, seed=0)
    how = {"epochs": FIXED["epochs"], "verbose": 0}
    if SETTINGS["input"] == "arrays":
        tuner.search(*training, batch_size=FIXED["batch_size"], validation_data=validation, **how)
    else:
        tuner.search(batches(training, shuffled=True), validation_data=batches(validation, shuffled=False), **how)
    tuner.results_summary(SETTINGS["trials"])
    results = [
        {
            "values": (values := {name: trial.hyperparameters.values[name] for name in SETTINGS["searched"]}),
            "parameters": PARAMETERS[tuple(values.values())],
            "val_loss": trial.score,
            "val_accuracy": trial.metrics.get_last_value("val_accuracy"),
        }
        for trial in tuner.oracle.trials.values()
    ]
    (folder / "results.json").write_text(json.dumps(results))


def build(hyperparameters: keras_tuner.HyperParameters) -> keras.Model:
    """The network of `models/cnn.py`, in plain Keras."""
    values = {name: hyperparameters.Choice(name, choices) for name, choices in SETTINGS["searched"].items()}
    image = keras.Input(SETTINGS["shape"])
    x = keras.layers.Rescaling(1 / 255)(image)
    common = {"use_bias": not FIXED["batch_norm"], "kernel_initializer": "he_normal"}
    for block in range(values["blocks"]):
        x = keras.layers.Conv2D(values["filters"] * 2**block, 3, padding="same", **common)(x)
        x = keras.layers.MaxPooling2D(2)(activated(x))
    x = keras.layers.Flatten()(x)
    for _ in range(values["dense_layers"]):
        x = activated(keras.layers.Dense(FIXED["dense_units"], **common)(x))
    x = keras.layers.Dense(SETTINGS["classes"], activation="softmax")(x)
    model = keras.Model(image, x)
    PARAMETERS[tuple(values.values())] = model.count_params()
    optimizer = keras.optimizers.Adam(FIXED["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def activated(x: keras.KerasTensor) -> keras.KerasTensor:
    """ReLU, after batch normalisation where that is asked for."""
    if FIXED["batch_norm"]:
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.layers.ReLU()(x)


def batches(split: tuple[np.ndarray, np.ndarray], *, shuffled: bool) -> object:
    """A split as a `tf.data` pipeline."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(split)
    dataset = dataset.shuffle(len(split[0])) if shuffled else dataset
    return dataset.batch(FIXED["batch_size"]).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main()
