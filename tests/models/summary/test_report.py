import keras

from models.summary.report import model_report


def test_a_layer_that_is_called_twice_computes_twice_and_weighs_once():
    shared = keras.layers.Dense(4, name="shared")
    image = keras.Input((2, 2, 4))
    frozen = keras.layers.BatchNormalization(trainable=False)(shared(shared(image)))
    model = keras.Model(image, keras.layers.Dropout(0.5)(frozen))
    report = model_report(model, (2, 2, 4), optimizer=keras.optimizers.SGD(), batch_size=1)
    first, second, norm, drop = report["layers"]
    assert (first["trainable"], second["trainable"]) == (20, 0)
    assert first["multiply_adds"] == second["multiply_adds"] == 64
    assert report["multiply_adds"] == 128
    assert (norm["trainable"], norm["frozen"]) == (0, 16)
    assert (drop["trainable"], drop["frozen"]) == (0, 0)  # its seed is no parameter
    assert report["parameters"] == {"trainable": 20, "frozen": 16, "total": 36}
