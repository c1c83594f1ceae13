"""The 1,000 classes that published networks were trained to tell apart. Free of TensorFlow."""

from pathlib import Path

_FILE = Path(__file__).with_name("imagenet_classes.txt")  # it names its sources


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's classes in the order of the networks' outputs, as Keras writes them; all differ.

    Example:
        >>> imagenet_classes()[207]
        'golden_retriever'
    """
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line.split()[1] for line in lines if not line.startswith("#"))
