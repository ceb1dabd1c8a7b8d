"""Every kind of feature: its options, no NaN comes out, JSON restores it, and training alone decides."""

import json
import math
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.column_features import apply_column, fit_column, kept_rows
from torchrec_ext.data.features import KINDS, Category, Number, Time, Vector, from_json, options_from, to_json
from torchrec_ext.data.features.scale import Scaling
from torchrec_ext.errors import InputError

EXTREME = st.sampled_from([1e300, -1e300, 1e40, 5e-324, math.nan, math.inf])
NUMBERS = st.lists(st.none() | st.floats() | st.floats(-3, 3) | EXTREME)
WORDS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "7", "8"]))
TIMES = st.lists(st.none() | st.floats(0, 2e9))
ROWS = st.lists(
    st.none() | st.lists(st.floats(width=32) | st.floats(-3, 3, width=32), min_size=2, max_size=2)
)
LEARNT = st.sampled_from(["drop", "mean", "median", "most_frequent"])
SCALES = st.sampled_from(get_args(Scaling))
EDGES = st.lists(st.floats(-1e300, 1e300), min_size=1).map(lambda edges: tuple(sorted(edges)))
BY_DATA, BINS = st.sampled_from(["quantile", "log"]), st.integers(2, 12)
PARTS = st.permutations(["hour", "weekday", "month"]).map(tuple)
OPTIONS = {
    "numbers": st.builds(Number, LEARNT, indicator=st.booleans(), scale=SCALES)
    | st.builds(Number, st.just("constant"), st.floats(-1e300, 1e300), scale=SCALES),
    "buckets": st.builds(Number, LEARNT | st.just("unknown"), buckets=BY_DATA, bins=BINS)
    | st.builds(Number, st.just("unknown"), buckets=EDGES),
    "category": st.builds(
        Category, st.sampled_from(["unknown", "drop", "most_frequent"]), min_count=st.integers(1, 3)
    )
    | st.builds(Category, st.just("constant"), fill=st.sampled_from(["a", "z", 7]))
    | st.builds(Category, st.sampled_from(["unknown", "most_frequent"]), hash=st.integers(1, 9)),
    "time": st.builds(Time, PARTS, st.booleans(), st.booleans()),
    "vector": st.builds(Vector, st.just(2), st.sampled_from(["mean", "zero"]), st.booleans(),
                        st.sampled_from(["standard", "none", "unit"])),
}  # fmt: skip
FLOAT, VECTOR = pa.float64(), pa.list_(pa.float32(), 2)
COLUMNS = {
    "numbers": (NUMBERS, NUMBERS, FLOAT), "buckets": (NUMBERS, NUMBERS, FLOAT),
    "category": (WORDS, WORDS, pa.string()), "time": (TIMES, TIMES | NUMBERS, FLOAT),
    "vector": (ROWS, ROWS, VECTOR),
}  # fmt: skip
"""The training part, other values, and the type of the column."""


def fit(values, options):
    return fit_column("f", values, np.ones(len(values), bool), options)


@pytest.mark.parametrize("kind", COLUMNS)
@settings(deadline=None, max_examples=100)
@given(st.data(), st.booleans())
def test_fitted_features(kind, data, as_dictionary):
    """Finite numbers or rows of the table; JSON restores them; training alone decides."""
    learning, others, type = COLUMNS[kind]
    options, training, others = data.draw(OPTIONS[kind]), data.draw(learning), data.draw(others)
    whole = pa.array(others[:2] + training + others[2:], type)
    if as_dictionary and type != VECTOR:
        whole = whole.dictionary_encode()
    learnt = np.arange(len(whole)) - len(others[:2])
    learnt = (learnt >= 0) & (learnt < len(training))
    drops = getattr(options, "missing", None) == "drop"
    gaps = [v is None or (isinstance(v, float) and not math.isfinite(v)) for v in whole.to_pylist()]
    kept = [not (drops and gap) for gap in gaps]
    alone = fit(pa.array(training, type), options)
    for name, fitted in fit_column("f", whole, learnt, options).items():
        saved = to_json(fitted)
        assert saved == to_json(alone[name]) and fitted.rows == alone[name].rows
        vocabulary = getattr(fitted, "vocabulary", None)
        restored = from_json(json.loads(json.dumps(saved, allow_nan=False)), vocabulary)
        assert to_json(restored) == saved
        found = apply_column(fitted, whole)
        assert kept_rows(fitted, whole).tolist() == kept
        np.testing.assert_array_equal(apply_column(restored, whole), found)
        if fitted.rows:
            assert (found.shape, fitted.width) == ((len(whole),), 0)
            assert np.issubdtype(found.dtype, np.integer) and ((found >= 0) & (found < fitted.rows)).all()
        else:
            assert (found.shape, found.dtype) == ((len(whole), fitted.width), np.float32)
            assert np.isfinite(found).all()
        for place in range(len(whole)):
            np.testing.assert_array_equal(apply_column(fitted, whole[place : place + 1])[0], found[place])


def one(values, options, name="f"):
    return fit(pa.array(values), options)[name]


EXAMPLES = {
    "number": one([1.0, 5.0], Number()),
    "quantiles": one([1.0, 5.0, 5.0], Number(scale="quantile")),
    "buckets": one([1.0, 5.0], Number("unknown", buckets=(2, 3))),
    "category": one(["a"], Category("most_frequent")),
    "hashed": one(["a"], Category(hash=5)),
    "hour": one([0.0], Time(), "f_hour"),
    "age": one([0.0, 9.0], Time(age=True), "f_age"),
    "vector": Vector(2).fit(np.array([[1, 2]])),
}


def test_the_format_of_saved_features_is_that_of_earlier_runs():
    scale = {"kind": "standard", "center": 3.0, "spread": 2.0, "quantiles": (), "levels": ()}
    options = {"missing": "mean", "fill": 0.0, "indicator": False, "scale": "standard"}
    options |= {"buckets": None, "bins": 10}
    saved = {which: to_json(fitted) for which, fitted in EXAMPLES.items()}
    number = {"kind": "number", "options": options, "fill": 3.0, "scale": scale, "edges": None}
    assert saved["number"] == number
    assert saved["hour"] == {"kind": "time_part", "part": "hour", "cyclic": False}
    assert saved["category"]["most_frequent"] == "a"
    assert set(saved["category"]) == {"kind", "options", "most_frequent"}
    assert set(saved["age"]) == {"kind", "now", "scale"}
    assert set(saved["vector"]) == {"kind", "options", "mean", "spread"}


def spoilt(saved):
    """Copies of nested tables with a wrong value, an unknown name or a missing name anywhere."""
    for name, value in saved.items():
        yield from ({**saved, name: wrong} for wrong in (math.nan, math.inf, [math.nan], [[]], {"a": 1}))
        yield {**saved, f"{name}s": 1}
        yield {other: kept for other, kept in saved.items() if other != name}
        for inner in spoilt(value) if isinstance(value, dict) else ():
            if name != "options" or inner.keys() >= value.keys():  # options have defaults
                yield {**saved, name: inner}


@pytest.mark.parametrize("which", EXAMPLES)
def test_json_with_a_wrong_value_or_name_anywhere_is_refused(which):
    for found in spoilt(to_json(EXAMPLES[which])):
        with pytest.raises(InputError) as refused:
            from_json(found, getattr(EXAMPLES[which], "vocabulary", None))
        assert "\n" not in str(refused.value)


QUANTILES = to_json(EXAMPLES["quantiles"])["scale"]


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        ("number", {"kind": "numbers"}, "kind of a fitted feature should be .* did you mean 'number'?"),
        ("number", {"scale": None}, "fill, scale and edges do not go with Number"),
        ("number", {"fill": None}, "do not go with"),
        ("number", {"scale": QUANTILES}, "do not go with"),
        ("buckets", {"edges": [3, 2]}, "do not go with"),
        ("vector", {"mean": [1]}, "width 2 has 1 means and 2 spreads"),
        ("vector", {"spread": [1, 0]}, "spread.1 should be greater than 0, received 0"),
        ("category", {}, "a category without hash needs its vocabulary"),
        ("quantiles", {"scale": {**QUANTILES, "quantiles": [], "levels": []}}, "ascend"),
        ("quantiles", {"scale": {**QUANTILES, "quantiles": [5, 1]}}, "ascend"),
        ("quantiles", {"scale": {**QUANTILES, "levels": [0, 2]}}, "ascend"),
        ("quantiles", {"scale": {**QUANTILES, "levels": [1]}}, "ascend"),
    ],
)  # fmt: skip
def test_json_that_does_not_go_together_is_refused(which, change, message):
    with pytest.raises(InputError, match=message):
        from_json({**to_json(EXAMPLES[which]), **change})


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("number", {"missing": "meen"}, "missing should be .* received 'meen'; did you mean 'mean'?"),
        ("number", {"scales": "robust"}, "has no option 'scales'; .*did you mean 'scale'?"),
        ("number", {"fill": math.nan, "missing": "constant"}, "fill should be a finite number, received nan"),
        ("number", {"fill": True, "missing": "constant"}, "fill should be a valid number, received True"),
        ("number", {"fill": 3}, "fill needs missing='constant', received .*fill=3"),
        ("number", {"buckets": "quantiles"}, "buckets should be .* did you mean 'quantile'?"),
        ("number", {"buckets": (2, 1)}, r"buckets should be ascending numbers, received .*\(2.0, 1.0\)"),
        ("number", {"buckets": (0, math.inf)}, r"buckets.1 should be a finite number, received inf"),
        ("number", {"buckets": 5}, "buckets should be 'quantile' or 'log' or a valid tuple, received 5"),
        ("number", {"bins": 20, "buckets": (1,)}, "bins needs buckets='quantile' or 'log'"),
        ("number", {"missing": "unknown"}, "missing='unknown' needs buckets"),
        ("number", {"indicator": True, "buckets": "log"}, "indicator is for numbers without buckets"),
        ("number", {"scale": "robust", "buckets": "log"}, "scale is for numbers without buckets"),
        ("category", {"missing": "constant"}, "fill=None does not go with missing='constant'; set fill"),
        ("category", {"missing": "constant", "fill": 1.5}, "fill should be a valid string or a valid int"),
        ("category", {"fill": "x"}, "fill='x' does not go with missing='unknown'"),
        ("category", {"min_count": 0}, "min_count should be greater than or equal to 1, received 0"),
        ("category", {"hash": 9, "min_count": 2}, "min_count=2 has no effect with hash"),
        ("time", {"parts": ("hours",)}, "parts.0 should be 'hour', .* 'hours'; did you mean 'hour'?"),
        ("time", {"parts": ("hour", "hour")}, "parts should hold each part once"),
        ("time", {"parts": (), "age": True, "cyclic": True}, "parts is empty"),
        ("vector", {"width": 0}, "width should be greater than or equal to 1, received 0"),
        ("vector", {}, "width has no default; set it"),
        ("numbr", {}, "kind of a feature should be 'number' or .*; did you mean 'number'?"),
        ([], {}, "kind of a feature should be"),
    ],
)
def test_wrong_options_are_refused(kind, options, message):
    name = str(kind).title() if str(kind) in KINDS else ""
    with pytest.raises(InputError, match=f"{name}.?{message}"):
        options_from({"kind": kind, **options})
    with pytest.raises(InputError, match="a feature should be a table of names and values"):
        options_from(kind)
