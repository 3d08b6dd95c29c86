"""A ranking of machines -> a page of its own with one plot: speed for each user against output of each GPU, predicted."""

import html
import io

from deploykit.planning.search import Option, Ranking, frontier

_CAPTION = (
    "Predicted, not measured. Each line is one layout from one request up; the thick line is the frontier that no other "
    "layout beats in both."
)


def pareto_svg(ranking: Ranking) -> str:
    """Draw the planner's layout of each machine and the frontier over all layouts, as one SVG; same ranking, same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deploykit pareto", "font.size": 9}):
        figure = Figure(figsize=(7.5, 5.0), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for option in _shown(ranking):
            axes.plot(
                [point.tokens_per_s_per_user for point in option.curve],
                [point.output_tokens_per_s_per_gpu for point in option.curve],
                marker="o",
                markersize=3,
                linewidth=1.2,
                label=label(option),
            )
        best = [point for _option, point in frontier(ranking.options)]
        axes.plot(
            [point.tokens_per_s_per_user for point in best],
            [point.output_tokens_per_s_per_gpu for point in best],
            color="black",
            linewidth=2.5,
            alpha=0.35,
            label="frontier of all layouts",
            zorder=0,
        )
        axes.set_xlabel("output tokens/s for each user (1 / TPOT)")
        axes.set_ylabel("output tokens/s for each GPU")
        axes.set_title(f"{ranking.model}, workload {ranking.workload}: predicted", fontsize=10)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, linewidth=0.4)
        axes.legend(fontsize=8, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def pareto_html(ranking: Ranking) -> str:
    """Return a page that holds the plot and says what it is; it loads nothing from anywhere."""
    svg = pareto_svg(ranking)
    drawing = svg[svg.index("<svg") :]
    title = html.escape(f"{ranking.model} on every machine: predicted")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;"
        "color:#111;background:#fff}svg{max-width:100%;height:auto}</style></head>"
        f"<body><h1>{title}</h1><p>{html.escape(_CAPTION)}</p>{drawing}</body></html>\n"
    )


def label(option: Option) -> str:
    """Return what a line is called."""
    several = f"{option.nodes} x " if option.nodes > 1 else ""
    return f"{several}{option.node}, {option.layout}"


def _shown(ranking: Ranking) -> tuple[Option, ...]:
    """Return the planner's own layout of each machine, and the best of all, where they have a curve."""
    best = next((o for o in ranking.options if o.curve), None)
    return tuple(o for o in ranking.options if o.curve and (o.planners or o is best))
