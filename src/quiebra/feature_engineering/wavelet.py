"""Counts of the values below a given one within any range of rows, by a wavelet matrix in bits.

Source: F. Claude, G. Navarro and A. Ordóñez (2015), The wavelet matrix: An efficient wavelet tree for large alphabets,
Information Systems 47, 15-32.
"""

from __future__ import annotations

import numpy as np

WORD = 64
_BITS_BEFORE = (np.uint64(1) << np.arange(WORD, dtype=np.uint64)) - np.uint64(1)
"""Masks of the bits before each place in a word."""


class WaveletMatrix:
    """Columns of values whose ranks among any consecutive rows can be looked up, in a time that hardly depends on the rows.

    It takes some three bytes a value. columns: columns × rows; what is not finite is missing.
    """

    def __init__(self, columns: np.ndarray) -> None:
        known = np.isfinite(columns)
        self.distinct = [np.unique(column[own]) for column, own in zip(columns, known, strict=True)]
        codes = [np.searchsorted(values, column) for values, column in zip(self.distinct, columns, strict=True)]
        of = [np.where(own, code, len(values)) for own, code, values in zip(known, codes, self.distinct, strict=True)]
        self._bits = range(max((len(values) for values in self.distinct), default=0).bit_length())[::-1]
        self.words_a_column = columns.shape[1] // WORD + 1
        shape = (len(self._bits), len(columns), self.words_a_column)
        self._words, self._before = np.zeros(shape, dtype=np.uint64), np.zeros(shape, dtype=np.int32)
        self._zeros = np.zeros(shape[:2], dtype=np.int64)
        for at, code in enumerate(of):
            self._add(at, code)

    def _add(self, column: int, codes: np.ndarray) -> None:
        """Note, from the highest bit of the codes to the lowest, which of them lack it, and put these first."""
        for level, bit in enumerate(self._bits):
            lacks = (codes >> bit) & 1 == 0
            packed = np.zeros(self.words_a_column * WORD // 8, dtype=np.uint8)
            bits = np.packbits(lacks, bitorder="little")
            packed[: len(bits)] = bits
            words = packed.view("<u8")
            self._words[level, column] = words
            self._before[level, column, 1:] = np.cumsum(np.bitwise_count(words[:-1]))
            self._zeros[level, column] = lacks.sum()
            codes = np.concatenate([codes[lacks], codes[~lacks]])

    def counts_below(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many values of each column are below each value, and how many are below or equal (rows × columns), from row
        ``starts`` to before row ``ends``. values: rows × columns; a missing one has counts without a meaning."""
        codes, ties = self._places(values)
        column = np.tile(np.arange(values.shape[1]), len(values))
        of = np.repeat(np.arange(len(values)), values.shape[1])
        below = self._counts(column, starts[of], ends[of], codes.ravel())
        upto, tied = below.copy(), np.flatnonzero(ties)
        if len(tied):
            at = of[tied]
            upto[tied] = self._counts(column[tied], starts[at], ends[at], codes.ravel()[tied] + 1)
        return below.reshape(values.shape), upto.reshape(values.shape)

    def _places(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many distinct values of its column are below each value, and whether it is one of them."""
        codes, ties = np.zeros(values.shape, dtype=np.int64), np.zeros(values.shape, dtype=bool)
        for at, known in enumerate(self.distinct):
            if len(known):
                order = np.argsort(values[:, at])  # in order, a search goes on from where the last one ended
                own = values[order, at]
                found = np.searchsorted(known, own)
                codes[order, at], ties[order, at] = found, known[np.minimum(found, len(known) - 1)] == own
        return codes, ties

    def _counts(self, column: np.ndarray, starts: np.ndarray, ends: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return how many values of a column, from row ``starts`` to before row ``ends``, have a lower code."""
        span = np.stack([starts, ends])
        found, base = np.zeros(len(codes), dtype=np.int64), column * self.words_a_column
        for words, before, zeros, bit in zip(self._words, self._before, self._zeros, self._bits, strict=True):
            at = (span >> 6) + base  # 64 to a word; dividing takes longer
            lacking = np.bitwise_count(words.take(at) & _BITS_BEFORE.take(span & (WORD - 1))) + before.take(at)
            has = (codes >> bit & 1).astype(bool)
            found += (lacking[1] - lacking[0]) * has
            span = np.where(has, span - lacking + zeros.take(column), lacking)
        return found
