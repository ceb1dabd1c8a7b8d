import numpy as np
import pytest

from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import item_neighbours
from torchrec_ext.evaluation.item_neighbours import ItemNeighbours

# Users of the items: 1 has 0 1 2 3, 2 has 0 1, 3 has 0 1 2 and a second event of 0, 4 has 4 alone.
USERS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 0])
ITEMS = np.array([1, 2, 3, 1, 2, 3, 1, 3, 1, 4, 3])


def as_dict(near: ItemNeighbours) -> dict[tuple[int, int], float]:
    return dict(
        zip(zip(near.owners.tolist(), near.items.tolist(), strict=True), near.similarities, strict=True)
    )


def test_by_hand():
    """Both users of 2 have 1, of 4 users; three of 1 have 3, of 3 users; two of 3 have 2."""
    near = as_dict(ItemNeighbours.of(USERS, ITEMS, 5))
    cosines = {(1, 2): 2 / np.sqrt(8), (1, 3): 3 / np.sqrt(12), (2, 3): 2 / np.sqrt(6)}
    both_ways = {**cosines, **{(j, i): value for (i, j), value in cosines.items()}}
    assert near == pytest.approx({**both_ways, **{(i, i): 1 for i in range(1, 5)}})


def test_few_neighbours_and_shrinkage():
    near = as_dict(ItemNeighbours.of(USERS, ITEMS, 5, neighbours=1, shrink=2))
    # the nearest of 1 is 3, 3 / (sqrt(12) + 2); of 2 it is 3; of 3 it is 1
    assert near == pytest.approx(
        {
            (1, 3): 3 / (np.sqrt(12) + 2), (2, 3): 2 / (np.sqrt(6) + 2), (3, 1): 3 / (np.sqrt(12) + 2),
            (1, 1): 4 / 6, (2, 2): 2 / 4, (3, 3): 3 / 5, (4, 4): 1 / 3,
        }
    )  # fmt: skip


def test_the_lower_row_wins_a_tie():
    near = ItemNeighbours.of(np.zeros(4, int), np.array([4, 2, 3, 1]), 5, neighbours=2)
    assert [near.items[near.owners == i].tolist() for i in range(5)] == [
        [],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 4],
    ]


def test_blocks_and_a_dense_product_agree(monkeypatch):
    random = np.random.default_rng(0)
    users, items = random.integers(0, 40, 500), random.integers(1, 30, 500)
    matrix = np.zeros((40, 30))
    matrix[users, items] = 1
    norms = np.sqrt(matrix.sum(0))
    dense = matrix.T @ matrix / np.maximum(np.outer(norms, norms), 1)
    for block in (1, 100, 2**22):
        monkeypatch.setattr(item_neighbours, "_BLOCK", block)
        near = ItemNeighbours.of(users, items, 30, neighbours=29)
        found = np.zeros((30, 30))
        found[near.owners, near.items] = near.similarities
        np.testing.assert_allclose(found, dense)
    known, owners = np.array([3, 5, 7]), np.array([0, 0, 1])
    places = np.full(30, -1)
    places[[2, 9]] = [1, 0]
    expected = [dense[[3, 5]][:, [9, 2]].sum(0), dense[7, [9, 2]]]
    np.testing.assert_allclose(near.scores(known, owners, 2, places, 2), expected)
    i, j = np.divmod(np.arange(900), 30)
    np.testing.assert_allclose(near.between(i, j), dense.ravel())


def test_without_events_nothing_has_a_neighbour():
    near = ItemNeighbours.of(np.zeros(0, int), np.zeros(0, int), 3)
    assert not len(near.items) and near.between(np.array([1]), np.array([2])).tolist() == [0]


@pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"neighbours": 1.5}, {"shrink": -1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ItemNeighbours.of(USERS, ITEMS, 5, **wrong)
