"""Options of every kind of feature: from plain values, and refused in one line."""

import math

import pytest

from torchrec_ext.data.features import Category, Number, Time, Vector, options_from
from torchrec_ext.errors import InputError


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ({"kind": "number"}, Number()),
        ({"kind": "number", "missing": "median", "scale": "robust"}, Number("median", scale="robust")),
        ({"kind": "number", "buckets": [0, 1.5]}, Number(buckets=(0, 1.5))),
        ({"kind": "category", "hash": 100}, Category(hash=100)),
        ({"kind": "time", "parts": ["month"], "age": True}, Time(("month",), age=True)),
        ({"kind": "vector", "width": 3}, Vector(3)),
    ],
)
def test_options_from_plain_values(found, options):
    assert options_from(found) == options and hash(options_from(found)) == hash(options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Number, {"missing": "meen"}, "missing should be .* received 'meen'; did you mean 'mean'?"),
        (Number, {"scales": "robust"}, "has no option 'scales'; .*did you mean 'scale'?"),
        (Number, {"fill": math.nan, "missing": "constant"}, "fill should be a finite number, received nan"),
        (Number, {"fill": True, "missing": "constant"}, "fill should be a valid number, received True"),
        (Number, {"fill": 3}, "fill needs missing='constant', received .*fill=3"),
        (Number, {"buckets": "quantiles"}, "buckets should be .* did you mean 'quantile'?"),
        (Number, {"buckets": ()}, "buckets should be ascending numbers"),
        (Number, {"buckets": (2, 1)}, r"buckets should be ascending numbers, received .*\(2.0, 1.0\)"),
        (Number, {"buckets": (0, math.inf)}, r"buckets.1 should be a finite number, received inf"),
        (Number, {"buckets": 5}, "buckets should be 'quantile' or 'log' or a valid tuple, received 5"),
        (Number, {"buckets": "log", "bins": 1}, "bins should be greater than or equal to 2, received 1"),
        (Number, {"bins": 20, "buckets": (1,)}, "bins needs buckets='quantile' or 'log'"),
        (Number, {"missing": "unknown"}, "missing='unknown' needs buckets"),
        (Number, {"indicator": True, "buckets": "log"}, "indicator is for numbers without buckets"),
        (Number, {"scale": "robust", "buckets": "log"}, "scale is for numbers without buckets"),
        (Category, {"missing": "constant"}, "fill=None does not go with missing='constant'; set fill"),
        (Category, {"missing": "constant", "fill": 1.5}, "fill should be a valid string or a valid integer"),
        (Category, {"fill": "x"}, "fill='x' does not go with missing='unknown'"),
        (Category, {"min_count": 0}, "min_count should be greater than or equal to 1, received 0"),
        (Category, {"hash": 9, "min_count": 2}, "min_count=2 has no effect with hash"),
        (Time, {"parts": ("hours",)}, "parts.0 should be 'hour', .* 'hours'; did you mean 'hour'?"),
        (Time, {"parts": ("hour", "hour")}, "parts should hold each part once"),
        (Time, {"parts": (), "age": True, "cyclic": True}, "parts is empty"),
        (Vector, {"width": 0}, "width should be greater than or equal to 1, received 0"),
        (Vector, {}, "width has no default; set it"),
    ],
)
def test_wrong_options_are_refused(kind, options, message):
    with pytest.raises(InputError, match=f"{kind.__name__}.?{message}"):
        kind(**options)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"kind": "numbr"}, "kind of a feature should be 'number' or .*; did you mean 'number'?"),
        *((wrong, "kind of a feature should be") for wrong in ({"kind": []}, {})),
        *((wrong, "a feature should be a table of names and values") for wrong in ("number", None)),
        ({"kind": "number", "missing": "meen"}, "Number.missing should be .* did you mean 'mean'?"),
    ],
)
def test_wrong_plain_values_are_refused(found, message):
    with pytest.raises(InputError, match=message):
        options_from(found)
