"""Options from plain values."""

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
    assert options_from(found) == options
    assert hash(options_from(found)) == hash(options)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"kind": "numbr"}, "kind of a feature should be 'number' or .*; did you mean 'number'?"),
        ({"kind": ["number"]}, "kind of a feature should be"),
        ({"missing": "mean"}, "a feature lacks its kind, .* set kind to 'number' or 'category'"),
        ("number", "a feature should be a table of names and values, received 'number'"),
        ({"kind": "number", "scales": "robust"}, "number has no option 'scales'; .*did you mean 'scale'?"),
        ({"kind": "time", "width": 3}, "time has no option 'width'; it has parts, cyclic, age$"),
        ({"kind": "vector"}, "vector lacks 'width', which has no default; set it"),
        ({"kind": "number", "missing": "meen"}, "Number.missing should be .* did you mean 'mean'?"),
    ],
)
def test_faults_are_told(found, message):
    with pytest.raises(InputError, match=message):
        options_from(found)
