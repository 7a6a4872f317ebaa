"""Small pieces of HTML that every page uses: figures, chips, tables. What comes from data is escaped here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


def chip(key: str, words: str = "", big: bool = False) -> Markup:
    """Return a coloured label; key: a grade or status that its colour goes by, shown where there are no other words."""
    return Markup('<span class="q-chip{}" data-value="{}">{}</span>').format(" q-big" if big else "", key, words or key)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> Markup:
    """Return a table; cells are escaped unless they are markup. numbers: columns that stand to the right."""

    def cell(tag: str, place: int, value: str) -> Markup:
        side = Markup(' class="q-number"') if place in numbers else Markup("")
        return Markup("<{tag}{side}>{value}</{tag}>").format(tag=Markup(tag), side=side, value=value)

    top = Markup("").join(cell("th", i, head) for i, head in enumerate(heads))
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(cell("td", i, value) for i, value in enumerate(row))) for row in rows
    )
    head = Markup("<thead><tr>{}</tr></thead>").format(top) if heads else Markup("")
    return Markup('<div class="q-scroll"><table class="q-plain">{}<tbody>{}</tbody></table></div>').format(head, body)


def items(lines: Iterable[str]) -> Markup:
    return Markup('<ul class="q-reasons">{}</ul>').format(Markup("").join(Markup("<li>{}</li>").format(line) for line in lines))


def listed(parts: Iterable[tuple[str, Iterable[str]]]) -> Markup:
    """Return lists under their titles."""
    return Markup("").join(Markup('<h3 class="q-part">{}</h3>{}').format(title, items(lines)) for title, lines in parts)


def flagged(lines: Iterable[str]) -> Markup:
    """Return lines that call for attention."""
    return Markup("").join(Markup('<p class="q-flag">{}</p>').format(line) for line in lines)


@dataclass(frozen=True)
class Kpi:
    """A figure with its title and a remark under it; ``trend``: ``up`` or ``down`` in risk, or nothing."""

    title: str
    value: str
    note: str = ""
    trend: str = ""

    def html(self) -> Markup:
        note = Markup('<p class="note{}">{}</p>').format(f" q-{self.trend}" if self.trend else "", self.note)
        return Markup('<div class="q-kpi"><h3>{}</h3><p class="value">{}</p>{}</div>').format(self.title, self.value, note)


def kpi_row(kpis: Sequence[Kpi]) -> Markup:
    """Return figures side by side: in one line up to five, else in two."""
    columns = len(kpis) if len(kpis) <= 5 else -(-len(kpis) // 2)
    row = Markup("").join(kpi.html() for kpi in kpis)
    return Markup('<section class="q-kpis" style="--columns:{}">{}</section>').format(columns, row)


__all__ = ["Kpi", "Markup", "chip", "escape", "flagged", "items", "kpi_row", "listed", "table"]
