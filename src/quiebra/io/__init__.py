"""Atomic file writing, spreadsheet-safe exports, safe YAML parsing, and process identification."""
