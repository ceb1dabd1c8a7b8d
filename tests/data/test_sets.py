"""The data sets that are known by name: each reads as declared, from where it lies or is downloaded."""

import hashlib
import http.server
import io
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.data.sources.tables import write
from torchrec_ext.data import as_marked, by_ratio, leave_last_out, read_events, sets
from torchrec_ext.data.events import Events
from torchrec_ext.data.sources.find_declaration import declare_known, known_sets, read_declaration, read_toml
from torchrec_ext.data.sources.movielens import ARCHIVES
from torchrec_ext.errors import InputError

SOURCES = "torchrec_ext.data.sources"
HERE = Path(sets.__path__[0])
DECLARED = [name for name in known_sets() if name not in ARCHIVES]

YIDIAN = "network device system province city position refresh timestamp age0 age1 age2 age3 female"
VIEWER, VIDEO = "activity fans friends follows age", "author tags music length"
CRITEO = [*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
#: Events, users, items, order, and the features by user, item and context.
SETS = {
    "ml-100k": (100_000, 943, 1_682, "time", [], [], []),
    "ml-1m": (1_000_209, 6_040, 3_706, "order", [], [], []),
    "amazon-beauty": (198_502, 22_363, 12_101, "order", [], ["attributes"], []),
    "yoochoose": (83_846, 21_210, 2_933, "time", [], [], []),
    "ciao": (284_086, 7_375, 105_114, "time", ["trusts"], [], ["category"]),
    "yidian": (1_000, 2, 979, "time", [], [], YIDIAN.split()),
    "tiktok": (68_722, 9_308, 6_710, "none", [], ["image", "audio"], []),
    "shop-tmall": (1_177_059, 15_449, 11_953, "none", [], [], []),
    "shop-taobao": (110_490, 58_882, 83_393, "time", [], [], ["category"]),
    "shop-rees46": (241_969, 39_438, 41_878, "time", [], [], ["category", "department", "brand", "price"]),
    "news-ebnerd": (927_102, 1_935, 6_901, "time", [], [], ["device", "subscriber", "timestamp"]),
    "video-kuairand": (222_869, 25_156, 6_361, "time", VIEWER.split(), VIDEO.split(), ["tab", "timestamp"]),
    "cross-amazon": (171_080, 3_325, 56_415, "none", [], [], []),
    "deskdrop": (72_312, 1_895, 2_987, "time", [], [], ["region", "country", "timestamp"]),
    "criteo": (10_000, 0, 0, "none", [], [], CRITEO),
}


def real(name: str) -> Events:
    """A real data set, or a skip where the folder lacks it."""
    folder = os.environ.get("TORCHREC_EXT_DATA")
    if not folder:
        pytest.skip("TORCHREC_EXT_DATA names no folder of real data sets")
    other = read_toml(HERE / f"{name}.toml").get("folder", name) if name in DECLARED else name
    if not any(Path(folder, place).is_dir() for place in (name, other)):
        pytest.skip(f"{folder} lacks {name}")
    return read_events(name)


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_reads_whole_and_its_features_fit(name):
    events = real(name)
    rows, users, items, order, *features = SETS[name]
    assert (len(events), events.count("user"), events.count("item")) == (rows, users, items)
    assert (events.source.rows, events.source.steps, events.source.order) == (rows, (), order)
    assert [list(events.user_features), list(events.item_features), list(events.context_features)] == features
    train, _, test = (leave_last_out if users else by_ratio)(events)
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
    assert (len(trusts), trusts.map(len).sum(), trusts.loc[1][:3]) == (2_190, 57_544, [2, 3, 4])
    assert [len(part) for part in as_marked(real("tiktok"))] == [59_541, 3_051, 6_130]
    large = real("ml-1m")
    assert large.items["title"][72] == "Misérables, Les (1995)" and len(large.items) == 3_883


@pytest.mark.parametrize("name", DECLARED)
def test_each_declaration_has_figures_and_tells_where_the_set_is_from(name, tmp_path, monkeypatch):
    monkeypatch.delenv("TORCHREC_EXT_DATA", raising=False)
    monkeypatch.setattr(f"{SOURCES}.find_declaration.CACHE", tmp_path / "cache")
    declared = read_toml(HERE / f"{name}.toml")
    assert name in SETS and declared["about"] and declared["licence"]
    assert declared["home"].startswith("https://") and read_declaration(HERE / f"{name}.toml").events
    with pytest.raises(InputError, match=f"is not on this machine .*{declared['home']}") as caught:
        read_events(name, data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_in_criteos_layout_is_read_by_its_path(tmp_path):
    rows = [["1", "5", *[""] * 12, "a1", *["b"] * 25], ["0", "", *["7"] * 12, "", *['"'] * 25]]
    path = write(tmp_path / "train.txt.gz", "".join("\t".join(row) + "\n" for row in rows))
    events = read_events(path, format="criteo")
    assert events.frame["rating"].tolist() == [1, 0] and events.count("user") == 0
    assert len(events.context_features) == 39 and events.frame["C26"].tolist() == ["b", '"']
    assert events.frame["I1"].isna().tolist() == [False, True] and events.frame["I1"][0] == 5
    assert events.options["context_I1"].indicator and events.options["context_C1"].min_count == 10
    assert events.source.name == str(path) and list(events.source.files) == ["train.txt.gz"]


LINE = "1::5::4.5::838985046\n"
_packed = io.BytesIO()
with zipfile.ZipFile(_packed, "w") as _archive:
    _archive.writestr("ml-10M100K/ratings.dat", LINE)
    _archive.writestr("ml-10M100K/../../stray", "x")
RATINGS = _packed.getvalue()
"""The zip file of the 10M release."""
MD5 = hashlib.md5(RATINGS).hexdigest()


@pytest.fixture
def requests(tmp_path, monkeypatch):
    """What is asked of a server in the publisher's place; there is neither a cache nor a data folder."""
    write(tmp_path / "site" / "ml-10m.zip", RATINGS)
    asked: list[str] = []

    class Site(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            asked.append(self.path)

        def log_error(self, format, *args):
            pass

    handler = partial(Site, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(f"{SOURCES}.movielens.HOME", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setattr(f"{SOURCES}.find_declaration.CACHE", tmp_path / "cache")
        monkeypatch.setitem(ARCHIVES, "ml-10m", ("ml-10M100K", "ratings.dat", MD5))
        monkeypatch.delenv("TORCHREC_EXT_DATA", raising=False)
        monkeypatch.setenv("no_proxy", "*")
        yield asked
        server.shutdown()


def place(*arguments):
    """The folder in which a set of ratings is found."""
    return declare_known("ml-10m", *arguments).events[0].source.parent


def test_a_set_is_downloaded_once_with_a_bar_and_its_licence(requests, tmp_path, capsys):
    for expected in (["/ml-10m.zip"], []):
        events = read_events("ml-10m")
        assert events.frame["rating"].tolist() == [4.5] and events.source.name == "ml-10m"
        shown = capsys.readouterr()
        assert ("for research" in shown.out) == ("ml-10m: 100%" in shown.err) == bool(expected)
        assert requests == expected
        requests.clear()
    assert os.listdir(tmp_path / "cache") == ["ml-10m"] and not (tmp_path / "stray").exists()


def test_several_ranks_download_it_once_into_the_folder_that_is_named(requests, tmp_path):
    with ThreadPoolExecutor() as ranks:
        found = [*ranks.map(place, [tmp_path / "mine"] * 4)]
    assert found == [tmp_path / "mine" / "ml-10m"] * 4
    assert len(requests) == 1 and not (tmp_path / "cache").exists()


def test_the_folders_are_looked_through_in_order(requests, tmp_path, monkeypatch):
    for folder in ("given/ml-10m", "environment/ml-10M100K", "cache/ml-10m"):
        write(tmp_path / folder / "ratings.dat", LINE)
    monkeypatch.setenv("TORCHREC_EXT_DATA", str(tmp_path / "environment"))
    assert place(tmp_path / "given") == tmp_path / "given" / "ml-10m"
    assert place() == tmp_path / "environment" / "ml-10M100K"
    monkeypatch.delenv("TORCHREC_EXT_DATA")
    assert place() == tmp_path / "cache" / "ml-10m" and requests == []


def test_what_cannot_be_downloaded_says_where_to_put_the_files(requests, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot download ml-20m from .*not found"):
        declare_known("ml-20m")
    monkeypatch.setitem(ARCHIVES, "ml-10m", ("ml-10M100K", "ratings.dat", "0" * 32))
    with pytest.raises(InputError, match=f"has MD5 {MD5}, expected {'0' * 32}"):
        place()
    monkeypatch.setattr(f"{SOURCES}.movielens.HOME", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="are you offline") as caught:
        declare_known("ml-1m")
    message = str(caught.value)
    cache = str(tmp_path / "cache" / "ml-1m")
    for words in (cache, "127.0.0.1:9/ml-1m.zip", "TORCHREC_EXT_DATA", "--data-dir"):
        assert words in message
    assert "\n" not in message and os.listdir(tmp_path / "cache") == []


def test_a_folder_that_is_in_the_way_or_cannot_be_written(requests, tmp_path):
    notes = write(tmp_path / "cache" / "ml-10m" / "notes.txt", "mine")
    with pytest.raises(InputError, match="exists but has no ratings.dat of ml-10m"):
        place()
    assert notes.read_text() == "mine"
    with pytest.raises(InputError, match="cannot be downloaded into .*notes.*name a folder that can be"):
        declare_known("ml-1m", notes)


@pytest.mark.parametrize(("wrong", "right"), [("ml1m", "ml-1m"), ("critoe", "criteo")])
def test_an_unknown_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(InputError, match=f"no data set named '{wrong}', did you mean '{right}'.*yoochoose"):
        read_events(wrong)
