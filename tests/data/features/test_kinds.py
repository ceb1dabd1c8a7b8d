"""Every kind of fitted feature: no NaN comes out, JSON restores it, and training alone decides."""

import ast
import copy
import json
import math
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchrec_ext
from torchrec_ext.data.column_features import apply_column, fit_column, kept_rows
from torchrec_ext.data.features import Category, Number, Time, Vector, from_json, to_json
from torchrec_ext.data.features.scale import Scaling
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

EXTREME = st.sampled_from([1e300, -1e300, 1e40, 5e-324, math.nan, math.inf])
NUMBERS = st.lists(st.none() | st.floats() | st.floats(-3, 3) | EXTREME)
WORDS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "7", "8"]))
TIMES = st.lists(st.none() | st.floats(0, 2e9))
ROWS = st.lists(
    st.none() | st.lists(st.floats(width=32) | st.floats(-3, 3, width=32), min_size=2, max_size=2)
)
SCALES = st.sampled_from(get_args(Scaling))
LEARNT = ["drop", "mean", "median", "most_frequent"]

AS_NUMBERS = st.builds(Number, st.sampled_from(LEARNT), indicator=st.booleans(), scale=SCALES) | st.builds(
    Number, st.just("constant"), st.floats(-1e300, 1e300), scale=SCALES
)
EDGES = st.lists(st.floats(-1e300, 1e300), min_size=1).map(lambda edges: tuple(sorted(edges)))
AS_BUCKETS = st.builds(
    Number,
    st.sampled_from([*LEARNT, "unknown"]),
    buckets=st.sampled_from(["quantile", "log"]),
    bins=st.integers(2, 12),
) | st.builds(Number, st.just("unknown"), buckets=EDGES)
AS_CATEGORY = (
    st.builds(Category, st.sampled_from(["unknown", "drop", "most_frequent"]), min_count=st.integers(1, 3))
    | st.builds(Category, st.just("constant"), fill=st.sampled_from(["a", "z", 7]))
    | st.builds(Category, st.sampled_from(["unknown", "most_frequent"]), hash=st.integers(1, 9))
)
AS_TIME = st.builds(
    Time, st.permutations(["hour", "weekday", "month"]).map(tuple), st.booleans(), st.booleans()
)
OF_VECTORS = st.sampled_from(["standard", "none", "unit"])
AS_VECTOR = st.builds(Vector, st.just(2), st.sampled_from(["mean", "zero"]), st.booleans(), OF_VECTORS)
FLOAT, VECTOR = pa.float64(), pa.list_(pa.float32(), 2)
COLUMNS = {
    "numbers": st.tuples(AS_NUMBERS, NUMBERS, NUMBERS, st.just(FLOAT)),
    "buckets": st.tuples(AS_BUCKETS, NUMBERS, NUMBERS, st.just(FLOAT)),
    "category": st.tuples(AS_CATEGORY, WORDS, WORDS, st.just(pa.string())),
    "time": st.tuples(AS_TIME, TIMES, TIMES | NUMBERS, st.just(FLOAT)),
    "vector": st.tuples(AS_VECTOR, ROWS, ROWS, st.just(VECTOR)),
}
"""Options, the training part, other values, and the type of the column."""


def fit(values, options):
    return fit_column("f", values, np.ones(len(values), bool), options)


@pytest.mark.parametrize("kind", COLUMNS)
@settings(deadline=None, max_examples=100)
@given(st.data(), st.booleans())
def test_fitted_features(kind, data, as_dictionary):
    """Finite numbers or rows of the table; JSON restores them; training alone decides."""
    options, training, others, type = data.draw(COLUMNS[kind])
    whole = pa.array(others[:2] + training + others[2:], type)
    if as_dictionary and type != VECTOR:
        whole = whole.dictionary_encode()
    learnt = np.zeros(len(whole), bool)
    learnt[len(others[:2]) :][: len(training)] = True
    alone = fit(pa.array(training, type), options)
    for name, fitted in fit_column("f", whole, learnt, options).items():
        saved = to_json(fitted)
        assert saved == to_json(alone[name]) and fitted.rows == alone[name].rows
        vocabulary = getattr(fitted, "vocabulary", None)
        restored = from_json(json.loads(json.dumps(saved, allow_nan=False)), vocabulary)
        assert to_json(restored) == saved
        found, kept = apply_column(fitted, whole), kept_rows(fitted, whole)
        np.testing.assert_array_equal(apply_column(restored, whole), found)
        if fitted.rows:
            assert (found.shape, fitted.width) == ((len(whole),), 0)
            assert np.issubdtype(found.dtype, np.integer) and ((found >= 0) & (found < fitted.rows)).all()
        else:
            assert (found.shape, found.dtype) == ((len(whole), fitted.width), np.float32)
            assert np.isfinite(found).all()
        for place in range(len(whole)):
            np.testing.assert_array_equal(apply_column(fitted, whole[place : place + 1])[0], found[place])
            assert kept_rows(fitted, whole[place : place + 1])[0] == kept[place]


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
    options = {
        "missing": "mean",
        "fill": 0.0,
        "indicator": False,
        "scale": "standard",
        "buckets": None,
        "bins": 10,
    }
    number = {"kind": "number", "options": options, "fill": 3.0, "scale": scale, "edges": None}
    assert to_json(EXAMPLES["number"]) == number
    assert to_json(EXAMPLES["category"])["most_frequent"] == "a"
    assert to_json(EXAMPLES["category"]).keys() == {"kind", "options", "most_frequent"}
    assert to_json(EXAMPLES["hour"]) == {"kind": "time_part", "part": "hour", "cyclic": False}
    assert to_json(EXAMPLES["age"]).keys() == {"kind", "now", "scale"}
    assert to_json(EXAMPLES["vector"]).keys() == {"kind", "options", "mean", "spread"}


def paths(found, before=()):
    """Every place in nested tables."""
    for name, value in found.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from paths(value, (*before, name))


MAY_BE = {
    -3.5: {
        f"{of}.{number}"
        for of in ("number", "quantiles", "age")
        for number in ("fill", "scale.center", "now")
    },
    "nonsense": {"category.most_frequent", "hashed.most_frequent"},
}
QUANTILES = to_json(EXAMPLES["quantiles"])["scale"]
PLACES = [(which, path) for which, fitted in EXAMPLES.items() for path in paths(to_json(fitted))]


@pytest.mark.parametrize(("which", "path"), PLACES, ids=lambda p: p if isinstance(p, str) else ".".join(p))
def test_json_with_a_wrong_value_or_name_anywhere_is_refused(which, path):
    def refuse(change):
        found = copy.deepcopy(to_json(EXAMPLES[which]))
        at = found
        for name in path[:-1]:
            at = at[name]
        change(at)
        with pytest.raises(InputError) as refused:
            from_json(found, getattr(EXAMPLES[which], "vocabulary", None))
        assert "\n" not in str(refused.value)

    for wrong in (math.nan, math.inf, "nonsense", [math.nan], [[]], {"a": 1}, -3.5):
        if isinstance(wrong, list | dict) or ".".join((which, *path)) not in MAY_BE.get(wrong, ()):
            refuse(lambda at: at.update({path[-1]: wrong}))  # noqa: B023
    refuse(lambda at: at.update({f"{path[-1]}s": 1}))
    if path[0] != "options" or len(path) == 1:  # options have defaults
        refuse(lambda at: at.pop(path[-1]))


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        ("number", {"kind": "numbers"}, "kind of a fitted feature should be .* did you mean 'number'?"),
        ("number", {"scale": None}, "fill, scale and edges do not go with Number"),
        ("number", {"edges": [1.0]}, "do not go with"),
        ("number", {"fill": None}, "do not go with"),
        ("number", {"scale": QUANTILES}, "do not go with"),
        ("buckets", {"edges": [3, 2]}, "do not go with"),
        ("vector", {"mean": [1]}, "width 2 has 1 means and 2 spreads"),
        ("vector", {"spread": [1, 0]}, "spread.1 should be greater than 0, received 0"),
        ("category", {}, "a category without hash needs its vocabulary"),
        *(
            ("quantiles", {"scale": {**QUANTILES, "quantiles": numbers, "levels": levels}}, "ascend")
            for numbers, levels in (([], []), ([2, 1], [0, 1]), ([1, 2], [0, 2]), ([1, 2], [1]))
        ),
    ],
)  # fmt: skip
def test_json_that_does_not_go_together_is_refused(which, change, message):
    with pytest.raises(InputError, match=message):
        from_json({**to_json(EXAMPLES[which]), **change})


def test_a_category_comes_back_with_its_vocabulary(tmp_path):
    fitted = one(["b", None, "a"], Category("most_frequent"))
    fitted.vocabulary.save(tmp_path / "maker.parquet")
    again = from_json(to_json(fitted), Vocabulary.load(tmp_path / "maker.parquet"))
    assert again.transform(pa.array(["a", None, "z"])).tolist() == [2, 1, 0]


def test_no_file_imports_torch():
    files = list((Path(torchrec_ext.__file__).parent / "data" / "features").glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names}.isdisjoint({"torch", "torchrec"}), file.name
