"""All contenders learn alike, and are as exact as their precision."""

import doctest

import contenders
import id_batches
import pytest
import torch

ALL = ("embedding_bag", "unsharded_ebc", *contenders.SHARDINGS)


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_contenders_learn_the_same(optimizer: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 30, 8, generator=generator)
    gradient = torch.randn(6, 16, generator=generator)
    batches = id_batches.make_batches(3, tables=2, rows=30, batch=6, pooling=4)
    before = contenders.build("embedding_bag", weights).look_up(batches[0]).detach()
    learned = {}
    for name in ALL:
        contender = contenders.build(name, weights, optimizer=optimizer)
        for batch in batches:
            contender.learn(batch, gradient)
        with torch.no_grad():
            learned[name] = contender.look_up(batches[0]).clone()
    assert (learned["embedding_bag"] - before).abs().mean() > 0.01
    for name in ALL:
        torch.testing.assert_close(learned[name], learned["embedding_bag"], msg=name)


@pytest.mark.usefixtures("group_of_one")
def test_row_wise_adagrad_divides_by_the_mean_square_of_a_row() -> None:
    weights = torch.zeros(1, 3, 4)
    batch = id_batches.IdBatch(torch.tensor([[[2]]]), torch.tensor([1]), torch.tensor([2]))
    gradient = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    contender = contenders.build("row_wise", weights, optimizer="rowwise_adagrad")
    contender.learn(batch, gradient)
    # (1 + 4 + 9 + 16) / 4 = 7.5 is the row's one state.
    expected = -contenders.LEARNING_RATE * gradient / 7.5**0.5
    torch.testing.assert_close(contender.look_up(batch).detach(), expected)


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("precision", contenders.STORED)
def test_rows_are_as_exact_as_their_precision(precision: str) -> None:
    weights = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(0))
    batch = id_batches.make_batches(1, tables=2, rows=30, batch=6, pooling=4)[0]
    exact = contenders.build("embedding_bag", weights, learns=False).look_up(batch)
    for name in contenders.KERNELS:
        if precision in contenders.PRECISIONS[name]:
            contender = contenders.build(name, weights, precision=precision, learns=False)
            error = (contender.look_up(batch) - exact).abs().max()
            assert error <= 4 * contenders.ROUNDING[precision], name
            assert error > 0 or precision == "fp32", name


def test_copies_are_as_many_as_a_rank_holds() -> None:
    assert contenders.copies("unsharded_ebc", 4) == 3  # weights, a dense gradient, Adagrad's sums
    assert contenders.copies("row_wise", 4) == 0.5


def test_examples() -> None:
    assert doctest.testmod(contenders) == (0, 2)
