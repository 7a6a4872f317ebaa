"""Column types that raise `UnreadableValue` for a stored value of another type instead of passing it on.

SQLite accepts any value in any column, so a damaged disk or another program may have written one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class UnreadableValue(ValueError):
    """A value in the database does not have its column's type."""


class _Checked(TypeDecorator[Any]):
    kind: ClassVar[str]
    right: ClassVar[tuple[type, ...]] = (object,)
    """Types that SQLite returns if SQLAlchemy converts nothing."""

    @property
    def python_type(self) -> type[Any]:
        return self.impl_instance.python_type

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        if dialect.name != "sqlite":  # other databases check types on writing
            return read

        def checked(value: Any) -> Any:
            try:
                made = read(value) if read else value
            except (ValueError, TypeError, RecursionError):
                raise self._garbled(value) from None
            if made is not None and not isinstance(made, self.right):
                raise self._garbled(value)
            return made

        return checked

    def _garbled(self, value: Any) -> UnreadableValue:
        return UnreadableValue(f"a value is no {self.kind}: {str(value)[:60]!r}")


class JSON(_Checked):
    impl, cache_ok, kind = sa.JSON, True, "JSON"


class WrittenJSON(JSON):
    """JSON that is stored as it was written: a value is given as bytes, and read as what they say."""

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], Any]:
        if dialect.name == "postgresql":
            from psycopg.types.json import Json

            return partial(Json, dumps=bytes.__bytes__)
        return bytes.decode


class Date(_Checked):
    impl, cache_ok, kind = sa.Date, True, "date"


class DateTime(_Checked):
    impl, cache_ok, kind = sa.DateTime, True, "date and time"


class Float(_Checked):
    impl, cache_ok, kind, right = sa.Float, True, "number", (int, float)


class Integer(_Checked):
    impl, cache_ok, kind, right = sa.Integer, True, "whole number", (int,)


class BigInteger(_Checked):
    impl, cache_ok, kind, right = sa.BigInteger, True, "whole number", (int,)


class String(_Checked):
    impl, cache_ok, kind, right = sa.String, True, "text", (str,)


class Text(_Checked):
    impl, cache_ok, kind, right = sa.Text, True, "text", (str,)


class LargeBinary(_Checked):
    impl, cache_ok, kind, right = sa.LargeBinary, True, "content", (bytes,)
