"""What pydantic finds wrong with a value, in words that can be said in another language."""

from __future__ import annotations

from quiebra.words import mark

WORDS = {
    "bool_type": mark("should be true or false"),
    "dict_type": mark("should hold names and values"),
    "finite_number": mark("should be a finite number"),
    "float_type": mark("should be a valid number"),
    "greater_than": mark("should be greater than {gt}"),
    "greater_than_equal": mark("should be greater than or equal to {ge}"),
    "int_from_float": mark("should be a valid integer"),
    "int_type": mark("should be a valid integer"),
    "less_than": mark("should be less than {lt}"),
    "less_than_equal": mark("should be less than or equal to {le}"),
    "list_type": mark("should be a list"),
    "literal_error": mark("should be {expected}"),
    "model_type": mark("should hold names and values"),
    "string_pattern_mismatch": mark("should look like {pattern}"),
    "string_too_long": mark("should have {max_length} signs at most"),
    "string_too_short": mark("should have {min_length} signs at least"),
    "string_type": mark("should be a valid string"),
    "too_long": mark("should have {max_length} parts at most"),
    "too_short": mark("should have {min_length} parts at least"),
}
"""Kind of fault → words; values are those that pydantic gives with it."""
