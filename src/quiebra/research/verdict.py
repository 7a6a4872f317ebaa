"""The verdict on an estimator against the champion, and the comparison of two verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from typing import Any, Self

import polars as pl

from quiebra.errors import ResearchError
from quiebra.items import FIRM_YEAR_KEYS
from quiebra.plots import SvgPicture, compared_scores, to_svg
from quiebra.reports.tables import format_interval
from quiebra.research.frames import FrameKind, to_frame
from quiebra.text.words import Words
from quiebra.validation.comparison import Bootstrap, ResampledScore, add_year_rank
from quiebra.validation.discrimination import cap_curve
from quiebra.validation.metrics import RankedOutcomes

SHOWN_FIGURES = {
    "auc": ("AUC", 3),
    "average_precision": ("average precision", 3),
    "top_decile_capture": ("failures in the riskiest tenth", 3),
    "ks": ("KS", 3),
    "brier": ("Brier score (less is better)", 5),
    "pd_over_observed": ("mean PD over observed rate (1 is best)", 2),
}
"""Figure → what it is called, and its decimals."""
WORDS = Words()
WELL_COVERED = 0.8
"""Below this share of statements with a value of a feature the verdict says so."""
MOST_LISTED = 6
LEVEL = 1.5
"""Factor by which mean PD and observed rate may differ before the verdict says so."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two scores on the same firm-years and the same resamples of whole companies.

    names: of the two. figures_of: each name, and ``difference`` (the first less the second), → figures with ``interval``, as
        validation writes them. scores: company_id, fiscal_year, failed, and a column of PDs per name. frame: kind of the tables
        that it gives.
    """

    names: tuple[str, str]
    years: tuple[int, ...]
    figures_of: Mapping[str, Mapping[str, Any]]
    scores: pl.DataFrame
    how: Bootstrap
    frame: FrameKind = "pandas"

    @property
    def figures(self) -> Any:
        """A row per figure: its value, low and high for each score and for the difference."""
        rows = []
        for name, (called, _) in SHOWN_FIGURES.items():
            row: dict[str, Any] = {"figure": called}
            for score, found in self.figures_of.items():
                low, high = found["interval"][name]
                row |= {score: found[name], f"{score} low": low, f"{score} high": high}
            rows.append(row)
        return to_frame(pl.DataFrame(rows, infer_schema_length=None), self.frame)

    @property
    def predictions(self) -> Any:
        """company_id, fiscal_year, failed (0 or 1), and the PDs of each score."""
        return to_frame(self.scores, self.frame)

    @property
    def conclusion(self) -> str:
        """One sentence: whether one of the two ranks better than chance would explain."""
        low, high = self.figures_of["difference"]["interval"]["auc"]
        if low is None:
            return "With so few failures nothing can be said of the difference."
        share = WORDS.percent(self.how.confidence, 0)
        if low > 0 or high < 0:
            better, worse = self.names if low > 0 else self.names[::-1]
            return f"{better} ranks better than {worse}: the {share} interval of the difference in AUC is on one side of 0."
        return f"No difference in ranking is shown: the {share} interval of the difference in AUC holds 0."

    @property
    def notes(self) -> list[str]:
        """What else a reader of the figures must know."""
        return []

    def plot(self) -> SvgPicture:
        """Draw the failures that each score finds among the riskiest companies, and its AUC by fiscal year."""
        curves, years = {}, sorted(set(self.scores["fiscal_year"]))
        by_year: dict[str, list[Any]] = {"fiscal_year": years}
        for name in self.names:
            ranked = add_year_rank(self.scores.select("company_id", "fiscal_year", "failed", pl.col(name).alias("pd")), "pd")
            failed, pd, place = (ranked[column].to_numpy() for column in ("failed", "pd", "pd_place"))
            curves[name] = cap_curve(failed, pd, place)
            by_year[name] = [_auc(self.scores.filter(pl.col("fiscal_year") == year), name) for year in years]
        aucs = pl.DataFrame(by_year, schema_overrides=dict.fromkeys(self.names, pl.Float64))
        return to_svg(compared_scores(curves, aucs))

    def __repr__(self) -> str:
        lines = self._lines()
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self._title(), "", *table, "", self.conclusion, *self.notes])

    def _repr_html_(self) -> str:
        head, *rows = self._lines()
        heads = "".join(f"<th style='text-align:right'>{escape(cell)}</th>" for cell in head)
        body = "".join(
            f"<tr><th style='text-align:left;font-weight:normal'>{escape(row[0])}</th>"
            + "".join(f"<td style='text-align:right;font-variant-numeric:tabular-nums'>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        said = "".join(f"<p>{escape(sentence)}</p>" for sentence in (self.conclusion, *self.notes))
        return f"<p><b>{escape(self._title())}</b></p><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{said}"

    def _title(self) -> str:
        counts = self.figures_of[self.names[0]]
        return (
            f"{self.names[0]} against {self.names[1]}: fiscal years {self.years[0]} to {self.years[-1]}, "
            f"{WORDS.number(counts['rows'])} firm-years, {WORDS.number(counts['events'])} failures"
        )

    def _lines(self) -> list[tuple[str, ...]]:
        rows = [
            (called, *(format_interval(figures, name, decimals) for figures in self.figures_of.values()))
            for name, (called, decimals) in SHOWN_FIGURES.items()
        ]
        return [("", *self.names, "difference"), *rows]


@dataclass(frozen=True, repr=False)
class Verdict(Comparison):
    """An estimator against the champion, out of time.

    features: names of those that it used.
    sealed: the last year, which was not judged; None: it was opened for this idea.
    ideas: how many ideas have been judged on these years, this one among them.
    unchecked: features of one's own came as a table, which is not checked for looking ahead.
    coverage: each feature → share of the statements that have a value of it.
    banners: what is to be said of the run that the champion's scores are of, such as that it is an experiment.
    opened_before: the idea for which the sealed year was opened before, by its name; None: it was not.
    """

    features: tuple[str, ...] = ()
    sealed: int | None = None
    ideas: int = 1
    simulated: bool = False
    unchecked: bool = False
    coverage: Mapping[str, float] = field(default_factory=dict)
    banners: tuple[str, ...] = ()
    opened_before: str | None = None

    @classmethod
    def of(cls, found: Comparison, **more: Any) -> Self:
        """Return the comparison as a verdict, with the other fields."""
        return cls(**{each.name: getattr(found, each.name) for each in fields(Comparison)}, **more)

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def notes(self) -> list[str]:
        """How many ideas were tried on these years and what that means, and what is sealed."""
        tail = (1 - self.how.confidence) / 2
        by_chance = WORDS.percent(1 - (1 - tail) ** self.ideas, 0)
        said = ["Simulated companies: nothing here says anything about real ones."] if self.simulated else []
        said += self.banners
        if self.unchecked:
            said.append(
                "NOT CHECKED: your own features rest on a table, which may look ahead. Give a function that makes them from the "
                "statements that it is passed, and they are checked."
            )
        said.append(
            f"Ideas judged on these years so far: {self.ideas}. Were none of them better than the champion, at least one would "
            f"still seem so with a chance of up to {by_chance}."
        )
        by_share = sorted(self.coverage.items(), key=lambda pair: pair[1])
        if sparse := {name: share for name, share in by_share if share < WELL_COVERED}:
            listed = ", ".join(f"{name} {WORDS.percent(share, 0)}" for name, share in list(sparse.items())[:MOST_LISTED])
            more = f" and {len(sparse) - MOST_LISTED} more" if len(sparse) > MOST_LISTED else ""
            said.append(f"Share of statements that have a value: {listed}{more}.")
        said += self._level()
        if self.sealed is not None and self.opened_before is None:
            said.append(f"Fiscal year {self.sealed} is sealed: open_last_year=True judges one idea on it, once.")
        elif self.sealed is not None:
            said.append(f"Fiscal year {self.sealed} was opened for '{self.opened_before}', and judges no other idea.")
        return said

    def _level(self) -> list[str]:
        """Return what is to be said of PDs that are all too high or too low: the figures of ranking do not show it."""
        figures = self.figures_of[self.name]
        level, (low, high) = figures["pd_over_observed"], figures["interval"]["pd_over_observed"]
        if level is None or low is None or (low <= LEVEL and high >= 1 / LEVEL):
            return []
        much = WORDS.number(level, 1) if level >= 1 else WORDS.number(1 / level, 1)
        return [
            f"Its PDs are {much} times too {'high' if level > 1 else 'low'} on average, whatever their ranking: "
            "sklearn.calibration.CalibratedClassifierCV brings them to the level of the outcomes."
        ]


def compare_scores(
    rows: pl.DataFrame, names: tuple[str, str], how: Bootstrap, *, years: Sequence[int], frame: FrameKind
) -> Comparison:
    """Compare two columns of PDs on the same rows: company_id, fiscal_year, failed and the two columns."""
    one, other = (ResampledScore.resample(rows.select(*KEYS, pl.col(name).alias("pd")), "pd", how) for name in names)
    figures = {names[0]: one.judge(), names[1]: other.judge(), "difference": one.judge_against(other)}
    return Comparison(names, tuple(years), figures, rows.select(*KEYS, *names), how, frame)


KEYS = (*FIRM_YEAR_KEYS, "failed")


def compare(one: Verdict, other: Verdict) -> Comparison:
    """Compare two verdicts on the firm-years that both judged. ResearchError where they share no failure."""
    for given in (one, other):
        if not isinstance(given, Verdict):
            raise ResearchError(f"compare takes two verdicts of walk_forward, not {type(given).__name__}")
    names = one.name, other.name if other.name != one.name else f"{other.name} (2)"
    tables = [
        verdict.scores.select(*KEYS, pl.col(verdict.name).alias(name)) for verdict, name in zip((one, other), names, strict=True)
    ]
    rows = tables[0].join(tables[1], on=KEYS).sort(FIRM_YEAR_KEYS)
    if not 0 < rows["failed"].sum() < rows.height:
        raise ResearchError(f"{names[0]} and {names[1]} share no failure: judge both on the same panel and years")
    years = sorted(set(rows["fiscal_year"].to_list()))
    return compare_scores(rows, names, one.how, years=years, frame=one.frame)


def _auc(rows: pl.DataFrame, name: str) -> float | None:
    failed = rows["failed"].to_numpy()
    if not 0 < failed.sum() < len(failed):
        return None
    ranked = RankedOutcomes.rank(failed, rows[name].to_numpy(), None)
    return float(ranked.figures(pl.ones(rows.height, eager=True).to_numpy())["auc"])
