"""Simulate a panel, so that everything runs right after cloning. No company in it is real.

The model is structural (Merton, 1974, with one common factor as in Vasicek, 2002). The log of a firm's asset value moves with its
sector's drift, a common macro factor and its own shocks; debt reverts to a target leverage; the firm fails where, one year on,
assets are worth less than debts. Book values follow asset values late and with error; profits persist and depend on the asset
shocks; the market value of listed firms is the value left to shareholders. Then data faults as in real panels are added: missing
items, gaps, late filers, restatements, broken rows, and exits that are not failures.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import ndtr

from quiebra.canonical import COMPANY_SCHEMA, EVENT_SCHEMA, MACRO_SCHEMA, STATEMENT_SCHEMA, Source, SourceInfo, conform_to_schema
from quiebra.params import Demo
from quiebra.provenance import json_sha256
from quiebra.sources.demo_statements import add_data_faults, publish_statements

SECTORS = {  # NACE section: (share of firms, drift, volatility, target leverage)
    "C Manufacturing": (0.28, 0.020, 0.22, 0.56),
    "F Construction": (0.14, 0.012, 0.25, 0.64),
    "G Trade": (0.24, 0.018, 0.21, 0.60),
    "H Transport": (0.09, 0.015, 0.22, 0.61),
    "I Hospitality": (0.09, 0.014, 0.24, 0.60),
    "J Information": (0.09, 0.022, 0.25, 0.50),
    "M Professional": (0.07, 0.020, 0.23, 0.52),
}
REGIONS = {
    "Andalucía": 0.16,
    "Aragón": 0.06,
    "Castilla y León": 0.08,
    "Cataluña": 0.22,
    "Comunidad de Madrid": 0.22,
    "Comunitat Valenciana": 0.12,
    "Galicia": 0.07,
    "País Vasco": 0.07,
}
MACRO_PERSISTENCE, MACRO_LOADING = 0.45, 0.05
LISTED_SHARE, EXIT_RATE = 0.6, 0.015
SOURCE_NOTES = (
    "SIMULATED: Invented companies from a structural model with a common macro factor. It shows how the workspace works; "
    "it says nothing about any real company, sector or region."
)


@dataclass(frozen=True)
class Simulation:
    """A simulated source and the true PDs: ``truth`` has company_id, fiscal_year and pd_true, for tests."""

    source: Source
    truth: pl.DataFrame


def load(options: Demo) -> Source:
    """Return the simulated source without the true PDs."""
    return simulate(options).source


def simulate(options: Demo) -> Simulation:
    """Simulate the panel; the same options give the same rows."""
    rng = np.random.default_rng(options.seed)
    firms = _firms(rng, options)
    macro = _macro_path(rng, options.years)
    rows, events = _lives(rng, firms, macro, options)
    tidy = publish_statements(rng, rows, firms)
    last = options.first_year + options.years - 1
    info = SourceInfo(
        source="demo",
        title="Simulated companies",
        simulated=True,
        currency="EUR",
        first_label_year=options.first_year,
        outcomes_through=last - 1,
        as_of=dt.date(last + 1, 6, 30),
        sha256=json_sha256(options.model_dump()),
        notes=SOURCE_NOTES,
    )
    source = Source(
        info,
        conform_to_schema(firms.select("company_id", "name", "region", "sector", country=pl.lit("ES")), COMPANY_SCHEMA),
        conform_to_schema(add_data_faults(rng, tidy), STATEMENT_SCHEMA),
        conform_to_schema(events.filter(pl.col("event_date") <= info.as_of), EVENT_SCHEMA),
        _macro_series(macro, options),
    )
    return Simulation(source, rows.select("company_id", "fiscal_year", "pd_true").sort("company_id", "fiscal_year"))


def _firms(rng: np.random.Generator, options: Demo) -> pl.DataFrame:
    n = options.companies
    shares = np.array([s[0] for s in SECTORS.values()])
    sector = rng.choice(len(SECTORS), n, p=shares / shares.sum())
    traits = np.array([s[1:] for s in SECTORS.values()])[sector]
    # 70 % of firms exist from the start, the others enter at a constant rate
    entry = np.where(rng.random(n) < 0.7, 0, rng.integers(0, options.years, n))
    return pl.DataFrame(
        {
            "company_id": [f"SIM-{i + 1:05d}" for i in range(n)],
            "name": [f"Simulated company {i + 1}" for i in range(n)],
            "sector": np.array(list(SECTORS))[sector],
            "region": rng.choice(list(REGIONS), n, p=np.array(list(REGIONS.values()))),
            "entry": entry,
            "listed": rng.random(n) < LISTED_SHARE,
            "drift": traits[:, 0],
            "volatility": traits[:, 1] * np.exp(0.05 * rng.standard_normal(n)),
            "target": np.clip(traits[:, 2] + 0.10 * rng.standard_normal(n), 0.15, 0.85),
            "log_assets": np.log(40) + 1.6 * rng.standard_normal(n),
            "margin": 0.055 + 0.03 * rng.standard_normal(n),
            "turnover": np.exp(np.log(1.1) + 0.35 * rng.standard_normal(n)),
            "current_share": np.clip(0.5 + 0.13 * rng.standard_normal(n), 0.1, 0.9),
            "filing_days": rng.integers(75, 165, n),
        }
    )


def _macro_path(rng: np.random.Generator, years: int) -> np.ndarray:
    path = np.zeros(years + 1)
    for year in range(1, years + 1):
        path[year] = MACRO_PERSISTENCE * path[year - 1] + np.sqrt(1 - MACRO_PERSISTENCE**2) * rng.standard_normal()
    return path


def true_pd(log_assets: np.ndarray, debt: np.ndarray, firms: pl.DataFrame, macro: float) -> np.ndarray:
    """Return the probability that assets are below debts one year on, given today's state but not next year's macro factor."""
    spread = np.sqrt(firms["volatility"].to_numpy() ** 2 + MACRO_LOADING**2 * (1 - MACRO_PERSISTENCE**2))
    mean = log_assets + firms["drift"].to_numpy() + MACRO_LOADING * MACRO_PERSISTENCE * macro
    pd: np.ndarray = ndtr((np.log(debt) - mean) / spread)
    return pd


def _lives(rng: np.random.Generator, firms: pl.DataFrame, macro: np.ndarray, options: Demo) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulate all firms year by year; return one row per living firm-year with its state, and the failures."""
    n, ids = len(firms), firms["company_id"]
    volatility, target = firms["volatility"].to_numpy(), firms["target"].to_numpy()
    log_assets = firms["log_assets"].to_numpy().copy()
    # initial leverage is spread around its target about as much as years of shocks would spread it
    debt = np.exp(log_assets) * np.clip(target * np.exp(0.29 * rng.standard_normal(n)), 0.05, 0.92)
    shock, alive = np.zeros(n), np.ones(n, dtype=bool)
    years, failures = [], []
    for year in range(options.years):
        living = alive & (firms["entry"].to_numpy() <= year)
        pd_true = true_pd(log_assets, debt, firms, macro[year])
        state = {"log_assets": log_assets, "debt": debt, "shock": shock, "pd_true": pd_true, "firm": np.arange(n)}
        frame = pl.DataFrame(state).with_columns(company_id=ids, fiscal_year=pl.lit(options.first_year + year))
        years.append(frame.filter(pl.Series(living)))
        own = volatility * rng.standard_normal(n)
        step = firms["drift"].to_numpy() + MACRO_LOADING * macro[year + 1] + own
        ahead = np.where(living, log_assets + step, log_assets)
        failed = living & (ahead < np.log(debt))
        day = rng.integers(5, 330, n)
        failures.append((ids.filter(pl.Series(failed)), options.first_year + year, day[failed], np.flatnonzero(failed)))
        left = living & ~failed & (rng.random(n) < EXIT_RATE)
        # debt moves a fifth of the way to its target each year: lenders do not fund a failing firm's losses for ever
        goal = np.clip(target, 0.05, 0.9) * np.exp(ahead)
        debt = np.where(living, debt * (np.maximum(goal, 0.05) / debt) ** 0.2, debt)
        log_assets, shock, alive = ahead, np.where(living, own + MACRO_LOADING * macro[year + 1], 0.0), alive & ~failed & ~left
    filing = firms["filing_days"].to_numpy()
    events = pl.concat(
        pl.DataFrame({"company_id": who, "fiscal_year": year, "wait": filing[index] + day}) for who, year, day, index in failures
    ).select("company_id", event_date=pl.date("fiscal_year", 12, 31) + pl.duration(days=pl.col("wait").cast(pl.Int64)))
    return pl.concat(years), events.with_columns(kind=pl.lit("bankruptcy"), source=pl.lit("demo"))


def _macro_series(macro: np.ndarray, options: Demo) -> pl.DataFrame:
    """Return the series GDP_GROWTH and POLICY_RATE (per cent a year), published 90 days after the end of their year."""
    years = [options.first_year + y for y in range(options.years)]
    series = {"GDP_GROWTH": 1.8 + 1.6 * macro[:-1], "POLICY_RATE": np.maximum(0, 2.0 + 0.9 * macro[:-1])}
    return (
        pl.concat(
            pl.DataFrame({"series": name, "date": [dt.date(y, 12, 31) for y in years], "value": values.round(3)})
            for name, values in series.items()
        )
        .select("series", "date", "value", available_at=pl.col("date") + pl.duration(days=90))
        .cast(pl.Schema(MACRO_SCHEMA))
    )
