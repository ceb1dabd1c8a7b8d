"""The data sets that are known by name: each reads as declared, and its features can be fitted."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.sources.tables import write
from torchrec_ext.data import as_marked, by_ratio, clean, leave_last_out, read_events, sets
from torchrec_ext.data.events import Events
from torchrec_ext.data.sources.find_declaration import declare_known, known_sets, read_declaration, read_toml
from torchrec_ext.data.sources.movielens import ARCHIVES
from torchrec_ext.errors import InputError

HERE = Path(sets.__path__[0])
DECLARED = [name for name in known_sets() if name not in ARCHIVES]

#: Events, users, items, order, and the features by user, item and context.
SETS = {
    "ml-100k": (100_000, 943, 1_682, "time", [], [], []),
    "ml-1m": (1_000_209, 6_040, 3_706, "order", [], [], []),
    "amazon-beauty": (198_502, 22_363, 12_101, "order", [], ["attributes"], []),
    "yoochoose": (83_846, 21_210, 2_933, "time", [], [], []),
    "ciao": (284_086, 7_375, 105_114, "time", ["trusts"], [], ["category"]),
    "yidian": (
        1_000, 2, 979, "time", [], [],
        ["network", "device", "system", "province", "city", "position", "refresh", "timestamp",
         "age0", "age1", "age2", "age3", "female"],
    ),
    "tiktok": (68_722, 9_308, 6_710, "none", [], ["image", "audio"], []),
    "criteo": (
        10_000, 0, 0, "none", [], [], [*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))],
    ),
}  # fmt: skip


def real(name: str) -> Events:
    """A real data set, or a skip where the folder lacks it."""
    folder = os.environ.get("TORCHREC_EXT_DATA")
    if not folder:
        pytest.skip("TORCHREC_EXT_DATA names no folder of real data sets")
    own = read_toml(HERE / f"{name}.toml") if name in DECLARED else {}
    if not any((Path(folder) / place).is_dir() for place in (name, own.get("folder", name))):
        pytest.skip(f"{folder} lacks {name}")
    return read_events(name)


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_reads_whole_and_its_features_fit(name):
    events = real(name)
    rows, users, items, order, *features = SETS[name]
    assert (len(events), events.count("user"), events.count("item")) == (rows, users, items)
    assert (events.source.rows, events.source.steps, events.source.order) == (rows, (), order)
    assert [list(events.user_features), list(events.item_features), list(events.context_features)] == features
    split = leave_last_out if "user" in events.columns else by_ratio
    train, _, test = split(events)
    # one event of each user who has three or more, or a tenth
    assert len(test) == ((np.bincount(events.codes("user")) >= 3).sum() if users else rows / 10)
    for column in train.log.context.values():
        values = column if isinstance(column, np.ndarray) else column.values.to_numpy()
        assert np.isfinite(values).all() and len(column) == rows
    rows_of = {table.name: table.rows for table in train.schema.tables}
    for entity, side in train.preparation.sides.items():
        for numbers in side.dense.values():
            assert np.isfinite(numbers).all() and len(numbers) == rows_of[entity]
        for feature, column in side.categorical.items():
            values, _ = side.ids(feature, np.arange(rows_of[entity]))
            assert len(column) == rows_of[entity] and values.max() < rows_of[feature]


def test_what_is_in_them_by_a_sample():
    trusts = real("ciao").users.set_index("user")["trusts"]
    assert trusts.map(len).sum() == 57_544 and len(trusts) == 2_190
    assert trusts.loc[1][:3] == [2, 3, 4]
    videos = real("tiktok")
    assert np.stack(videos.items["image"]).shape == (6_710, 128)
    assert [len(part) for part in as_marked(videos)] == [59_541, 3_051, 6_130]
    large = real("ml-1m")
    assert large.items["title"][72] == "Misérables, Les (1995)" and len(large.items) == 3_883
    assert clean(large, min_item_events=5).source.steps[-1].removed == 598


@pytest.mark.parametrize("name", DECLARED)
def test_each_declaration_has_figures_and_tells_where_the_set_is_from(name, tmp_path, monkeypatch):
    assert name in SETS
    monkeypatch.delenv("TORCHREC_EXT_DATA", raising=False)
    monkeypatch.setattr("torchrec_ext.data.sources.find_declaration.CACHE", tmp_path / "cache")
    told = read_toml(HERE / f"{name}.toml")
    assert told["about"] and told["licence"] and told["home"].startswith("https://")
    assert read_declaration(HERE / f"{name}.toml").events
    with pytest.raises(InputError) as caught:
        read_events(name, data_dir=tmp_path)
    message = str(caught.value)
    assert "\n" not in message and told["home"] in message and "is not on this machine" in message


def test_a_set_is_found_in_a_folder_of_either_name(tmp_path):
    for folder in ("yidian", "news-yidian-sample"):
        place = tmp_path / folder / folder / "yidian_news_sampled.csv"
        place.parent.mkdir(parents=True)
        place.write_text("x")
        assert declare_known("yidian", tmp_path / folder).events[0].source == place


def test_a_file_in_criteos_layout_is_read_by_its_path(tmp_path):
    rows = [["1", "5", *[""] * 12, "a1", *["b"] * 25], ["0", "", *["7"] * 12, "", *['"'] * 25]]
    path = write(tmp_path / "train.txt.gz", "".join("\t".join(row) + "\n" for row in rows))
    events = read_events(path, format="criteo")
    assert events.frame["rating"].tolist() == [1, 0] and "user" not in events.columns
    assert len(events.context_features) == 39 and events.frame["C26"].tolist() == ["b", '"']
    assert events.frame["I1"].tolist()[0] == 5 and np.isnan(events.frame["I1"][1])
    assert events.options["context_I1"].indicator and events.options["context_C1"].min_count == 10
    assert events.source.name == str(path) and list(events.source.files) == ["train.txt.gz"]
