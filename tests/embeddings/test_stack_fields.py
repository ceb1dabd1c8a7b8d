import pytest
import torch
from torchrec.sparse.jagged_tensor import KeyedTensor

from torchrec_ext.embeddings import FieldProjection, stack_fields
from torchrec_ext.errors import InputError


def _pooled(**widths):
    values = torch.arange(2.0 * sum(widths.values())).view(2, -1).requires_grad_()
    return KeyedTensor(keys=list(widths), length_per_key=list(widths.values()), values=values)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["a", "b", "c"], [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]),
        (("c", "a"), [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]),
        (["b"], [[[2, 3]], [[8, 9]]]),
    ],
)
def test_fields_in_the_order_asked_for(keys, expected):
    pooled = _pooled(a=2, b=2, c=2)
    fields = stack_fields(pooled, keys)
    assert fields.tolist() == expected
    (slope,) = torch.autograd.grad(fields.sum(), pooled.values())
    assert slope.sum() == fields.numel()


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="no field 'd' in the KeyedTensor; it has a, b"):
        stack_fields(_pooled(a=2, b=2), ["a", "d"])


def test_unequal_widths_are_named_with_the_remedy():
    with pytest.raises(
        InputError, match=r"fields of one width, received \{'a': 2, 'c': 3\}; .*FieldProjection"
    ):
        stack_fields(_pooled(a=2, b=2, c=3), ["a", "c"])


def test_projection_leaves_fields_of_the_width_alone():
    projection = FieldProjection({"b": 3, "a": 2}, dim=2)
    with torch.no_grad():
        projection.projections[0].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    fields = projection(_pooled(a=2, b=3))  # rows 0 1 | 2 3 4 and 5 6 | 7 8 9
    assert fields.tolist() == [[[2, 7], [0, 1]], [[7, 17], [5, 6]]]
    fields.sum().backward()
    assert projection.projections[0].weight.grad.tolist() == [[9, 11, 13]] * 2


def test_projection_of_equal_widths_is_stack_fields():
    pooled = _pooled(a=2, b=2)
    assert torch.equal(FieldProjection({"a": 2, "b": 2}, dim=2)(pooled), stack_fields(pooled, ["a", "b"]))


def test_projection_names_other_widths():
    with pytest.raises(InputError, match=r"widths should be \{'a': 3\}, received \{'a': 2\}"):
        FieldProjection({"a": 3}, dim=2)(_pooled(a=2))
