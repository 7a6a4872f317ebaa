"""One company's story: who it is, its statements, its scores over the years, and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.banners import run_banners
from quiebra.canonical import median_value
from quiebra.errors import PanelError, ResearchError, suggestion
from quiebra.plots import SvgPicture, pd_ahead_and_behind, to_svg
from quiebra.research.frames import FrameKind, to_frame
from quiebra.research.run import ResearchRun, open_run
from quiebra.risk.scored_company import ScoredCompany, load_company, pd_history, pd_term_structure, peer_pds, reasons_by_heading
from quiebra.text.words import LANGUAGES, Words


def company(company_id: str, frame: FrameKind = "pandas", workspace: str | Path | None = None, *, lang: str = "en") -> Company:
    """Return a company of today's scores. ResearchError where no company with that id was scored.

    lang: language of the reasons, en or es.
    """
    if lang not in LANGUAGES:
        raise ResearchError(f"no language '{lang}': there are {', '.join(LANGUAGES)}")
    if company_id is None or isinstance(company_id, float):
        raise ResearchError(f"a company's id is a text, such as quiebra.scores() lists, not {company_id!r}")
    run, wanted = open_run(workspace), str(company_id)
    try:
        return Company(load_company(run, wanted), run, frame, Words(lang))
    except PanelError:
        near = suggestion(wanted, run.scores["company_id"].to_list())
        raise ResearchError(f"no company with the id '{wanted:.100}' was scored{near}: quiebra.scores() lists them") from None


@dataclass(frozen=True)
class Company:
    """A scored company; a notebook shows its summary and pictures."""

    _subject: ScoredCompany
    _run: ResearchRun
    _frame: FrameKind
    _words: Words

    @property
    def company_id(self) -> str:
        return self._subject.company_id

    @property
    def name(self) -> str:
        return self._subject.name

    @property
    def sector(self) -> str | None:
        return self._subject.sector

    @property
    def grade(self) -> str:
        return str(self._subject.score["rating"])

    @property
    def pd(self) -> float:
        """One-year PD by the champion."""
        return float(self._subject.score["pd_12m"])

    @property
    def pd_interval(self) -> tuple[float, float]:
        return self._subject.score["pd_12m_low"], self._subject.score["pd_12m_high"]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Heading (what raises its PD, what lowers it, what is not known) → sentences, strongest first."""
        return dict(reasons_by_heading(self._subject, self._words))

    @property
    def statements(self) -> Any:
        """Every published version of its statements, in millions."""
        return self._own(self._run.statements)

    @property
    def features(self) -> Any:
        return self._own(self._run.features)

    @property
    def scores(self) -> Any:
        """One-year PD with its interval and grade, by fiscal year: as given then, and today's."""
        return to_frame(self._history, self._frame)

    def plot(self) -> SvgPicture:
        """Draw its PDs over the next five years, and the one-year PD of each year."""
        median = median_value(peer_pds(self._run, self.sector)) or 0.0
        terms = pd_term_structure(self._subject.score)
        return to_svg(pd_ahead_and_behind(terms, self._history, median, self._words))

    @cached_property
    def _history(self) -> pl.DataFrame:
        return pd_history(self._run, self._subject)

    def _own(self, table: pl.DataFrame) -> Any:
        mine = table.filter(pl.col("company_id") == self.company_id)
        return to_frame(mine.sort("fiscal_year", "available_at"), self._frame)

    def _summary(self) -> str:
        words, (low, high) = self._words, self.pd_interval
        said = words(
            "{name}: grade {grade}, one-year PD {pd} ({low} to {high}), statement of fiscal year {year}",
            name=" · ".join(dict.fromkeys(part for part in (self.name, self.company_id, self.sector) if part)),
            grade=self.grade,
            pd=words.percent(self.pd),
            low=words.percent(low),
            high=words.percent(high),
            year=self._subject.score["fiscal_year"],
        )
        return " · ".join([said, *(f"{words(head)}: {words.say(what)}" for head, what in run_banners(self._run.run))])

    def __repr__(self) -> str:
        return "\n".join([self._summary(), *(f"{head}: {' '.join(said)}" for head, said in self.reasons.items())])

    def _repr_html_(self) -> str:
        listed = "".join(
            f"<p>{escape(head)}</p><ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in said)}</ul>"
            for head, said in self.reasons.items()
        )
        return f"<p><b>{escape(self._summary())}</b></p>{listed}{self.plot().data}"
