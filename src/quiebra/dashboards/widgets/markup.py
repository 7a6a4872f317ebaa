"""HTML fragments common to all pages: figures, chips, tables. Data are escaped here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from markupsafe import Markup, escape

from quiebra.services.overview import Kpi


def chip(key: str, words: str = "", big: bool = False) -> Markup:
    """Return a coloured label; key: the grade or status that determines its colour, and its text if ``words`` is empty."""
    return Markup('<span class="q-chip{}" data-value="{}">{}</span>').format(" q-big" if big else "", key, words or key)


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> Markup:
    """Return a table; cells are escaped unless they are Markup. numbers: columns that are right-aligned."""

    def cell(tag: str, place: int, value: str) -> Markup:
        side = Markup(' class="q-number"') if place in numbers else Markup("")
        return Markup("<{tag}{side}>{value}</{tag}>").format(tag=Markup(tag), side=side, value=value)  # noqa: S704  th or td

    top = Markup("").join(cell("th", i, head) for i, head in enumerate(heads))
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(cell("td", i, value) for i, value in enumerate(row))) for row in rows
    )
    head = Markup("<thead><tr>{}</tr></thead>").format(top) if heads else Markup("")
    return Markup('<div class="q-scroll"><table class="q-plain">{}<tbody>{}</tbody></table></div>').format(head, body)


def bullet_list(lines: Iterable[str]) -> Markup:
    return Markup('<ul class="q-reasons">{}</ul>').format(Markup("").join(Markup("<li>{}</li>").format(line) for line in lines))


def titled_lists(parts: Iterable[tuple[str, Iterable[str]]]) -> Markup:
    """Return lists under their titles."""
    return Markup("").join(Markup('<h3 class="q-part">{}</h3>{}').format(title, bullet_list(lines)) for title, lines in parts)


def flag_list(lines: Iterable[str]) -> Markup:
    """Return warning lines."""
    return Markup("").join(Markup('<p class="q-flag">{}</p>').format(line) for line in lines)


def _kpi(kpi: Kpi) -> Markup:
    note = Markup('<p class="note{}">{}</p>').format(f" q-{kpi.trend}" if kpi.trend else "", kpi.note)
    return Markup('<div class="q-kpi"><h3>{}</h3><p class="value">{}</p>{}</div>').format(kpi.title, kpi.value, note)


def kpi_row(kpis: Sequence[Kpi]) -> Markup:
    """Return figures side by side: on one line up to five, else on two."""
    columns = len(kpis) if len(kpis) <= 5 else -(-len(kpis) // 2)
    row = Markup("").join(_kpi(kpi) for kpi in kpis)
    return Markup('<section class="q-kpis" style="--columns:{}">{}</section>').format(columns, row)


__all__ = ["Kpi", "Markup", "bullet_list", "chip", "escape", "flag_list", "html_table", "kpi_row", "titled_lists"]
