"""The same answers whatever ranks hold the items."""

import pytest
import torch
import torch.distributed as dist

from tests.processes import run
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import ExactIndex

IDS = torch.tensor([30, 2, 11, 4, 25, 6, 17, 8, 9, 10, 3])
SLICES = {
    2: {"even": [range(6), range(6, 11)], "uneven": [range(10), range(10, 11)]},
    3: {
        "a rank without items": [range(4), range(0), range(4, 11)],
        "interleaved": [range(0, 11, 3), range(1, 11, 3), range(2, 11, 3)],
    },
}


def catalogue():
    """Small whole numbers: sums are exact, and scores are tied across ranks."""
    draw = torch.Generator().manual_seed(3)
    items = torch.randint(-2, 3, (11, 3), generator=draw).float()
    queries = torch.randint(-2, 3, (7, 3), generator=draw).float()
    exclude = [IDS[: n * 2] for n in range(6)] + [IDS]  # the last query may have nothing
    targets = (IDS.repeat(7), torch.arange(8) * 11)
    return items, queries, exclude, targets


def answers(mine, block, process_group=None):
    items, queries, exclude, targets = catalogue()
    mine = torch.tensor(list(mine), dtype=torch.int64)
    index = ExactIndex(block=block, process_group=process_group)
    index.build(items[mine], IDS[mine])
    with pytest.raises(InputError, match="k is 12, but the catalogue has 11 items"):
        index.search(queries, 12)
    lists = [index.search(queries, k, exclude) for k in (1, 5, 11)]
    return [*lists, index.search_and_rank(queries, 8, targets, exclude), index.ranks_of(queries, targets)]


def answers_of_a_rank(processes):
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    alone = [dist.new_group([other]) for other in range(processes)][rank]
    with pytest.raises(InputError, match="NaN among the item vectors"):  # on rank 0, and all are told
        ExactIndex().build(torch.full((1, 3), torch.nan if rank == 0 else 1.0), torch.tensor([rank]))
    found = {
        (name, block): answers(slices[rank], block)
        for name, slices in SLICES[processes].items()
        for block in (1, 20, 2**26)
    }
    return found | {("a group of one", 20): answers(range(11), 20, process_group=alone)}


@pytest.mark.parametrize(
    "processes", [n if n < 3 else pytest.param(n, marks=pytest.mark.slow) for n in SLICES]
)
def test_any_split_over_ranks_gives_what_one_process_gives(processes):
    expected = answers(range(11), 2**26)
    for rank in run(answers_of_a_rank, processes, processes=processes):
        for name, found in rank.items():
            torch.testing.assert_close(
                found, expected, rtol=0, atol=0, msg=lambda m, name=name: f"{name}: {m}"
            )
