"""Widgets and markup of the pages: charts, tables, controls, HTML and colours."""
