"""Draws a table of `run.py` with logarithmic scales: ``python bench/picture.py bench/results/latest``."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as pyplot
from matplotlib.ticker import FuncFormatter, LogLocator
from run import ENGINES, headline, written

COLOURS = {
    "raio": "#d1495b",
    "ring": "#3b3b3b",
    "pipe": "#6e6e6e",
    "memcpy": "#9a9a9a",
    "pool": "#c8b273",
    "loky": "#8fb996",
    "dask": "#6a9fb5",
    "ray": "#30638e",
}
#: Panels: title, units, and the unit of the axis. Rates are drawn as the time each takes, so that shorter is better.
PANELS = (
    ("Time (shorter is better)", ("s", "/s"), "s"),
    ("Bytes a second (longer is better)", ("B/s",), "B/s"),
    ("Memory and size (shorter is better)", ("B",), "B"),
)
ROW_HEIGHT_INCHES = 0.13
#: What the axis of a panel and the title of the next one take.
FRAME_ROWS = 5.5


def main(base):
    report = json.loads(Path(f"{base}.json").read_text())
    panels = []
    for title, units, axis_unit in PANELS:
        rows = [bars for row in report["rows"].values() if row["unit"] in units and (bars := bars_of(row))]
        if rows:
            panels.append((title, axis_unit, rows))
    # Times fill the left column and what does not fit goes on in the right one, above the rest.
    title, unit, rows = panels[0]
    half = (sum(height(rows) for _, _, rows in panels) + FRAME_ROWS * len(panels)) / 2
    left, taken = [], 0
    while rows and taken < half and len(panels) > 1:
        taken += height(rows[:1])
        left.append(rows.pop(0))
    columns = [[(title, unit, left)], ([(title, unit, rows)] if rows else []) + panels[1:]] if left else [panels]
    draw(report, columns, base)


def height(rows):
    return sum(len(bars) + 1.2 for _, bars in rows)


def bars_of(row):
    """tuple[str, list[tuple]] | None: title, and (engine, length, text) of each bar, raio's first."""
    bars = []
    for engine in ENGINES:
        cell = row["engines"].get(engine, {})
        value = cell.get("median")
        if value:
            bars.append((engine, 1 / value if row["unit"] == "/s" else value, written(value, row["unit"])))
    return (row["title"], bars) if bars else None


def draw(report, columns, base):
    heights = [[height(rows) + FRAME_ROWS for _, _, rows in column] for column in columns]
    inches = max(sum(column) for column in heights) * ROW_HEIGHT_INCHES + 1.9
    width = 9.5 * len(columns)
    figure = pyplot.figure(figsize=(width, inches))
    top = 1 - 1.5 / inches
    outer = figure.add_gridspec(
        1, len(columns), top=top, bottom=0.35 / inches, left=2.6 / width, right=1 - 0.15 / width, wspace=0.42
    )
    drawn = set()
    for position, column in enumerate(columns):
        spare = max(sum(h) for h in heights) - sum(heights[position])
        ratios = heights[position] + ([spare] if spare > 1 else [])
        inner = outer[position].subgridspec(len(ratios), 1, height_ratios=ratios, hspace=0.0)
        for number, (title, unit, rows) in enumerate(column):
            cell = inner[number].subgridspec(2, 1, height_ratios=(heights[position][number] - FRAME_ROWS, FRAME_ROWS), hspace=0)
            panel(figure.add_subplot(cell[0]), title, unit, rows)
            drawn |= {engine for _, bars in rows for engine, _, _ in bars}
    figure.suptitle("raio, the floors and its peers", x=0.012, y=1 - 0.12 / inches, ha="left", va="top", fontsize=15)
    lines = "\n".join(headline(report))
    figure.text(0.012, 1 - 0.45 / inches, lines, ha="left", va="top", fontsize=8, color="#444444", linespacing=1.35)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in ENGINES if name in drawn]
    labels = [title for name, title in ENGINES.items() if name in drawn]
    figure.legend(handles, labels, loc="upper right", ncols=4, frameon=False, fontsize=9, bbox_to_anchor=(0.99, 1 - 0.1 / inches))
    for ending, options in (("png", {"dpi": 110}), ("svg", {"metadata": {"Date": None}})):
        figure.savefig(f"{base}.{ending}", **options)


def panel(axes, title, unit, rows):
    lengths = [length for _, bars in rows for _, length, _ in bars]
    least = min(lengths) / 3
    ticks = []
    place = 0.0
    for name, bars in rows:
        ticks.append((place + (len(bars) - 1) / 2, name))
        for engine, length, text in bars:
            axes.barh(place, length - least, left=least, height=0.86, color=COLOURS[engine], linewidth=0)
            weight = "bold" if engine == "raio" else "normal"
            axes.text(length * 1.12, place, text, va="center", ha="left", fontsize=6.2, weight=weight, color="#333333")
            place += 1
        place += 1.2
    axes.set_xscale("log")
    axes.set_xlim(least, max(lengths) * (max(lengths) / least) ** 0.13)
    axes.set_ylim(place - 1.2 + 0.3, -0.9)
    axes.set_yticks([tick for tick, _ in ticks], [wrapped(name) for _, name in ticks], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, top=True, labeltop=False)
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value * 1.0000001, unit)))
    axes.xaxis.set_minor_locator(LogLocator(base=10, subs=(), numticks=20))
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=9.5, pad=4)


def wrapped(name):
    import textwrap

    return "\n".join(textwrap.wrap(name, 40))


if __name__ == "__main__":
    main(sys.argv[1])
