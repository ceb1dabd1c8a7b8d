"""The recipe social: friends as features and friends to recommend, on a tiny network of two circles."""

import json

import numpy as np
import pandas as pd
import pytest

USERS = 40
WORDS = (
    "--data",
    "social.toml",
    "--friends",
    "friends",
    "--min-item-events",
    "0",
    "--epochs",
    "1",
    "--dim",
    "4",
    "--overwrite",
)


@pytest.fixture
def network(tmp_path):
    """Two circles of users, who befriend each other and see the items of their circle."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{user % 2 * 20 + item}", 1_000 * place + user)
        for user in range(USERS)
        for place, item in enumerate(rng.choice(20, 10, replace=False))
    ]
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv(tmp_path / "seen.csv", index=False)
    circles = [(f"u{user}", f"u{(user + 2 * step) % USERS}") for user in range(USERS) for step in range(1, 9)]
    pd.DataFrame(circles, columns=["user", "friend"]).to_csv(tmp_path / "friends.csv", index=False)
    (tmp_path / "social.toml").write_text(
        '[[events]]\nfile = "seen.csv"\n[[users]]\nfile = "friends.csv"\ngather = true\n'
        'columns = { friends = "friend" }\n[features.user]\nfriends = {}\n'
    )
    return tmp_path


def figures(folder) -> dict:
    return json.loads((folder / "runs" / "social" / "metrics.json").read_text())


def test_every_variant_and_both_baselines_are_in_the_tables(warm, network):
    ended = warm.launch("social", *WORDS, folder=network)
    assert "items: by time" in ended.out[0] and "friends: by ratio" in ended.out[0]
    found = figures(network)
    baselines = ["popularity", "item_knn"]
    assert list(found["items"]) == [
        "users", *baselines, "without friends", "friends", "friends and their items", "friends' items alone"
    ]  # fmt: skip
    assert list(found["friends"]) == [*baselines, "friends so far"]
    users = found["items"]["users"]
    assert users["all"] == USERS and users["no friends"] == 0 and users["friends, over 5 events"] == USERS
    assert found["friends"]["item_knn"]["ndcg@10"] > found["friends"]["popularity"]["ndcg@10"]


def test_data_without_friends_is_refused(warm, network):
    ended = warm.launch("social", *WORDS, "--friends", "trusts", folder=network, succeeds=False)
    assert ended.status == 2 and "--friends trusts is not a column of the table of users" in ended.error


@pytest.mark.slow
def test_two_processes_find_what_one_does(warm, network):
    warm.launch("social", *WORDS, folder=network)
    alone = figures(network)
    warm.launch("social", *WORDS, folder=network, processes=2)
    for table, rows in figures(network).items():
        for name, row in rows.items():
            assert row == pytest.approx(alone[table][name], abs=0.02, nan_ok=True)
