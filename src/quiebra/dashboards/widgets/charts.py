"""Charts as plain Plotly specifications (dictionaries) from given figures and texts; nothing is computed or drawn here.

A colour that starts with ``$`` is one of the page's (``$blue``), so that a chart follows light and dark mode. ``alt`` is the
chart's text for screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from quiebra.dashboards.widgets.theme import grade_colours
from quiebra.text.words import Words, wrap_label

Spec = dict[str, Any]
PERCENT = {"tickformat": ".2~%"}
LOG = {"type": "log", "tickformat": ".3~%"}
YEARS = {"dtick": 1, "tickformat": "d"}


def _labels(names: Sequence[str]) -> list[str]:
    """Return names wrapped to the lines they need beside a chart."""
    return [wrap_label(name, 30) for name in names]


def _height(labels: Sequence[str]) -> int:
    """Return the height in pixels that a chart needs for its labels."""
    return 60 + sum(max(22, 6 + 15 * (1 + label.count("\n"))) for label in labels)


def pd_over_time(years: pl.DataFrame, words: Words) -> Spec:
    """Return mean PD by fiscal year with its interval, median PD, the middle 80 % of companies as a band, and the observed rate
    where known."""
    mean = years["mean_pd"]
    bars = {"array": (years["mean_high"] - mean).to_list(), "arrayminus": (mean - years["mean_low"]).to_list()}
    x = years["fiscal_year"].to_list()
    known = years.drop_nulls("observed")
    hover = "%{x}: %{y:.2%}<extra>%{fullData.name}</extra>"
    data = [
        _line(x, years["high_pd"], "", "rgba(0,0,0,0)", hoverinfo="skip", showlegend=False),
        _line(
            x,
            years["low_pd"],
            words("middle 80 % of companies"),
            "rgba(0,0,0,0)",
            fill="tonexty",
            fillcolor="$band",
            hoverinfo="skip",
        ),
        _line(
            x,
            years["mean_pd"],
            words("mean PD, with its interval"),
            "$blue",
            mode="lines+markers",
            hovertemplate=hover,
            error_y={**bars, "type": "data", "color": "$blue", "thickness": 1.2, "width": 4},
        ),
        _line(x, years["median_pd"], words("median PD"), "$teal", dash="dash", hovertemplate=hover),
        {
            "x": known["fiscal_year"].to_list(),
            "y": known["observed"].to_list(),
            "name": words("observed failures"),
            "mode": "markers",
            "type": "scatter",
            "marker": {"symbol": "diamond", "size": 9, "color": "$wine"},
            "hovertemplate": hover,
        },
    ]
    layout = {"xaxis": YEARS, "yaxis": {**PERCENT, "rangemode": "tozero"}, "showlegend": True, "hovermode": "x"}
    last = years.tail(1).to_dicts()[0]
    alt = words("Mean PD by year; {year}: {pd}", year=last["fiscal_year"], pd=words.percent(last["mean_pd"]))
    return {"data": data, "layout": layout, "alt": alt}


def _line(x: Sequence[Any], y: pl.Series, name: str, colour: str, dash: str = "solid", **more: Any) -> Spec:
    base = {"x": list(x), "y": y.to_list(), "name": name, "type": "scatter", "mode": "lines"}
    return {**base, "line": {"color": colour, "width": 2.2 if dash == "solid" else 1.8, "dash": dash}, **more}


def grade_bars(counts: dict[str, dict[str, int]], words: Words) -> Spec:
    """Return the share of companies by grade; counts: name (such as *a year ago*, *now*) → grade → companies. The last is in full
    colour."""
    data = []
    for place, (name, grades) in enumerate(counts.items()):
        total = sum(grades.values()) or 1
        now = place == len(counts) - 1
        data.append(
            {
                "type": "bar",
                "x": list(grades),
                "y": [n / total for n in grades.values()],
                "name": name,
                "customdata": list(grades.values()),
                "marker": {"color": list(grade_colours(list(grades)).values()) if now else "$fog"},
                "hovertemplate": "%{x}: %{y:.1%} (%{customdata})<extra>" + name + "</extra>",
            }
        )
    alt = words("Companies by grade: {list}", list=", ".join(f"{g} {n}" for g, n in grades.items()))
    return {
        "data": data,
        "layout": {"yaxis": {"tickformat": ".0%"}, "showlegend": True, "barmode": "group", "xaxis": {"type": "category"}},
        "alt": alt,
    }


def migration_map(moves: pl.DataFrame, gone: str, words: Words) -> Spec:
    """Return a heat map of rating migration, as shares of each row; moves: see `quiebra.risk.migration`; gone: label of companies
    that left, empty without such a column."""
    grades = moves["from"].to_list()
    ends = [*grades, gone] if gone else grades
    counts = moves.drop("from").to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    text = [[f"{s:.0%}" if n else "" for s, n in zip(a, b, strict=True)] for a, b in zip(shares, counts, strict=True)]
    heat = {
        "type": "heatmap",
        "x": ends,
        "y": grades,
        "z": [[None if np.isnan(v) else float(v) for v in r] for r in shares],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "$paper"], [0.02, "$band"], [1, "$blue"]],
        "showscale": False,
        "text": text,
        "texttemplate": "%{text}",
        "customdata": counts.tolist(),
        "hovertemplate": "%{y} → %{x}: %{z:.1%} (%{customdata})<extra></extra>",
        "xgap": 2,
        "ygap": 2,
    }
    kept = float(np.trace(counts[:, : len(grades)]) / max(1, counts.sum()))
    layout = {"xaxis": {"type": "category", "side": "top"}, "yaxis": {"type": "category", "autorange": "reversed"}}
    return {"data": [heat], "layout": layout, "alt": words("{share} of companies kept their grade", share=words.percent(kept, 0))}


def group_bars(table: pl.DataFrame, by: str, words: Words) -> Spec:
    """Return bars of mean PD by group, the riskiest on top; table: ``by``, companies, mean_pd and watch_share."""
    rows = table.sort("mean_pd")
    notes = [
        words.count("{n} company, {share} on watch", "{n} companies, {share} on watch", n=n, share=words.percent(w, 0))
        for n, w in rows.select("companies", "watch_share").iter_rows()
    ]
    labels = _labels(rows[by].to_list())
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": labels,
        "x": rows["mean_pd"].to_list(),
        "marker": {"color": "$blue"},
        "text": [words.percent(v) for v in rows["mean_pd"]],
        "textposition": "auto",
        "customdata": notes,
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.2%}<br>%{customdata}<extra></extra>",
    }
    top = rows.tail(1).to_dicts()
    alt = words("Mean PD by group; highest: {name}", name=top[0][by]) if top else ""
    layout = {"xaxis": PERCENT, "yaxis": {"type": "category"}}
    return {"data": [bar], "layout": layout, "alt": alt, "height": _height(labels)}


def treemap(table: pl.DataFrame, by: str, words: Words) -> Spec:
    """Return groups as areas proportional to companies, coloured by mean PD; table: as in `group_bars`."""
    shown = {
        "type": "treemap",
        "labels": _labels(table[by].to_list()),
        "parents": [""] * table.height,
        "values": table["companies"].to_list(),
        "customdata": table["mean_pd"].to_list(),
        "texttemplate": "<b>%{label}</b><br>%{customdata:.2%}",
        "hovertemplate": "%{label}: %{value}, %{customdata:.2%}<extra></extra>",
        "tiling": {"pad": 0},
        "root": {"color": "$paper"},
        "pathbar": {"visible": False},
        "marker": {
            "pad": dict.fromkeys("tlrb", 0),
            "line": {"width": 3, "color": "$paper"},
            "colors": table["mean_pd"].to_list(),
            "colorscale": [[0, "#2a8c82"], [0.5, "#e8c26a"], [1, "#c8632e"]],
        },
    }
    return {"data": [shown], "layout": {}, "alt": words("Companies and mean PD by group")}


def term_structure(pds: Sequence[float], lows: Sequence[float], highs: Sequence[float], words: Words) -> Spec:
    """Return the cumulative PD over one to five years with its interval."""
    x = [words("{n} y", n=year) for year in range(1, len(pds) + 1)]
    errors = {
        "array": [h - p for p, h in zip(pds, highs, strict=True)],
        "arrayminus": [p - low for p, low in zip(pds, lows, strict=True)],
    }
    points = {
        "type": "scatter",
        "x": x,
        "y": list(pds),
        "mode": "lines+markers",
        "line": {"color": "$blue", "width": 2.4},
        "marker": {"size": 8},
        "error_y": {"type": "data", "symmetric": False, "color": "$grey", "thickness": 1.4, "width": 5, **errors},
        "customdata": [[low, high] for low, high in zip(lows, highs, strict=True)],
        "hovertemplate": "%{x}: %{y:.2%} (%{customdata[0]:.2%} – %{customdata[1]:.2%})<extra></extra>",
    }
    layout = {"yaxis": {**PERCENT, "rangemode": "tozero"}, "xaxis": {"type": "category"}}
    alt = words.count("PD over {n} year: {pd}", "PD over {n} years: {pd}", n=len(pds), pd=words.percent(pds[-1]))
    return {"data": [points], "layout": layout, "alt": alt}


def waterfall(base: float, steps: list[tuple[str, float]], words: Words) -> Spec:
    """Return the effects that lead from the base to the score, in log-odds; steps: label and effect, in the order shown."""
    names = [words("typical"), *(name for name, _ in steps), words("score")]
    values = [base, *(effect for _, effect in steps), 0]
    bars = {
        "type": "waterfall",
        "orientation": "h",
        "y": names,
        "x": values,
        "measure": ["absolute", *["relative"] * len(steps), "total"],
        "increasing": {"marker": {"color": "$rust"}},
        "decreasing": {"marker": {"color": "$teal"}},
        "totals": {"marker": {"color": "$blue"}},
        "text": [words.signed(v) for v in (*values[:-1], base + sum(e for _, e in steps))],
        "cliponaxis": False,
        "textposition": ["auto", *["outside"] * len(steps), "auto"],
        "connector": {"line": {"color": "$grey", "width": 1}},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    layout = {
        "yaxis": {"autorange": "reversed", "type": "category"},
        "xaxis": {"title": {"text": words("log-odds of failure")}, "zeroline": False},
    }
    return {
        "data": [bars],
        "layout": layout,
        "alt": words("Effects: {list}", list="; ".join(f"{n} {words.signed(e)}" for n, e in steps)),
    }


def company_history(years: pl.DataFrame, words: Words) -> Spec:
    """Return one company's PD by fiscal year with its interval, on a logarithmic scale; years: fiscal_year, pd_12m …, rating."""
    x = years["fiscal_year"].to_list()
    data = [
        _line(x, years["pd_12m_high"], "", "rgba(0,0,0,0)", hoverinfo="skip"),
        _line(x, years["pd_12m_low"], "", "rgba(0,0,0,0)", fill="tonexty", fillcolor="$band", hoverinfo="skip"),
        _line(
            x,
            years["pd_12m"],
            "PD",
            "$blue",
            mode="lines+markers+text",
            text=years["rating"].to_list(),
            textposition="top center",
            hovertemplate="%{x}: %{y:.2%} (%{text})<extra></extra>",
        ),
    ]
    return {
        "data": data,
        "layout": {"yaxis": {**PERCENT, "type": "log", "dtick": "D2"}, "xaxis": YEARS},
        "alt": words("The company's PD by year"),
    }


def peers(pds: np.ndarray, own: float, words: Words) -> Spec:
    """Return the distribution of the peers' PDs on a logarithmic scale, with the company's own PD."""
    logs = np.log10(np.clip(pds, 1e-5, 1))
    counts, edges = np.histogram(logs, bins=24, range=(-5, 0))
    centres = 10 ** ((edges[:-1] + edges[1:]) / 2)
    bars = {
        "type": "bar",
        "x": centres.tolist(),
        "y": counts.tolist(),
        "width": (10 ** edges[1:] - 10 ** edges[:-1]).tolist(),
        "marker": {"color": "$fog"},
        "hovertemplate": "%{x:.2%}: %{y}<extra></extra>",
    }
    line = {"type": "line", "x0": own, "x1": own, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": "$wine", "width": 2.5}}
    layout = {"xaxis": {**LOG, "dtick": 1}, "shapes": [line], "bargap": 0}
    below = float(np.mean(pds < own))
    return {"data": [bars], "layout": layout, "alt": words("{share} of peers have a lower PD", share=words.percent(below, 0))}


def tornado(rows: list[tuple[str, float, float, float]], words: Words) -> Spec:
    """Return a tornado chart of levers; rows: label, PD with the lever lowered, PD now, PD with the lever raised, widest range
    first."""
    data, labels = [], _labels([row[0] for row in rows])
    now = [row[2] for row in rows]
    ends = (([row[1] for row in rows], words("lower"), "$fog"), ([row[3] for row in rows], words("higher"), "$blue"))
    for pds, name, colour in ends:
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "y": labels,
                "x": [pd - was for pd, was in zip(pds, now, strict=True)],
                "base": now,
                "name": name,
                "marker": {"color": colour},
                "customdata": pds,
                "hovertemplate": "%{y}, " + name + ": %{customdata:.2%}<extra></extra>",
            }
        )
    layout = {"barmode": "overlay", "xaxis": PERCENT, "yaxis": {"autorange": "reversed", "type": "category"}, "showlegend": True}
    alt = words("The PD moves most with: {name}", name=rows[0][0]) if rows else words("Nothing moves the PD")
    return {"data": data, "layout": layout, "alt": alt}


def histogram(values: np.ndarray, words: Words, *, title: str, log: bool = True) -> Spec:
    """Return a histogram of companies by PD or by loss."""
    floor = 1e-5 if log else 0.0
    shown = np.log10(np.clip(values, floor, None)) if log else values
    counts, edges = np.histogram(shown, bins=28)
    if log:
        edges = 10.0**edges
    bars = {
        "type": "bar",
        "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "y": counts.tolist(),
        "width": np.diff(edges).tolist(),
        "marker": {"color": "$blue"},
        "hovertemplate": "%{x:.3~g}: %{y}<extra></extra>",
    }
    axis: Spec = {"title": {"text": title}}
    axis |= {**LOG, "dtick": 1} if log else {}
    return {"data": [bars], "layout": {"xaxis": axis, "bargap": 0.02}, "alt": words("Distribution: {title}", title=title)}


def contribution_bars(names: list[str], values: list[float], words: Words, title: str, share: bool = False) -> Spec:
    """Return bars of amounts, or of shares, in the order of ``names`` from the top."""
    labels = _labels(names)
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": labels[::-1],
        "x": values[::-1],
        "marker": {"color": "$blue"},
        "hovertemplate": "%{y}: %{x:.2%}<extra></extra>" if share else "%{y}: %{x:.4~g}<extra></extra>",
    }
    layout = {"yaxis": {"type": "category"}, "xaxis": {**(PERCENT if share else {}), "title": {"text": title}}}
    return {
        "data": [bars],
        "layout": layout,
        "alt": words("{title}; largest: {name}", title=title, name=names[0]) if names else title,
        "height": _height(labels),
    }


def loss_curve(quantiles: dict[str, float], expected: float, words: Words) -> Spec:
    """Return a year's loss against its exceedance probability."""
    x = [words("1 in {n}", n=words.number(1 / (1 - float(q)))) for q in quantiles]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": list(quantiles.values()),
        "line": {"color": "$blue", "width": 2.4},
        "hovertemplate": "%{x}: %{y:.4~g}<extra></extra>",
    }
    mean = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": expected,
        "y1": expected,
        "line": {"color": "$teal", "dash": "dash"},
    }
    note = {
        "xref": "paper",
        "x": 0,
        "y": expected,
        "text": words("expected"),
        "showarrow": False,
        "yanchor": "bottom",
        "xanchor": "left",
    }
    layout = {
        "xaxis": {"type": "category", "title": {"text": words("years as bad or worse")}},
        "yaxis": {"rangemode": "tozero"},
        "shapes": [mean],
        "annotations": [note],
    }
    return {"data": [line], "layout": layout, "alt": words("A year's loss; expected {loss}", loss=words.number(expected, 2))}


def scenario_terms(table: dict[str, list[float]], words: Words) -> Spec:
    """Return mean cumulative PD over one to five years, by scenario; table: label → PDs."""
    colours = ("$teal", "$sand", "$rust", "$wine", "$blue", "$grey")
    x = [words("{n} y", n=year) for year in range(1, 6)]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": pds,
            "name": name,
            "line": {"color": colours[i % 6], "width": 2.4},
            "hovertemplate": "%{x}: %{y:.2%}<extra>" + name + "</extra>",
        }
        for i, (name, pds) in enumerate(table.items())
    ]
    layout = {"yaxis": {**PERCENT, "rangemode": "tozero"}, "xaxis": {"type": "category"}, "showlegend": True}
    return {"data": data, "layout": layout, "alt": words("Mean PD over five years by scenario")}


def points_with_intervals(
    rows: dict[str, list[tuple[Any, float, float | None, float | None]]], words: Words, *, title: str, top: float | None = None
) -> Spec:
    """Return points with intervals by year; rows: series → (year, value, low, high)."""
    colours = ("$blue", "$rust", "$grey")
    data = []
    for place, (name, points) in enumerate(rows.items()):
        data.append(
            {
                "type": "scatter",
                "mode": "markers+lines",
                "x": [p[0] for p in points],
                "y": [p[1] for p in points],
                "name": name,
                "line": {"color": colours[place % 3], "width": 1.2, "dash": "dot"},
                "marker": {"size": 9, "color": colours[place % 3]},
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [0 if p[3] is None else p[3] - p[1] for p in points],
                    "arrayminus": [0 if p[2] is None else p[1] - p[2] for p in points],
                    "thickness": 1.3,
                    "width": 5,
                },
                "hovertemplate": "%{x}: %{y:.3f}<extra>" + name + "</extra>",
            }
        )
    axis: Spec = {"title": {"text": title}, **({"range": [None, top]} if top else {})}
    latest = {name: words.number(points[-1][1], 3) for name, points in rows.items() if points}
    alt = words("{title}: {list}", title=title, list=", ".join(f"{name} {value}" for name, value in latest.items()))
    return {"data": data, "layout": {"xaxis": YEARS, "yaxis": axis, "showlegend": True}, "alt": alt}


def calibration(grades: list[dict[str, Any]], words: Words) -> Spec:
    """Return mean PD against observed rate with Jeffreys' interval, by grade, on logarithmic scales."""
    floor = 10**-4.1
    seen = [g for g in grades if g["rows"]]
    x = [max(g["mean_pd"], floor) for g in seen]
    y = [max(g["observed"], floor) for g in seen]
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [1e-4, 1],
        "y": [1e-4, 1],
        "line": {"color": "$grey", "dash": "dash"},
        "name": words("as predicted"),
        "hoverinfo": "skip",
    }
    points = {
        "type": "scatter",
        "mode": "markers+text",
        "x": x,
        "y": y,
        "text": [g["rating"] for g in seen],
        "textposition": "top left",
        "name": words("grade"),
        "marker": {"size": 9, "color": "$blue"},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [g["high"] - v for g, v in zip(seen, y, strict=True)],
            "arrayminus": [v - max(g["low"], floor) for g, v in zip(seen, y, strict=True)],
            "thickness": 1.3,
        },
        "hovertemplate": "%{text}: %{x:.2%} → %{y:.2%}<extra></extra>",
    }
    axis = {**LOG, "dtick": 1}
    layout = {
        "xaxis": {**axis, "title": {"text": words("predicted")}},
        "yaxis": {**axis, "title": {"text": words("observed")}, "range": [-4.2, 0]},
    }
    return {"data": [diagonal, points], "layout": layout, "alt": words("Predicted and observed failures by grade")}


def beeswarm(rows: list[tuple[str, np.ndarray, np.ndarray]], words: Words) -> Spec:
    """Return one dot per company and feature: the effect on its log-odds, coloured by the feature's rank among companies (0 to
    1)."""
    data = []
    names = [name for name, _, _ in rows]
    for place, (name, effects, places) in enumerate(rows):
        data.append(
            {
                "type": "scattergl" if len(effects) > 20_000 else "scatter",
                "mode": "markers",
                "x": np.round(effects, 3).tolist(),
                "y": np.round(place + _jitter(effects), 3).tolist(),
                "name": name,
                "hovertemplate": name + ": %{x:+.2f}<extra></extra>",
                "marker": {
                    "size": 4,
                    "opacity": 0.75,
                    "color": np.round(places, 2).tolist(),
                    "cmin": 0,
                    "cmax": 1,
                    "colorscale": [[0, "#2a8c82"], [0.5, "#b9c4ce"], [1, "#c8632e"]],
                },
            }
        )
    labels = _labels(names)
    axis = {"tickvals": list(range(len(names))), "ticktext": labels, "autorange": "reversed", "zeroline": False}
    layout = {"yaxis": axis, "xaxis": {"title": {"text": words("effect on the log-odds of failure")}}}
    return {
        "data": data,
        "layout": layout,
        "alt": words("Effects by feature; strongest: {name}", name=names[0]) if names else words("Effects by feature"),
        "height": _height(labels),
    }


def _jitter(effects: np.ndarray) -> np.ndarray:
    """Return vertical offsets that spread dots of similar effect, deterministically."""
    bins = np.round(effects / (np.ptp(effects) / 60 + 1e-9))
    result = np.zeros(len(effects))
    for value in np.unique(bins):
        rows = np.flatnonzero(bins == value)
        spread = min(0.4, 0.02 * len(rows))
        result[rows] = np.linspace(-spread, spread, len(rows)) if len(rows) > 1 else 0
    return result
