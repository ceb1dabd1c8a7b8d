"""Vector: vectors that are given, such as embeddings of texts, images or sounds."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from torchrec_ext.data.checked import checked
from torchrec_ext.data.columns import numbers_of
from torchrec_ext.data.features.scale import FLOAT32
from torchrec_ext.errors import InputError

_CHUNK = 1 << 14


@checked
class Vector:
    """What to make of a column of vectors.

    Args:
        width: how many numbers a vector has.
        missing: what stands in for a missing vector: the ``mean`` of training before it is scaled, or
            ``zero``, which comes out as zeros whatever the scale.
        indicator: whether one more number tells, by 1, that it was missing.
        scale: ``standard``: each number has mean 0 and deviation 1 in training; ``unit``: each vector has
            length 1, but zeros stay zeros; ``none``: as they are.
    """

    width: Annotated[int, Field(ge=1)]
    missing: Literal["mean", "zero"] = "mean"
    indicator: bool = False
    scale: Literal["standard", "none", "unit"] = "standard"

    def fit(self, values: pa.Array | np.ndarray) -> "FittedVector":
        """Learns means and deviations from the training part; InputError if the width is another."""
        vectors = _vectors(values, self.width)
        vectors = vectors[~np.isnan(vectors[:, 0])]
        count = max(len(vectors), 1)
        none = np.zeros(self.width)
        mean = sum((chunk.sum(axis=0) for chunk, _ in _chunks(vectors)), none) / count
        squares = (((chunk - mean) ** 2).sum(axis=0) for chunk, _ in _chunks(vectors))
        deviations = np.sqrt(sum(squares, none) / count)
        same = deviations <= 1e-9 * np.abs(vectors).max(axis=0, initial=0)  # rounding alone
        return FittedVector(self, tuple(mean.tolist()), tuple(np.where(same, 1.0, deviations).tolist()))


@checked
class FittedVector:
    """A column of vectors as it was fitted: (width,) means and deviations, 1 where vectors do not differ."""

    options: Vector
    mean: tuple[float, ...]
    spread: tuple[Annotated[float, Field(gt=0)], ...]
    rows = 0

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.spread) == self.options.width:
            raise InputError(
                f"a vector of width {self.options.width} has {len(self.mean)} means and {len(self.spread)} "
                "spreads; fit it again"
            )

    @property
    def width(self) -> int:
        return self.options.width + self.options.indicator

    def transform(self, values: pa.Array | np.ndarray) -> np.ndarray:
        """(N, width) float32 of N vectors; InputError if the width is another."""
        vectors = _vectors(values, self.options.width)
        mean, spread = np.array(self.mean), np.array(self.spread)
        out = np.zeros((len(vectors), self.width), np.float32)
        for chunk, rows in _chunks(vectors):
            missing = np.isnan(chunk[:, 0])
            scaled = np.where(missing[:, None], mean, chunk)
            if self.options.scale == "standard":
                scaled = (scaled - mean) / spread
            elif self.options.scale == "unit":
                scaled = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-100)
            if self.options.missing == "zero":
                scaled[missing] = 0
            out[rows, : self.options.width] = np.clip(scaled, -FLOAT32, FLOAT32)
            if self.options.indicator:
                out[rows, -1] = missing
        return out


def _vectors(values: pa.Array | np.ndarray, width: int) -> np.ndarray:
    """(N, width) float32; a vector with a number that is missing or infinite is NaN as a whole."""
    if isinstance(values, pa.Array):
        numeric = pa.types.is_fixed_size_list(values.type)
        values = numbers_of(values) if numeric else np.empty(len(values), "O")
    if values.ndim != 2 or values.shape[1] != width or not np.issubdtype(values.dtype, np.number):
        raise InputError(
            f"vectors should be numbers of shape (n, {width}), received {values.dtype} of shape "
            f"{values.shape}; set Vector.width or mend the vectors"
        )
    with np.errstate(over="ignore"):
        vectors = values.astype(np.float32, copy=False)
    missing = np.asarray(~np.isfinite(vectors).all(axis=1))
    return np.where(missing[:, None], np.float32(np.nan), vectors) if missing.any() else vectors


def _chunks(vectors: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
    """Some rows at a time as float64, and which: all at once would take twice the memory of the vectors."""
    for start in range(0, len(vectors), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield vectors[rows].astype(np.float64), rows
