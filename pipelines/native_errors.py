"""What TensorFlow says of a file or an image, in one line and without the names of its graph."""

import re

_GRAPH = re.compile(r"\{\{.*?\}\} ?|\[Op:.*|\[\[.*")


def reason_of(error: Exception, most: int = 200) -> str:
    """The first line of an error's message, at most so many characters."""
    text = getattr(error, "message", None) or str(error)
    return " ".join(_GRAPH.sub("", text.strip().partition("\n")[0]).split())[:most]
