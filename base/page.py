"""The HTML page of every report: one file that needs no other, runs no script and loads nothing.

A report is a template that extends `page.html.jinja`, which holds the one stylesheet, and fills its blocks. Whatever
a template inserts is escaped: class names and paths are anybody's text.
"""

import base64
import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent


def render(template: Path, **values: object) -> str:
    """A page, the same for the same values.

    Args:
        template: A Jinja2 template that extends `page.html.jinja`; it fills the blocks `title`, `subtitle` and
            `content`, and may import the macros of `parts.html.jinja`.
        **values: What the template names; text is escaped where it is inserted.

    Raises:
        jinja2.UndefinedError: The template names what `values` does not hold.

    Example:
        >>> page = render(Path("health.html.jinja"), health=health)  # doctest: +SKIP
    """
    return _environment(template.parent).get_template(template.name).render(**values)


def data_uri(content: bytes, media_type: str) -> str:
    """An image or another file as a URI that holds it, for `<img src>`."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@functools.cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": _number, "share": _share}
    return environment


def _number(value: float) -> str:
    """1234 -> 1,234; 0.12345 -> 0.123."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _share(part: float, whole: float) -> str:
    """1, 8 -> 12.5 %."""
    return f"{100 * part / whole:.1f} %" if whole else ""
