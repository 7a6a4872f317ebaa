"""What an idea is: a hash that is the same for the same estimator or function, whichever process, file or cell it stands in.

Parameters count, and the code of what a researcher has written; the code of installed packages does not, their names do. Code is
taken as compiled, so that comments, blank lines and the place in a file do not count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import functools
import hashlib
import inspect
import pickle
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from quiebra.errors import ResearchError
from quiebra.provenance import json_sha256

TABLES = (pd.DataFrame, pd.Series, pl.DataFrame, pl.Series, pl.LazyFrame)


def idea_hash(thing: Any) -> str:
    """Return the hash of an estimator, a function, or a value. ResearchError where a part of it cannot be described."""
    return json_sha256(_Describer().describe(thing))


def tables_used(function: Any) -> bool:
    """Return whether a function uses a table that it is not given: of its closure, its defaults, or the notebook's variables."""
    describer = _Describer()
    with contextlib.suppress(ResearchError):  # a part that cannot be described is no table
        describer.describe(function)
    return describer.has_table


class _Describer:
    """Describes things as JSON values. Things that refer to themselves are described once."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._kept: list[Any] = []
        self.has_table = False

    def describe(self, thing: Any) -> Any:
        if isinstance(thing, np.generic):
            thing = thing.item()
        if thing is None or isinstance(thing, (bool, int, str)):
            return thing
        if isinstance(thing, (float, complex, bytes)):
            return [type(thing).__name__, repr(thing)]
        if id(thing) in self._places:
            return ["again", self._places[id(thing)]]
        self._places[id(thing)] = len(self._places)
        self._kept.append(thing)  # so that no other thing gets its id
        return self._described(thing)

    def _described(self, thing: Any) -> Any:
        for kinds, how in (
            ((list, tuple), lambda: ["list", [self.describe(each) for each in thing]]),
            ((set, frozenset), lambda: ["set", sorted(repr(self.describe(each)) for each in thing)]),
            (Mapping, lambda: ["map", [[self.describe(key), self.describe(value)] for key, value in thing.items()]]),
            (TABLES, lambda: self._table(thing)),
            (ModuleType, lambda: ["module", thing.__name__]),
            (type, lambda: self._class(thing)),
            (functools.partial, lambda: ["partial", *map(self.describe, (thing.func, thing.args, thing.keywords))]),
            (MethodType, lambda: ["method", self.describe(thing.__func__), self.describe(thing.__self__)]),
            (FunctionType, lambda: self._function(thing)),
            (BuiltinFunctionType, lambda: ["function", thing.__module__, thing.__qualname__]),
            (CodeType, lambda: self._code(thing)),
            (property, lambda: ["property", self.describe(thing.fget)]),
            ((staticmethod, classmethod), lambda: ["method of class", self.describe(thing.__func__)]),
            (np.random.RandomState, lambda: ["random", repr(thing.get_state(legacy=False))]),
        ):
            if isinstance(thing, kinds):
                return how()
        return self._object(thing)

    def _table(self, table: Any) -> Any:
        self.has_table = True
        whole = table.collect() if isinstance(table, pl.LazyFrame) else table
        frame = whole.to_frame() if isinstance(whole, (pl.Series, pd.Series)) else whole
        if isinstance(frame, pl.DataFrame):
            return ["table", [str(name) for name in frame.columns], int(frame.hash_rows(seed=1).sum()) if frame.width else 0]
        return ["table", [str(name) for name in frame.columns], str(pd.util.hash_pandas_object(frame).sum())]

    def _class(self, kind: type) -> Any:
        if not is_own_code(kind):
            return ["class", kind.__module__, kind.__qualname__]
        parts = [
            [name, self.describe(part)]
            for name, part in sorted(vars(kind).items())
            if (callable(part) or not name.startswith("__")) and name not in ("__dict__", "__weakref__", "_abc_impl")
        ]
        return ["own class", kind.__qualname__, [self.describe(base) for base in kind.__bases__], parts]

    def _function(self, function: FunctionType) -> Any:
        if not is_own_code(function):
            return ["function", function.__module__, function.__qualname__]
        closure = [_cell(cell) for cell in function.__closure__ or ()]
        names = _names(function.__code__)
        used = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
        return [
            "own function",
            self._code(function.__code__),
            self.describe(function.__defaults__),
            self.describe(function.__kwdefaults__),
            [self.describe(value) for value in closure],
            [[name, self.describe(value)] for name, value in used.items()],
        ]

    def _code(self, code: CodeType) -> Any:
        constants = [self.describe(constant) for constant in code.co_consts]
        return ["code", code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames), list(code.co_freevars)]

    def _object(self, thing: Any) -> Any:
        kind = self.describe(type(thing))
        if isinstance(thing, np.ndarray) and thing.dtype != object:
            content = hashlib.sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()
            return ["array", str(thing.dtype), list(thing.shape), content]
        if hasattr(thing, "get_params"):
            return ["estimator", kind, self._parts(thing.get_params(deep=False))]
        state = getattr(thing, "__dict__", None)
        if state is not None and (is_own_code(type(thing)) or dataclasses.is_dataclass(thing)):
            return ["object", kind, self._parts(state)]
        try:
            return ["pickled", kind, hashlib.sha256(pickle.dumps(thing, protocol=5)).hexdigest()]
        except Exception as error:
            if state is not None:
                return ["object", kind, self._parts(state)]
            raise ResearchError(
                f"a {type(thing).__name__} cannot be told from another, as it cannot be pickled: {error!s:.200}"
            ) from error

    def _parts(self, parts: Mapping[str, Any]) -> list[Any]:
        return [[name, self.describe(value)] for name, value in sorted(parts.items())]


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Return the folders of installed packages, Python's own among them, and of this package."""
    paths = {*sysconfig.get_paths().values(), *site.getsitepackages(), sys.base_prefix, str(Path(__file__).parents[1])}
    return tuple(Path(path).resolve() for path in paths)


def is_own_code(thing: Any) -> bool:
    """Return whether a class or function was written by the researcher: in a notebook, a script, or a module of their own."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    if module is None or module.__name__ in ("__main__", "__mp_main__"):
        return True
    path = getattr(module, "__file__", None)
    if path is None:
        return module.__name__ not in sys.builtin_module_names and not hasattr(module, "__loader__")
    return not any(Path(path).resolve().is_relative_to(folder) for folder in _installed())


def _names(code: CodeType) -> set[str]:
    """Return the names of globals that a function or one inside it uses; names of attributes are none."""
    found = {str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if inspect.iscode(constant):
            found |= _names(constant)
    return found


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def fitted_parts(things: Iterable[Any]) -> list[str]:
    """Return the names of the classes of what is fitted already, by the attributes that scikit-learn's convention gives."""
    found = []
    for thing in things:
        state = getattr(thing, "__dict__", {}) if hasattr(thing, "fit") and not isinstance(thing, type) else {}
        if any(name.endswith("_") and not name.startswith("_") for name in state):
            found.append(type(thing).__name__)
    return found
