"""A company of the finished run as a record: its score, history and peers, in the form of a prediction's answer."""

from __future__ import annotations

from typing import Any, cast

import polars as pl

from quiebra.risk.scored_company import data_flags, load_company, pd_history, peer_pds
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.prediction import DECIMALS, reason_records, score_record
from quiebra.text.words import LANGUAGES, Words

PEER_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def company_record(view: FinishedRunView, company_id: str) -> dict[str, Any]:
    """Return a company's score of the run: as `quiebra.services.prediction.predict` answers, with history and peers.

    Texts are objects with one text by language. PanelError if no company with that id was scored.
    """
    subject = load_company(view, company_id)
    weight = view.model.scorers[subject.score["scorer"]].blend.weight
    scored = {name: str(subject.statement[name]) for name in ("period_end", "available_at", "currency")}
    run, mine = view.run, pl.col("company_id") == company_id
    flags = zip(*(data_flags(view, subject, Words(language)) for language in LANGUAGES), strict=True)
    history = pd_history(view, subject).with_columns(pl.selectors.float().round(DECIMALS))
    return {
        "company_id": company_id,
        "name": subject.name,
        "sector": subject.sector,
        "scored": {"fiscal_year": subject.score["fiscal_year"], **scored},
        **score_record(subject.score, weight),
        "reasons": reason_records(view.reasons.filter(mine)).get(company_id, []),
        "notes": [dict(zip(LANGUAGES, texts, strict=True)) for texts in flags],
        "history": history.to_dicts(),
        "peers": _peers(view, subject.sector, subject.score["pd_12m"]),
        "model": {
            "model_id": run["model_sha256"][:12],
            "standing": run.get("standing"),
            "run_id": run["run_id"],
            "as_of": run["as_of"],
        },
    }


def _peers(view: FinishedRunView, sector: str | None, own: float) -> dict[str, Any]:
    """Return the one-year PDs of the sector's companies (of all where it is unknown) in quantiles, and the share with a lower
    one."""
    pds = peer_pds(view, sector)
    quantiles = {
        f"p{round(100 * share)}": round(cast("float", pds.quantile(share, "linear")), DECIMALS) for share in PEER_QUANTILES
    }
    return {
        "of": sector,
        "companies": len(pds),
        "pd_12m": quantiles,
        "share_below": round(cast("float", (pds < own).mean()), DECIMALS),
    }
