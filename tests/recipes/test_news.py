"""The recipe news on articles that are new every day, clicked for their appeal and their position."""

import json

import numpy as np
import pandas as pd
import pytest

DAY, START = 86_400, 1_700_006_400  # 2023-11-15, 00:00 UTC
DECLARED = """
[[events]]
file = "views.csv"
type = "view"

[events.columns]
user = "user"
item = "article"
rating = "clicked"
timestamp = "time"
position = { column = "place", kind = "number" }
device = { column = "device", kind = "category" }

[features.context]
device = {}
"""
SETTINGS = (
    "--data", "news.toml", "--valid-from", "2023-11-20", "--test-from", "2023-11-21", "--hours", "2", "24",
    "--epochs", "4", "--interaction", "mlp", "--dim", "4", "--global-batch-size", "128",
    "--overwrite",
)  # fmt: skip
CLICKS = ["clicks of the last 2 h", "clicks of the last 24 h"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A day has 12 articles of its own and 100 impressions of 5 of them, one of which is clicked."""
    rng = np.random.default_rng(0)
    rows, appeals = [], {}
    for day in range(8):
        appeal = rng.normal(0, 2, 12)
        appeals |= {f"d{day}a{article}": value for article, value in enumerate(appeal)}
        for time in np.sort(rng.integers(0, DAY, 100)):
            user, shown = int(rng.integers(30)), rng.choice(12, 5, replace=False)
            chosen = (appeal[shown] - np.arange(5) + rng.gumbel(size=5)).argmax()
            for place, article in enumerate(shown):
                name, when = f"d{day}a{article}", START + day * DAY + int(time)
                rows.append((user, name, when, int(place == chosen), place + 1, ["web", "app"][user % 2]))
    folder = tmp_path_factory.mktemp("news")
    columns = ["user", "article", "time", "clicked", "place", "device"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "views.csv", index=False)
    (folder / "news.toml").write_text(DECLARED)
    pd.DataFrame(appeals.items(), columns=["item", "appeal"]).to_csv(folder / "articles.csv", index=False)
    with_articles = '[[items]]\nfile = "articles.csv"\n[features.item]\nappeal = { kind = "number" }\n'
    (folder / "articles.toml").write_text(DECLARED + with_articles)
    return folder


def figures_of(folder) -> dict[str, dict[str, float]]:
    return json.loads((folder / "runs" / "news" / "metrics.json").read_text())


def test_the_past_of_new_articles_tells_more_than_their_ids(warm, folder):
    out = warm.launch("news", *SETTINGS, "--only", "whole", "ids", folder=folder).out[0]
    figures = figures_of(folder)
    assert list(figures) == ["mean label", "item-kNN", *CLICKS, "whole", "ids"]
    assert all(f"\n{name} " in out for name in figures) and "\n200 impressions to test" in out
    auc = {name: figure["group_auc"] for name, figure in figures.items()}
    assert auc["mean label"] == auc["item-kNN"] == auc["ids"] == 0.5  # none of the articles was there before
    assert min(auc["clicks of the last 24 h"], auc["whole"]) > 0.65
    assert (folder / "runs" / "news" / "whole" / "history.csv").is_file()


@pytest.mark.slow
def test_what_the_data_says_of_an_article_is_read(warm, folder):
    found = []
    for data in ("news.toml", "articles.toml"):
        words = (*SETTINGS, "--data", data, "--only", "whole")
        warm.launch("news", *words, folder=folder)
        found.append(figures_of(folder)["whole"]["group_auc"])
    assert found[1] > found[0] + 0.05


def test_a_model_there_is_not(warm, folder):
    ended = warm.launch("news", *SETTINGS, "--only", "half", folder=folder, succeeds=False)
    assert ended.status == 2 and "only names 'half', which is not a model; choose from whole" in ended.error


@pytest.mark.slow
def test_every_model_on_two_ranks(warm, folder):
    found, losses = [], []
    models = ["whole", "no_context", "no_position", "crossed_position", "ids"]
    for processes in (1, 2):
        warm.launch("news", *SETTINGS, folder=folder, processes=processes)
        found.append(figures_of(folder))
        histories = [pd.read_csv(folder / "runs" / "news" / name / "history.csv") for name in models]
        losses.append(pd.concat(histories)["train_loss"])
    assert list(found[0])[4:] == models
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    # The softmax leaves the level of the scores open, so each process count has a valid_loss of its own,
    # and two articles of all but equal scores may change places: one pair of 800 each.
    for name, figure in found[0].items():
        assert found[1][name]["group_auc"] == pytest.approx(figure["group_auc"], abs=8 / 800)
