"""The companies of a person's portfolio that have no score, and what is at stake with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from quiebra.params import Portfolio
from quiebra.risk.exposures import exposures


def left_out(unknown: list[str], options: Portfolio, root: Path) -> dict[str, Any]:
    """Return the companies of the portfolio's file that have no score, and their exposure, as plain JSON values.

    unknown: their ids, as `quiebra.risk.exposures.exposures` gives them.
    """
    lost = exposures(pl.DataFrame({"company_id": unknown}), options, root)[0]["exposure"].sum() if unknown else 0.0
    return {"without_score": unknown, "exposure_without_score": round(float(lost), 9)}
