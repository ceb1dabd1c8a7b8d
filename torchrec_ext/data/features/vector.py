"""Vector: vectors that are given, such as embeddings of texts, images or sounds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.features.plain import FINITES, FLAG, expect_options, one_of, plain, read, whole
from torchrec_ext.data.features.vectors_of import Vectors, vectors_of
from torchrec_ext.errors import InputError

MISSING = ("mean", "zero")
SCALES = ("standard", "none", "unit")

_FLOAT32 = float(np.finfo(np.float32).max)
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Vector:
    """What to make of a column of vectors.

    Args:
        width: how many numbers a vector has.
        missing: what stands in for a missing vector: the ``mean`` of training before it is scaled, or
            ``zero``, which comes out as zeros whatever the scale.
        indicator: whether one more number tells, by 1, that it was missing.
        scale: ``standard``: each number has mean 0 and deviation 1 in training; ``unit``: each vector has
            length 1, but zeros stay zeros; ``none``: as they are.

    Raises:
        InputError: if an option is none of these.
    """

    width: int
    missing: str = "mean"
    indicator: bool = False
    scale: str = "standard"

    def __post_init__(self) -> None:
        expect_options(self, width=whole(1), missing=one_of(MISSING), indicator=FLAG, scale=one_of(SCALES))


@dataclass(frozen=True)
class FittedVector:
    """A column of vectors as it was fitted on the training part.

    Args:
        options: what was declared.
        mean: (width,) of the training vectors.
        spread: (width,) deviations of the training vectors; 1 where they do not differ.

    Example:
        >>> vectors = np.array([[3, 4], [np.nan, np.nan], [3, 8]], np.float32)
        >>> fit_vector(vectors, Vector(2)).apply(vectors)
        array([[ 0., -1.],
               [ 0.,  0.],
               [ 0.,  1.]], dtype=float32)
        >>> fit_vector(vectors, Vector(2, "zero", indicator=True, scale="unit")).apply(vectors[:2])
        array([[0.6, 0.8, 0. ],
               [0. , 0. , 1. ]], dtype=float32)
    """

    options: Vector
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    rows = 0
    """A value becomes numbers, not a row."""

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.spread) == self.options.width:
            raise InputError(
                f"a vector of width {self.options.width} has {len(self.mean)} means and {len(self.spread)} "
                "spreads; fit it again"
            )
        if min(self.spread) <= 0:
            raise InputError(
                f"spreads of a vector should be above 0, received {min(self.spread)}; fit it again"
            )

    @property
    def width(self) -> int:
        """How many numbers a vector becomes, the indicator included."""
        return self.options.width + self.options.indicator

    def kept(self, values: Vectors) -> np.ndarray:
        """(n,) bool, which vectors may be trained on: all."""
        return np.ones(len(values), bool)

    def apply(self, values: Vectors) -> np.ndarray:
        """(n, width) float32 of n vectors.

        Raises:
            InputError: if the values are no vectors of this width.
        """
        vectors = vectors_of(values, self.options.width)
        mean, spread = np.array(self.mean), np.array(self.spread)
        out = np.zeros((len(vectors), self.width), np.float32)
        for chunk, rows in _chunks(vectors):
            missing = np.isnan(chunk[:, 0])
            scaled = _scaled(np.where(missing[:, None], mean, chunk), self.options.scale, mean, spread)
            if self.options.missing == "zero":
                scaled[missing] = 0
            out[rows, : self.options.width] = np.clip(scaled, -_FLOAT32, _FLOAT32)
            if self.options.indicator:
                out[rows, -1] = missing
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads."""
        return {
            "kind": "vector",
            "options": plain(self.options),
            "mean": list(self.mean),
            "spread": list(self.spread),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], options: Vector) -> "FittedVector":
        """Reads what :meth:`to_json` made but its kind and options; raises InputError if it is not that."""
        return cls(options, **read("a vector", found, {"mean": FINITES, "spread": FINITES}))


def fit_vector(values: Vectors, options: Vector) -> FittedVector:
    """Learns mean and deviation of each number from the vectors that are there.

    Args:
        values: vectors of the training part alone.
        options: what to make of them.

    Raises:
        InputError: if the values are no vectors of this width.
    """
    vectors = vectors_of(values, options.width)
    vectors = vectors[~np.isnan(vectors[:, 0])]
    count = max(len(vectors), 1)
    total, squares = np.zeros(options.width), np.zeros(options.width)
    for chunk, _ in _chunks(vectors):
        total += chunk.sum(axis=0)
    mean = total / count
    for chunk, _ in _chunks(vectors):
        squares += ((chunk - mean) ** 2).sum(axis=0)
    deviations = np.sqrt(squares / count)
    same = deviations <= 1e-9 * np.abs(vectors).max(axis=0, initial=0)  # rounding alone
    spread = np.where(same, 1.0, deviations)
    return FittedVector(options, tuple(mean.tolist()), tuple(spread.tolist()))


def _scaled(vectors: np.ndarray, scale: str, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    if scale == "standard":
        return (vectors - mean) / spread
    if scale == "unit":
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-100)
    return vectors


def _chunks(vectors: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
    """Some rows at a time as float64, and which: all at once would take twice the memory of the vectors."""
    for start in range(0, len(vectors), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield vectors[rows].astype(np.float64), rows
