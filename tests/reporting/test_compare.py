"""Reports as tables and as a page, of runs in memory and in folders."""

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.recipes.launch import launch
from tests.recipes.tiny import EVENTS, SIDES, SMALL
from tests.reporting.runs import FIRST, SECOND, keep, ranker
from torchrec_ext.command_line import parse_settings
from torchrec_ext.errors import InputError
from torchrec_ext.reporting import EvaluatedRun, compare, report
from torchrec_ext.reporting.segments import quarters, segment_of_users

VOID = {"meta", "br", "link", "img", "hr"}


class Checked(HTMLParser):
    """Refuses tags that do not nest; collects what a browser would load, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        assert tag not in ("script", "link", "iframe", "img", "object"), tag
        self.loaded += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(html: str) -> Checked:
    page = Checked()
    page.feed(html)
    page.close()
    assert not page.open
    return page


@pytest.fixture(scope="module")
def both():
    return compare([FIRST, SECOND], k=3, segments=["user_town"], resamples=200)


def test_figures_are_the_means_with_intervals_around_them(both):
    table = both.figures.set_index(["run", "metric"])
    # ranks 1, 2, 3, 5 and 1, 1, 1, 2
    assert both.frame.loc["hr@3"].tolist()[:2] == [0.75, 1.0]
    assert table.loc[("second", "mrr"), "value"] == pytest.approx((3 + 0.5) / 4)
    assert table.loc[("popularity", "ndcg@3"), "value"] == 0.1
    known = table[table.index.get_level_values("run") != "popularity"]
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()


def test_differences_are_tested_and_corrected(both):
    tests = both.tests.set_index("metric")
    assert tests.loc["hr@3", "difference"] == 0.25 and set(tests["run"]) == {"second"}
    assert (tests["bootstrap p (Holm)"] >= tests["bootstrap p"]).all()
    assert tests.loc["mrr", "low"] > 0  # second is better for every user but one, who ties


def test_segments_divide_the_users_and_their_means_are_the_figures(both):
    segments = both.segments[both.segments["run"] == "second"]
    for _, own in segments.groupby("by"):
        assert own["users"].sum() == 4
        assert np.average(own["value"], weights=own["users"]) == pytest.approx(
            both.frame.loc["ndcg@3", "second"]
        )
    towns = segments[segments["by"] == "user_town"].set_index("segment")["users"].to_dict()
    assert towns == {"oslo": 1, "rome": 2, "unknown": 1}
    made = segments[segments["by"] == "list made by"].set_index("segment")["users"].to_dict()
    assert made == {"model": 3, "popular": 1}


def test_the_baseline_comes_first_and_equal_names_are_numbered():
    found = compare(
        [FIRST, replace(SECOND, name="first"), SECOND], baseline=SECOND, k=3, resamples=20, draw=False
    )
    assert found.runs == ("second", "first", "first (2)")
    assert set(found.tests["run"]) == {"first", "first (2)"}


def test_the_page_is_whole_loads_nothing_and_escapes_the_data(both):
    html = both.to_html()
    page = parsed(html)
    assert page.loaded and all(place.startswith("#") for place in page.loaded)  # parts of its own pictures
    assert not re.search(r"url\((?!#)|@import", html)
    assert len(page.ids) == len(set(page.ids))
    assert {place[1:] for place in page.loaded} <= {*page.ids}
    assert html.count("<svg") == html.count('<svg role="img" aria-label="') == 5
    assert "<b>" not in html and "A &lt;b&gt;" in html
    text = " ".join(page.text)
    for words in ("leave-last-out", "0" * 64, "2020-01-01 to 2020-01-02", "no training event", "✓ Sea"):
        assert words in text
    assert html == compare([FIRST, SECOND], k=3, segments=["user_town"], resamples=200).to_html()


def test_markdown_latex_and_json_hold_the_same_figures(both):
    shown = both.tables()["Figures"].loc[0, "second"]
    assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, 1\.0000\]", shown) and shown in both.to_markdown()
    assert "\\toprule" in both.to_latex() and shown in both.to_latex()
    values = json.loads(both.to_json())
    assert pd.DataFrame(values["figures"])["value"].tolist() == pytest.approx(both.figures["value"].tolist())
    assert values["tests"][0]["bootstrap p"] == pytest.approx(both.tests["bootstrap p"][0])


def test_hits_stand_in_the_lists_side_by_side(both):
    lists = both.lists.set_index(["user", "run", "place"])
    assert both.lists["user"].nunique() == 3
    assert lists.loc[("u", "second", 1), ["title", "hit"]].tolist() == ["Sea", True]
    assert lists.loc[("u", "first", 1), ["title", "hit"]].tolist() == ["b", False]  # b has no title
    assert {*compare([FIRST], k=2, users=["t"], metrics=["mrr"], draw=False).lists["user"]} == {"t"}


def test_a_ranker_is_reported_by_its_probabilities():
    runs = [ranker("a", [[0.9, 0.4, 0.4], [0.4, 0.1, 0.8]]), ranker("b", [[0.6, 0.7, 0.4], [0.4, 0.1, 0.3]])]
    found = compare(runs, resamples=50)
    assert [*found.frame.index] == ["auc", "log_loss", "accuracy", "rmse"]
    assert found.beyond.empty and found.lists.empty and [*found.pictures][0].startswith("Calibration")
    assert set(found.segments["metric"]) == {"log_loss"}
    parsed(found.to_html())


def test_of_data_without_users_the_pairs_are_resampled():
    one = ranker("a", [[0.9, 0.4, 0.4], [0.4, 0.1, 0.8]]).of_users(pd.Index(["t"]))
    found = compare([one], metrics=["log_loss"], resamples=100, draw=False)
    row = found.figures.iloc[0]
    assert row["value"] == pytest.approx(-np.log([0.6, 0.9, 0.8]).mean()) and row["low"] < row["high"]
    assert found.segments.empty and any("over pairs" in note for note in found.notes)


def test_quarters_hold_about_as_many_users_each():
    assert quarters(np.arange(1, 9)).value_counts().to_dict() == {
        "1 to 2": 2, "3 to 4": 2, "5 to 6": 2, "7 to 8": 2
    }  # fmt: skip
    assert [*quarters(np.ones(3)).categories] == ["1"]
    assert segment_of_users(FIRST, "popularity of targets").tolist() == [
        "8", "4", "2", "1"
    ]  # fmt: skip
    lost = _other_targets(FIRST, [["a"], [None], ["c"], ["d"]])
    assert segment_of_users(lost, "popularity of targets").tolist() == ["8", "not in catalogue", "2", "1"]


def _other_targets(run, targets):
    users = run.values.users
    place = users.column_names.index("targets")
    changed = users.set_column(place, "targets", pa.array(targets))
    return replace(run, values=replace(run.values, users=changed))


@pytest.mark.parametrize(
    ("runs", "how", "message"),
    [
        ([], {}, "runs is empty"),
        ([FIRST], {"k": 21}, "k should be from 1 to 20"),
        ([FIRST], {"resamples": 0}, "resamples should be from 1 to 1,000,000, received 0"),
        ([FIRST], {"resamples": 4 * 10**18}, "resamples should be from 1 to 1,000,000, received 4,000,"),
        ([FIRST], {"seed": -1}, "seed should be at least 0, received -1"),
        ([FIRST], {"k": 3, "segments": ["user_age"]}, "no column 'user_age'.*there are user_town"),
        ([FIRST], {"k": 3, "segments": ["history"]}, "no column 'history'"),
        ([FIRST], {"k": 3, "users": ["z"]}, "user 'z' was not evaluated; name one of s, t"),
        ([FIRST], {"k": 10}, "has no metric 'ndcg@10'"),
        (
            [FIRST, _other_targets(SECOND, [["e"], ["b"], ["c"], ["d"]])],
            {"k": 3},
            "predicts other targets than first for 1 of 4 users",
        ),
        ([FIRST, ranker("r", [[0.5] * 3] * 2)], {"k": 3}, "a retriever and a ranker"),
        (["nowhere"], {}, "nowhere has no metrics.json or evaluation.json"),
    ],
)
def test_what_cannot_be_compared_is_explained(runs, how, message):
    with pytest.raises(InputError, match=message):
        compare(runs, **how)


def test_users_that_one_run_lacks_are_left_out_and_counted():
    fewer = SECOND.of_users(pd.Index(["v", "t", "s"]))
    found = compare([FIRST, fewer], k=3, resamples=20, draw=False)
    assert "The 3 users of all runs are compared; evaluated were first 4, second 3." in found.notes
    assert found.frame.loc["hr@3", "first"] == pytest.approx(2 / 3)


def test_the_recipe_writes_every_form(tmp_path, capsys):
    places = [str(keep(run, tmp_path)) for run in (FIRST, SECOND)]
    recipe = import_module("recipes.report")
    for suffix in ("html", "md", "tex", "json"):
        output = tmp_path / f"made/report.{suffix}"
        words = [*places, "--k", "3", "--output", str(output), "--resamples", "20", "--users", "u"]
        recipe.main(parse_settings(recipe.Settings, argv=words)[0])
        assert f"written to {output}" in capsys.readouterr().out and "second" in output.read_text()
        if suffix in ("html", "json"):
            assert output.read_text().count("has no finished checkpoint") == 2  # so there are no reasons
    settings, _ = parse_settings(recipe.Settings, argv=[*places, "--output", "report.pdf"])
    with pytest.raises(InputError, match="should end in one of .html, .md, .tex, .json"):
        recipe.main(settings)


def test_the_newer_of_two_evaluations_is_read(tmp_path):
    place = keep(FIRST, tmp_path)
    newer = {**FIRST.figures, "protocol": "another one"}
    (place / "evaluation.json").write_text(json.dumps(newer))
    os.utime(place / "evaluation.json", (2e9, 2e9))
    assert report(place, k=3, resamples=10, draw=False).protocol["first"]["measured"] == "another one"


@pytest.mark.slow
def test_two_trained_runs_are_compared_from_a_shell(tmp_path):
    from tests.recipes.tiny import write_tiny

    write_tiny(tmp_path)
    for name, own in (("gru", ()), ("mf", ("--encoder", "none", "--query-fields", "user"))):
        words = (*EVENTS, *SIDES, *SMALL, *own, "--k", "5", "10", "--output", f"runs/{name}")
        launch("train_retrieval", *words, folder=tmp_path)
    launch("evaluate", "--checkpoint", "runs/gru", "--k", "5", "10", "--part", "valid", folder=tmp_path)
    words = ("runs/gru", "runs/mf", "--baseline", "runs/mf", "--segments", "user_group")
    ended = launch("report", *words, "--output", "report.html", folder=tmp_path)
    assert "ndcg@10" in ended.out[0] and "popularity" in ended.out[0]
    page = parsed((tmp_path / "report.html").read_text())
    assert "Comparison of mf, gru" in page.text
    assert "No reasons for mf: the model reads no history." in page.text
    assert any(text.startswith("because of ") for text in page.text)
    launch("report", "runs/gru", "--part", "valid", "--output", "valid.json", folder=tmp_path)
    kept = json.loads((tmp_path / "runs/gru/evaluation_valid.json").read_text())
    shown = pd.DataFrame(json.loads((tmp_path / "valid.json").read_text())["figures"])
    own = shown[shown["run"] == "gru"].set_index("metric")["value"]
    assert own["ndcg@10"] == pytest.approx(kept["ndcg@10"])


@pytest.mark.parametrize("name", ["metrics.json", "per_user.parquet", "per_item.parquet", "history.csv"])
def test_a_damaged_file_of_an_evaluation_is_one_line(name, tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    FIRST.values.save(tmp_path)
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    EvaluatedRun.open(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"\xff" + content[: len(content) // 2])
    with pytest.raises(InputError, match=f"the evaluation in {tmp_path} cannot be read") as error:
        EvaluatedRun.open(tmp_path)
    assert "\n" not in str(error.value)
