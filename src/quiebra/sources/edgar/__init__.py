"""US companies from the SEC's EDGAR: named, dated by acceptance, labelled from court filings. Runs read what was fetched."""

from quiebra.sources.edgar.panel import load

__all__ = ["load"]
