import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from torchrec_ext.errors import InputError
from torchrec_ext.losses import dot_product_cross_entropy, softmax_cross_entropy

module = sys.modules[dot_product_cross_entropy.__module__]
ROWS, ITEMS, DIM = 75, 40, 6


@pytest.fixture(autouse=True, params=[(32, 1), (8, 16 * ITEMS)], ids=["few rows", "many rows"])
def small_blocks(monkeypatch, request):
    rows, block = request.param  # blocks of 32 targets, or 16 and by columns: several and a smaller one
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(module, "_BLOCK", {"cpu": block})


def drawn(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(ROWS, DIM, generator=generator, dtype=dtype).requires_grad_()
    items = torch.randn(ITEMS, DIM, generator=generator, dtype=dtype).requires_grad_()
    labels = torch.randint(-1, ITEMS, (ROWS,), generator=generator)
    return (
        queries,
        items,
        labels,
        torch.rand(ROWS, generator=generator),
        torch.randn(ITEMS, generator=generator),
    )


@pytest.mark.parametrize("onednn", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("corrected", [False, True])
def test_equals_the_loss_of_all_logits_with_its_gradients(weighted, corrected, onednn, monkeypatch):
    if onednn and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(module, "_HAS_ONEDNN", onednn)
    queries, items, labels, weights, log_q = drawn()
    weights, log_q = weights if weighted else None, log_q if corrected else None
    wanted = softmax_cross_entropy(queries @ items.T, labels, weights, log_q_C=log_q, reduction="sum")
    found = dot_product_cross_entropy(queries, items, labels, weights, log_q_C=log_q)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    for mine, theirs in zip(
        slopes(3 * found, queries, items), slopes(3 * wanted, queries, items), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("shared", [1, 25])
def test_candidates_that_are_not_shared_compete_with_their_own_rows_alone(shared):
    queries, items, labels, weights, log_q = drawn()
    others = queries @ items.T[:, :shared] - log_q[:shared]
    others = others.masked_fill(torch.arange(shared) == labels[:, None], -torch.inf)
    own = (queries * items[labels.clamp(min=0)]).sum(1, keepdim=True)
    last = torch.where(labels < 0, -1, shared)
    wanted = softmax_cross_entropy(torch.cat([others, own], 1), last, weights, reduction="sum")
    found = dot_product_cross_entropy(queries, items, labels, weights, log_q_C=log_q[:shared])
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    for mine, theirs in zip(slopes(found, queries, items), slopes(wanted, queries, items), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


def slopes(loss, *inputs):
    return torch.autograd.grad(loss, inputs)


def test_gradients_by_finite_differences():
    queries, items, labels, weights, log_q = drawn(torch.float64)

    def loss(queries, items):
        return dot_product_cross_entropy(queries, items, labels, weights.double(), log_q_C=log_q.double())

    assert torch.autograd.gradcheck(loss, (queries, items), fast_mode=True)
    log_q = log_q[:20]
    assert torch.autograd.gradcheck(loss, (queries, items), fast_mode=True)


def test_gradients_cannot_be_differentiated_again():
    queries, items, labels, *_ = drawn()
    with pytest.raises(InputError, match="cannot be differentiated again, received create_graph=True"):
        torch.autograd.grad(dot_product_cross_entropy(queries, items, labels), queries, create_graph=True)


def test_a_target_of_hardly_any_probability_has_a_finite_loss():
    queries = torch.tensor([[200.0]], requires_grad=True)
    loss = dot_product_cross_entropy(queries, torch.tensor([[1.0], [-1.0]]), torch.tensor([1]))
    assert loss.item() == 400
    assert slopes(loss, queries)[0].item() == 2


def test_autocast_computes_in_bfloat16_and_adds_up_in_float32():
    queries, items, labels, *_ = drawn()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = dot_product_cross_entropy(queries, items, labels)
        wanted = softmax_cross_entropy(queries @ items.T, labels, reduction="sum")
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow, wanted, rtol=1e-4, atol=0)
    assert narrow.item() != dot_product_cross_entropy(queries, items, labels).item()
    for mine, theirs in zip(slopes(narrow, queries, items), slopes(wanted, queries, items), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02)


def test_no_tensor_is_as_large_as_the_logits():
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor):
                self.numbers = max(self.numbers, found.untyped_storage().nbytes() // found.element_size())
            return found

    queries, items, labels, *_ = drawn()
    with Largest() as largest:
        dot_product_cross_entropy(queries, items, labels).backward()
    assert largest.numbers == max(module._BLOCK["cpu"], module._ROWS * ITEMS)


@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_nothing_to_learn_is_zero_with_a_gradient(labels):
    queries, items = torch.randn(len(labels), 2, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    loss = dot_product_cross_entropy(queries, items, torch.tensor(labels, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert not queries.grad.any() and not items.grad.any()


def test_only_what_needs_a_gradient_has_one():
    queries, items, labels, *_ = drawn()
    dot_product_cross_entropy(queries.detach(), items, labels).backward()
    assert items.grad.any()
    with torch.no_grad():
        assert not dot_product_cross_entropy(queries, items, labels).requires_grad


def test_traced_equals_eager():
    class Loss(nn.Module):
        def forward(self, queries, items, labels):
            return dot_product_cross_entropy(queries, items, labels, labels + 2)

    inputs = drawn()[:3]
    assert torch.equal(torch.fx.symbolic_trace(Loss())(*inputs), Loss()(*inputs))


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, torch.zeros(3), r"queries_ND should be \(targets, width\), received \(3,\)"),
        (1, torch.zeros(4, 5), r"items_CD should be \(candidates, 6\), received \(4, 5\)"),
        (2, torch.zeros(3), r"labels_N should be \(75,\), received \(3,\)"),
        (2, torch.full((ROWS,), 40), "from -1 to 39, as there are 40 candidates; received 40"),
        (3, torch.zeros(3), r"weights_N should be \(75,\), received \(3,\)"),
        (4, torch.zeros(41), r"log_q_C should be \(40,\), received \(41,\)"),
    ],
)
def test_what_does_not_fit_is_named(place, wrong, message):
    arguments = list(drawn())
    arguments[place] = wrong
    with pytest.raises(InputError, match=message):
        dot_product_cross_entropy(*arguments[:4], log_q_C=arguments[4])
