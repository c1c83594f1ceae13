"""Pictures for reports: matplotlib's figures as SVG that is read on light and on dark ground."""

import io
from typing import TYPE_CHECKING, Any

from base.page import data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#8a8f94"


def axes(width: float = 5.2, height: float = 2.9, **arguments: Any) -> "Axes":
    """The axes of a new figure, on no ground of their own; `arguments`: of `Figure.add_subplot`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    made = figure.add_subplot(**arguments)
    made.patch.set_alpha(0)
    made.tick_params(colors=GREY)
    made.xaxis.label.set_color(GREY)
    made.yaxis.label.set_color(GREY)
    made.grid(alpha=0.3)
    for spine in made.spines.values():
        spine.set_color(GREY)
    return made


def legend(of: "Axes", **arguments: Any) -> None:
    """Names its curves; a "$" in a name is a "$"."""
    for text in of.legend(labelcolor=GREY, framealpha=0, fontsize=8, **arguments).get_texts():
        text.set_parse_math(False)


def svg_uri(figure: "Figure") -> str:
    """The figure as a data URI; same curves, same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.BytesIO()
    # Names in the picture are hashed with a salt, and it bears no date.
    with matplotlib.rc_context({"svg.hashsalt": "millrace", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    return data_uri(content.getvalue(), "image/svg+xml")
