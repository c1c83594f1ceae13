"""What TensorFlow says of a file or an image, in one line and without the names of its graph."""

import re

_GRAPH = re.compile(r"\{\{.*?\}\} ?|\[Op:.*|\[\[.*")


def reason_of(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters."""
    text = getattr(error, "message", None) or str(error)
    return " ".join(_GRAPH.sub("", text.strip().partition("\n")[0]).split())[:200]
