"""All contenders learn alike, and need the memory that they are said to need."""

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


def test_memory_needed() -> None:
    sizes = {"tables": 3, "rows": 10, "width": 4, "lookups": 6, "batches": 5, "optimizer": "rowwise_adagrad"}

    def needed(*names: str, learns: bool, world_size: int = 1) -> int:
        return contenders.memory_needed(names, **sizes, learns=learns, world_size=world_size)

    whole = 3 * 10 * 4 * 4
    ids, gathered = 5 * 6 * 16, 6 * 4 * 4
    assert needed(learns=False) == whole + ids + gathered
    alone = needed(learns=True)
    assert needed("embedding_bag", learns=True) - alone == 2 * whole  # weights, Adagrad's sums
    assert needed("unsharded_ebc", learns=True) - alone == 3 * whole  # and the gradient
    assert needed("row_wise", learns=True, world_size=2) - alone == (whole + 3 * 10 * 4) / 2
    assert needed("table_wise", learns=True, world_size=2) - alone == 2 * (10 * 4 * 4 + 10 * 4)
