"""What every fitted feature keeps: no NaN comes out, JSON restores it, and training alone decides."""

import ast
import copy
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchrec_ext
from torchrec_ext.data.features import Category, Number, Time, Vector, fit, from_json
from torchrec_ext.data.features.category import MISSING as OF_CATEGORIES
from torchrec_ext.data.features.number import MISSING as OF_NUMBERS
from torchrec_ext.data.features.scale import SCALES
from torchrec_ext.data.features.time_part import PARTS
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

EXTREME = st.sampled_from([1e300, -1e300, 1e40, 5e-324, math.nan, math.inf])
NUMBERS = st.lists(st.none() | st.floats() | st.floats(-3, 3) | st.integers(-3, 3) | EXTREME)
WORDS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "7"]) | st.integers(5, 8))
TIMES = st.lists(st.none() | st.floats() | st.integers(0, 2 * 10**9))
ROW = st.lists(st.floats(width=32) | st.integers(-3, 3), min_size=2, max_size=2)
FILLED_BY_LEARNING = [missing for missing in OF_NUMBERS if missing not in ("constant", "unknown")]

AS_NUMBERS = st.builds(
    Number, st.sampled_from(FILLED_BY_LEARNING), indicator=st.booleans(), scale=st.sampled_from(SCALES)
) | st.builds(Number, st.just("constant"), st.floats(-1e300, 1e300), scale=st.sampled_from(SCALES))
AS_BUCKETS = st.builds(
    Number,
    st.sampled_from([*FILLED_BY_LEARNING, "unknown"]),
    buckets=st.sampled_from(["quantile", "log"]),
    bins=st.integers(2, 12),
) | st.builds(
    Number,
    st.just("unknown"),
    buckets=st.lists(st.floats(-1e300, 1e300), min_size=1).map(lambda edges: tuple(sorted(edges))),
)
AS_CATEGORY = (
    st.builds(
        Category,
        st.sampled_from([missing for missing in OF_CATEGORIES if missing != "constant"]),
        min_count=st.integers(1, 3),
    )
    | st.builds(Category, st.just("constant"), fill=st.sampled_from(["a", "z", 7]))
    | st.builds(Category, st.sampled_from(["unknown", "most_frequent"]), hash=st.integers(1, 9))
)
AS_TIME = st.builds(Time, st.permutations(list(PARTS)).map(tuple), st.booleans(), st.booleans())
AS_VECTOR = st.builds(
    Vector,
    st.just(2),
    st.sampled_from(["mean", "zero"]),
    st.booleans(),
    st.sampled_from(["standard", "none", "unit"]),
)
COLUMNS = {
    "numbers": st.tuples(AS_NUMBERS, NUMBERS, NUMBERS),
    "buckets": st.tuples(AS_BUCKETS, NUMBERS, NUMBERS),
    "category": st.tuples(AS_CATEGORY, WORDS, WORDS),
    "time": st.tuples(AS_TIME, st.lists(st.none() | st.integers(0, 2 * 10**9)), TIMES),
    "vector": st.tuples(AS_VECTOR, st.lists(st.none() | ROW), st.lists(st.none() | ROW)),
}
"""Options, the training part, and other values."""


def restored(fitted):
    text = json.dumps(fitted.to_json(), allow_nan=False)
    return from_json(json.loads(text), getattr(fitted, "vocabulary", None))


@pytest.mark.parametrize("kind", COLUMNS)
@settings(deadline=None, max_examples=100)
@given(st.data())
def test_apply_gives_finite_numbers_or_rows_of_the_table_and_json_gives_the_same(kind, data):
    options, training, values = data.draw(COLUMNS[kind])
    for fitted in fit("feature", training, options).values():
        for some in (training, values):
            found = fitted.apply(some)
            if fitted.rows:
                assert (found.shape, found.dtype, fitted.width) == ((len(some),), np.int64, 0)
                assert ((found >= 0) & (found < fitted.rows)).all()
            else:
                assert (found.shape, found.dtype) == ((len(some), fitted.width), np.float32)
                assert np.isfinite(found).all()
            np.testing.assert_array_equal(restored(fitted).apply(some), found)
            assert fitted.kept(some).shape == (len(some),)
        assert restored(fitted).to_json() == fitted.to_json()


@pytest.mark.parametrize("kind", COLUMNS)
@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_value_comes_out_alike_alone_and_among_others(kind, data):
    options, training, values = data.draw(COLUMNS[kind])
    for fitted in fit("feature", training, options).values():
        together = fitted.apply(values)
        for place, value in enumerate(values):
            np.testing.assert_array_equal(fitted.apply([value])[0], together[place])
            assert fitted.kept([value])[0] == fitted.kept(values)[place]


@pytest.mark.parametrize("kind", COLUMNS)
@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from([None, "category"]))
def test_rows_outside_training_change_nothing(kind, data, dtype):
    options, training, others = data.draw(COLUMNS[kind])
    if isinstance(options, Vector) or (dtype and isinstance(options, Time)):
        dtype = None
    alone = fit("feature", pd.Series(training, dtype=object), options)
    whole = pd.Series(others[:2] + training + others[2:], dtype=object)
    if dtype:
        whole = whole.astype(dtype)
    learnt = np.zeros(len(whole), bool)
    learnt[len(others[:2]) :][: len(training)] = True
    among = fit("feature", whole[learnt], options)
    for name, fitted in alone.items():
        assert among[name].to_json() == fitted.to_json()
        assert among[name].rows == fitted.rows
        np.testing.assert_array_equal(among[name].apply(training), fitted.apply(training))


EXAMPLES = {
    "number": fit("f", [1.0, 5.0], Number())["f"],
    "quantiles": fit("f", [1.0, 5.0, 5.0], Number(scale="quantile"))["f"],
    "buckets": fit("f", [1.0, 5.0], Number("unknown", buckets=(2, 3)))["f"],
    "category": fit("f", ["a"], Category("most_frequent"))["f"],
    "hashed": fit("f", ["a"], Category(hash=5))["f"],
    "hour": fit("f", [0], Time())["f_hour"],
    "age": fit("f", [0, 9], Time(age=True))["f_age"],
    "vector": fit("f", [[1, 2]], Vector(2))["f"],
}


def paths(found, before=()):
    """Every place in nested tables."""
    for name, value in found.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from paths(value, (*before, name))


PLACES = [(which, path) for which, fitted in EXAMPLES.items() for path in paths(fitted.to_json())]


@pytest.mark.parametrize(("which", "path"), PLACES, ids=lambda p: p if isinstance(p, str) else ".".join(p))
def test_json_with_a_wrong_value_anywhere_is_refused(which, path):
    fitted = EXAMPLES[which]
    for wrong in (math.nan, math.inf, "nonsense", [math.nan], [[]], {"a": 1}, -3.5):
        found = copy.deepcopy(fitted.to_json())
        at = found
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = wrong
        may_be = {
            ("quantiles", "scale", "center"): -3.5,
            ("quantiles", "fill"): -3.5,
            ("number", "fill"): -3.5,
            ("number", "scale", "center"): -3.5,
            ("age", "scale", "center"): -3.5,
            ("age", "now"): -3.5,
            ("category", "most_frequent"): "nonsense",
            ("hashed", "most_frequent"): "nonsense",
        }
        if may_be.get((which, *path)) == wrong:
            continue
        with pytest.raises(InputError):
            from_json(found, getattr(fitted, "vocabulary", None))


@pytest.mark.parametrize(("which", "path"), PLACES, ids=lambda p: p if isinstance(p, str) else ".".join(p))
def test_json_without_a_value_or_with_one_more_is_refused(which, path):
    fitted = EXAMPLES[which]
    found = copy.deepcopy(fitted.to_json())
    at = found
    for name in path[:-1]:
        at = at[name]
    if path[0] != "options" or len(path) == 1:  # options have defaults
        without = at.pop(path[-1])
        with pytest.raises(InputError, match="lacks|should be a table"):
            from_json(found, getattr(fitted, "vocabulary", None))
        at[path[-1]] = without
    at[f"{path[-1]}s"] = 1
    with pytest.raises(InputError, match=f"{path[-1]}s"):
        from_json(found, getattr(fitted, "vocabulary", None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "numbers"}, "kind of a fitted feature should be .* did you mean 'number'?"),
        ({"scale": None}, "has edges if it has buckets and a scale if not"),
        ({"edges": [1.0]}, "has edges if it has buckets and a scale if not"),
        ({"fill": None}, "fill=None of a number does not go with missing='mean'"),
        ({"scale": {"kind": "none", "center": 0, "spread": 1, "quantiles": [], "levels": []}}, "'none' but"),
        ({"scale": {"kind": "standard", "center": 0, "spread": 0, "quantiles": [], "levels": []}}, "above 0"),
        ({"scale": {"kind": "quantile", "center": 0, "spread": 1, "quantiles": [], "levels": []}}, "0 quan"),
        (
            {"scale": {"kind": "quantile", "center": 0, "spread": 1, "quantiles": [2, 1], "levels": [0, 1]}},
            "should ascend",
        ),
        (
            {"scale": {"kind": "quantile", "center": 0, "spread": 1, "quantiles": [1, 2], "levels": [0, 2]}},
            "should ascend",
        ),
    ],
)  # fmt: skip
def test_json_that_does_not_go_together_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        from_json({**EXAMPLES["number"].to_json(), **change})


def test_other_json_that_does_not_go_together_is_refused():
    with pytest.raises(InputError, match="edges of a number should ascend"):
        from_json({**EXAMPLES["buckets"].to_json(), "edges": [3, 2]})
    with pytest.raises(InputError, match="width 2 has 1 means and 2 spreads"):
        from_json({**EXAMPLES["vector"].to_json(), "mean": [1]})
    with pytest.raises(InputError, match="spreads of a vector should be above 0, received 0"):
        from_json({**EXAMPLES["vector"].to_json(), "spread": [1, 0]})
    with pytest.raises(InputError, match="a category without hash needs its vocabulary"):
        from_json(EXAMPLES["category"].to_json())
    for no_table in ([], "number", None):
        with pytest.raises(InputError, match="a fitted feature should be a table of names and values"):
            from_json(no_table)
    with pytest.raises(InputError, match="a fitted feature lacks its kind"):
        from_json({})


def test_a_category_comes_back_with_its_vocabulary(tmp_path):
    fitted = fit("maker", ["b", None, "a"], Category("most_frequent"))["maker"]
    fitted.vocabulary.save(tmp_path / "maker.parquet")
    again = from_json(fitted.to_json(), Vocabulary.load(tmp_path / "maker.parquet"))
    assert again.apply(["a", None, "z"]).tolist() == [2, 1, 0]


def test_names_of_features_and_of_the_faulty_one():
    assert list(fit("seen", [0], Time(("hour",), age=True), now=9)) == ["seen_hour", "seen_age"]
    assert list(fit("maker", ["a"], Category(), vocabulary=Vocabulary(["x"]))) == ["maker"]
    with pytest.raises(InputError, match="feature price: the column should hold numbers"):
        fit("price", ["dear"], Number())


def test_no_file_imports_torch():
    folder = Path(torchrec_ext.__file__).parent / "data" / "features"
    files = list(folder.glob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert roots.isdisjoint({"torch", "torchrec"}), file.name
            assert "torchrec_ext.checks" not in names, file.name
