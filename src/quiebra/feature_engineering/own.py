"""Columns of a person's file that are features as they are (params ``ingest.table.features``)."""

from __future__ import annotations

import polars as pl

from quiebra.canonical import OwnColumn
from quiebra.feature_engineering.feature import Feature

OWN_FEATURES: dict[str, Feature] = {}
"""The own features of the panel at hand, by name; see `quiebra.feature_engineering.use_own_features`."""


def own_label(name: str, language: str) -> str:
    """Return an own feature's label, en or es."""
    feature = OWN_FEATURES[name]
    return feature.label_es if language == "es" else feature.label


def own_feature(column: OwnColumn) -> Feature:
    """Return a column of a person's file as a feature. Each is a concept of its own."""
    return Feature(
        name=column.name,
        label=column.label,
        concept=column.name,
        unit="as given",
        formula=f"column {column.name} of the file",
        why="given with the data",
        source="the data's owner",
        expr=pl.col(column.name).cast(pl.Float64),
        sign=column.sign,
        label_es=column.label_es,
    )
