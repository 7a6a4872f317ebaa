"""Publishing: one execution, one publisher (Quarto), one fallback (pandoc and Typst), the same figures in both."""

from quiebra.reports.publisher import Published, publish_report
from quiebra.reports.risk_report import page_metadata, risk_report
from quiebra.reports.tables import amount, interval, percent, table

__all__ = ["Published", "amount", "interval", "page_metadata", "percent", "publish_report", "risk_report", "table"]
