"""Companies of Yahoo Finance by ticker: annual accounts and market values. Off unless params allow it; runs read what came."""

from quiebra.sources.yahoo.panel import load

__all__ = ["load"]
