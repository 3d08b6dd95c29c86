"""Painters -> plots as inline SVG, drawn with matplotlib; colours are CSS variables, so a page's dark mode reaches them."""

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from deploykit.base import Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 4.8

# matplotlib knows no CSS variables: it draws in these colours, and they are replaced in the SVG.
INK, SOFT, GRID, FIRST, SECOND, LIMIT = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f", "#101112"
_VARIABLES = {
    INK: "var(--ink)", SOFT: "var(--soft)", GRID: "var(--grid)",
    FIRST: "var(--first)", SECOND: "var(--second)", LIMIT: "var(--limit)",
}  # fmt: skip


class Plot(Value):
    """One plot, as an SVG element that can stand in a page."""

    name: str
    title: str
    says: str
    """A line for the caption."""
    svg: str


def draw(
    name: str, title: str, says: str, *, height: float, paint: Callable[["Figure"], None], reads: str = ""
) -> Plot:
    """Draw one plot; `reads` is what a screen reader says instead of the caption's line."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": f"deploykit {name}",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": GRID,
            "xtick.color": GRID,
            "ytick.color": GRID,
            "xtick.labelcolor": SOFT,
            "ytick.labelcolor": SOFT,
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "lines.linewidth": 1.6,
            "lines.solid_joinstyle": "round",
            "axes.unicode_minus": False,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "xtick.minor.size": 0,
            "figure.dpi": 72,
            "path.simplify": False,
            "text.parse_math": False,
        }
    ):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(name=name, title=title, says=says, svg=_inline(text.getvalue(), name, title, reads or says))


def _inline(svg: str, name: str, title: str, says: str) -> str:
    """Make a file of matplotlib's an element of a page: named for a screen reader, sized by CSS, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|xlink:href="#|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font-size: \1", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} '
        f'role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(says)}</desc>'
    )
    return head + svg[svg.index(">") + 1 :].strip()
