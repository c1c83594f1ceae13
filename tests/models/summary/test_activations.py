import keras
import numpy as np
import pytest
from PIL import Image

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.summary.activations import draw_filters, draw_maps, ends_of_blocks, feature_maps, first_filters
from models.summary.calls import calls_of

L = keras.layers


def test_blocks_end_where_their_names_end_and_without_names_where_maps_shrink():
    cnn = build_cnn(CNNOptions(blocks=2, filters=2, dropout=0.1), (16, 16, 3), Head("softmax", "cross_entropy", 3))
    assert ends_of_blocks(calls_of(cnn, (16, 16, 3))) == ["block_1_dropout", "block_2_dropout"]
    layers = [L.Conv2D(2, 3, padding="same", name="a"), L.ReLU(name="b"), L.MaxPooling2D(name="c"), L.ReLU(name="d")]
    plain = keras.Sequential([keras.Input((16, 16, 3)), *layers, L.GlobalMaxPooling2D()])
    assert ends_of_blocks(calls_of(plain, (16, 16, 3))) == ["b", "d"]


def test_feature_maps_are_what_the_layer_gives_in_inference():
    inner = keras.Sequential([keras.Input((6, 6, 1)), L.Dropout(0.9), L.MaxPooling2D(2, name="pool")], name="inner")
    model = keras.Sequential([keras.Input((6, 6, 1)), L.Rescaling(2.0), inner, L.Flatten()])
    image = np.arange(36, dtype=np.uint8).reshape(6, 6, 1)
    found = feature_maps(model, image, ["inner/pool"])
    assert list(found) == ["inner/pool"]
    np.testing.assert_array_equal(found["inner/pool"][:, :, 0], 2 * image[1::2, 1::2, 0])


def cells(path, columns, rows):
    """The middle pixel of each cell of a grid of pictures, below the title."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    filled = np.flatnonzero((image != 255).any(axis=2).sum(axis=1) > image.shape[1] / 2)
    top, bottom = filled[0], filled[-1] + 1
    ys = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    xs = (np.arange(columns) + 0.5) * image.shape[1] / columns
    return image[np.ix_(ys.astype(int), xs.astype(int))]


def test_filters_of_colours_are_shown_in_their_colours_and_nothing_is_grey(tmp_path):
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    for colour in range(3):
        kernel[:, :, colour, colour] = 0.1 if colour == 2 else 0.2
    draw_filters(tmp_path / "f.png", kernel, "filters")
    red, green, blue, none = cells(tmp_path / "f.png", 2, 2).reshape(4, 3)
    for place, seen in enumerate((red, green, blue)):
        assert all(abs(seen[other] - 128) < 2 for other in {0, 1, 2} - {place})
    assert red[0] == green[1] == 255 and abs(blue[2] - 191) < 2  # half as strong
    assert (abs(none - 128) < 2).all()


def test_each_map_is_shown_in_its_own_range(tmp_path):
    maps = np.zeros((9, 9, 4), np.float32)
    maps[3:6, 3:6, 0], maps[3:6, 3:6, 1] = 1, 1000
    draw_maps(tmp_path / "m.png", maps, "maps")
    shown = cells(tmp_path / "m.png", 2, 2).reshape(4, 3)
    assert (shown[0] == shown[1]).all() and (shown[0] == (253, 231, 36)).all()  # viridis, its end
    assert (shown[2] == shown[3]).all() and shown[2].sum() < 300
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.png"]


@pytest.mark.parametrize("layers", [[L.Conv2D(2, 3, name="conv"), L.Flatten()], [L.Flatten()]])
def test_the_first_convolutions_filters_are_found_or_there_are_none(layers):
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Dense(2)])
    found = first_filters(calls_of(model, (8, 8, 3)))
    if len(layers) == 1:
        assert found is None
    else:
        assert found[0] == "conv"
        np.testing.assert_array_equal(found[1], layers[0].get_weights()[0])
