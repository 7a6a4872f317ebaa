"""Pydantic's error types as messages that can be translated."""

from __future__ import annotations

FAULT_MESSAGES = {
    "bool_type": "should be true or false",
    "dict_type": "should hold names and values",
    "finite_number": "should be a finite number",
    "float_type": "should be a valid number",
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be greater than or equal to {ge}",
    "int_from_float": "should be a valid integer",
    "int_type": "should be a valid integer",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be less than or equal to {le}",
    "list_type": "should be a list",
    "literal_error": "should be {expected}",
    "model_type": "should hold names and values",
    "string_pattern_mismatch": "should look like {pattern}",
    "string_too_long": "should have {max_length} or fewer characters",
    "string_too_short": "should have {min_length} or more characters",
    "string_type": "should be a valid string",
    "too_long": "should have {max_length} or fewer entries",
    "too_short": "should have {min_length} or more entries",
}
"""Pydantic error type → message; its values come from the error's context."""
