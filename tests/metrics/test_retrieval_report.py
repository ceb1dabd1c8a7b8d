import math
import warnings

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.processes import run
from torchrec_ext.errors import InputError
from torchrec_ext.metrics import RetrievalReport


def test_values_by_hand():
    """A user with targets at 3 and 1 and one out of reach, one with a target at 4, one without a target."""
    report = RetrievalReport(ks=(2, 4), catalogue=5)
    report.update(
        torch.tensor([3, 1, 0, 4]),
        torch.tensor([0, 3, 4, 4]),
        torch.tensor([[1, 2, 3, -1], [2, 1, 4, 3], [2, -1, -1, -1]]),
    )
    gain = {rank: 1 / math.log2(rank + 1) for rank in (1, 2, 3, 4)}
    assert report.compute() == pytest.approx({
        "hr@2": 1 / 2,
        "recall@2": (1 / 3 + 0) / 2,
        "precision@2": (1 / 2 + 0) / 2,
        "ndcg@2": (1 / (1 + gain[2]) + 0) / 2,
        "map@2": (1 / 2 + 0) / 2,
        "mrr@2": (1 + 0) / 2,
        "coverage@2": 2 / 5,
        "hr@4": 1,
        "recall@4": (2 / 3 + 1) / 2,
        "precision@4": (2 / 4 + 1 / 4) / 2,
        "ndcg@4": ((1 + gain[3]) / (1 + gain[2] + gain[3]) + gain[4]) / 2,
        "map@4": ((1 / 1 + 2 / 3) / 3 + 1 / 4) / 2,
        "mrr@4": (1 + 1 / 4) / 2,
        "coverage@4": 4 / 5,
        "mrr": (1 + 1 / 4) / 2,
        "users": 2,
    })  # fmt: skip


def test_mrr_looks_beyond_the_longest_list_and_infinity_is_out_of_reach():
    report = RetrievalReport(ks=(1,), catalogue=100)
    report.update(torch.tensor([80.0, math.inf]), torch.tensor([0, 1, 2]), torch.tensor([[1], [1]]))
    figures = report.compute()
    assert figures["mrr"] == pytest.approx(1 / 160)
    assert figures["mrr@1"] == figures["hr@1"] == 0
    assert figures["users"] == 2


KS = (1, 3, 6)
ITEMS = 8


@st.composite
def users(draw):
    """For each user the whole list of items that are left, and targets of which some are not in it."""
    count = draw(st.integers(1, 6))
    items = st.permutations(range(1, ITEMS + 1))
    lists = [draw(items)[: draw(st.integers(0, ITEMS))] for _ in range(count)]
    targets = [draw(items)[: draw(st.integers(1, ITEMS))] for _ in range(count)]
    return lists, targets


def from_frame(frame, targets, k):
    """The figures at k from a frame user, item, score, rank and a frame user, item of targets."""
    hits = frame[frame["rank"] <= k].merge(targets, on=["user", "item"])
    hits = hits.sort_values(["user", "rank"])
    hits["nth"] = hits.groupby("user").cumcount() + 1
    figures = []
    for user, mine in targets.groupby("user"):
        m, mine = len(mine), hits[hits["user"] == user]
        dcg = sum(1 / math.log2(rank + 1) for rank in mine["rank"])
        best = sum(1 / math.log2(rank + 1) for rank in range(1, min(m, k) + 1))
        figures.append({
            f"hr@{k}": float(len(mine) > 0),
            f"recall@{k}": len(mine) / m,
            f"precision@{k}": len(mine) / k,
            f"ndcg@{k}": dcg / best,
            f"map@{k}": (mine["nth"] / mine["rank"]).sum() / min(m, k),
            f"mrr@{k}": 1 / mine["rank"].min() if len(mine) else 0.0,
        })  # fmt: skip
    seen = frame[frame["rank"] <= k]["item"].nunique()
    return pd.DataFrame(figures).mean().to_dict() | {f"coverage@{k}": seen / ITEMS}


def arguments(lists, targets):
    ranks = [
        items.index(t) + 1 if t in items else 0 for items, ts in zip(lists, targets, strict=True) for t in ts
    ]
    offsets = torch.tensor([0, *map(len, targets)]).cumsum(0)
    padded = [[*items, *[-1] * ITEMS][: KS[-1]] for items in lists]
    return torch.tensor(ranks), offsets, torch.tensor(padded).view(-1, KS[-1])


@settings(deadline=None)
@given(users(), st.integers(0, 6))
def test_equals_pandas_over_the_frame_of_a_recommendation(case, cut):
    lists, targets = case
    report = RetrievalReport(ks=KS, catalogue=ITEMS)
    for part in (slice(0, cut), slice(cut, None)):
        report.update(*arguments(lists[part], targets[part]))
    frame = pd.DataFrame(
        [(u, i, float(-r), r) for u, items in enumerate(lists) for r, i in enumerate(items, 1)],
        columns=["user", "item", "score", "rank"],
    )
    wanted = pd.DataFrame([(u, i) for u, ts in enumerate(targets) for i in ts], columns=["user", "item"])
    expected = {"users": len(lists), "mrr": from_frame(frame, wanted, ITEMS)[f"mrr@{ITEMS}"]}
    for k in KS:
        expected |= from_frame(frame, wanted, k)
    assert report.compute() == pytest.approx(expected, abs=1e-12)


def many_users():
    draw = torch.Generator().manual_seed(0)
    lists = [(torch.randperm(ITEMS, generator=draw) + 1).tolist()[:7] for _ in range(9)]
    targets = [(torch.randperm(ITEMS, generator=draw) + 1).tolist()[: 1 + u % 3] for u in range(9)]
    return lists, targets


def figures_of_a_rank():
    dist.init_process_group("gloo")
    report = RetrievalReport(ks=KS, catalogue=ITEMS)
    lists, targets = many_users()
    mine = [slice(0, 7), slice(7, 9)][dist.get_rank()]
    report.update(*arguments(lists[mine], targets[mine]))
    return report.compute()


def test_two_processes_count_each_user_and_item_once():
    report = RetrievalReport(ks=KS, catalogue=ITEMS)
    report.update(*arguments(*many_users()))
    expected = report.compute()
    assert expected["users"] == 9
    for found in run(figures_of_a_rank):
        assert found == pytest.approx(expected, abs=1e-12)


def test_the_state_does_not_grow_with_the_users():
    report = RetrievalReport(ks=KS, catalogue=ITEMS)
    sizes = []
    for _ in range(2):
        report.update(*arguments(*many_users()))
        sizes.append({name: getattr(report, name).shape for name in report._defaults})
    assert sizes[0] == sizes[1]
    once = report.compute()
    report.reset()
    report.update(*arguments(*many_users()))
    assert report.compute() == pytest.approx(once | {"users": 9})


def test_without_a_user_the_figures_are_nan():
    report = RetrievalReport(ks=(1,), catalogue=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics warns that compute came before update
        figures = report.compute()
    assert math.isnan(figures["ndcg@1"]) and math.isnan(figures["mrr"])
    assert figures["users"] == figures["coverage@1"] == 0


@pytest.mark.parametrize(
    ("ranks", "offsets", "top_ids", "message"),
    [
        ([1, 2], [0, 1], [[1, 2]], "offsets should rise from 0 to the number of ranks, 2"),
        ([-1], [0, 1], [[1, 2]], "one is negative"),
        ([2, 0, 0, 2], [0, 4], [[1, 2]], "user 0 of the batch has two targets of rank 2"),
        ([1], [0, 1], [[1]], r"1 lists of at least 2, received \(1, 1\)"),
        ([1], [0, 1], [[1, 4]], "from 0 to 3, the size of the catalogue, or be -1; received 1 to 4"),
    ],
)
def test_what_cannot_be_is_refused(ranks, offsets, top_ids, message):
    report = RetrievalReport(ks=(2,), catalogue=3)
    with pytest.raises(InputError, match=message):
        report.update(torch.tensor(ranks), torch.tensor(offsets), torch.tensor(top_ids))
    assert report.users == 0


@pytest.mark.parametrize(
    ("ks", "message"), [((2, 4), "k is 4, but the catalogue has 3 items"), ((), "empty")]
)
def test_list_lengths_out_of_range_are_refused(ks, message):
    with pytest.raises(InputError, match=message):
        RetrievalReport(ks=ks, catalogue=3)
