"""Known data sets: where they are looked for, and downloads from a server on this machine."""

import hashlib
import http.server
import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from torchrec_ext.data.sources import find_declaration, movielens
from torchrec_ext.data.sources.find_declaration import declare_known
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError

LINE = "1::5::4.5::838985046\n"
_packed = io.BytesIO()
with zipfile.ZipFile(_packed, "w") as _archive:
    _archive.writestr("ml-10M100K/ratings.dat", LINE)
    _archive.writestr("ml-10M100K/../../stray", "x")
RATINGS = _packed.getvalue()
"""The zip file of the 10M release."""


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that stands for the publisher's site; no cache yet and no data folder in the environment."""
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(movielens, "HOME", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setattr(find_declaration, "CACHE", tmp_path / "cache")
        monkeypatch.delenv(movielens.VARIABLE, raising=False)
        monkeypatch.setenv("no_proxy", "*")
        yield folder
        server.shutdown()


MD5 = hashlib.md5(RATINGS).hexdigest()


def publish(site, monkeypatch, md5=MD5):
    (site / "ml-10m.zip").write_bytes(RATINGS)
    known = ("ml-10M100K", "ratings.dat", md5)
    monkeypatch.setitem(movielens.ARCHIVES, "ml-10m", known)


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


def folder_of(declaration):
    return declaration.events[0].source.parent


def test_a_set_is_downloaded_once_with_a_bar_and_its_licence(site, tmp_path, monkeypatch, capsys):
    publish(site, monkeypatch)
    events = read_events("ml-10m")
    assert events.frame["rating"].tolist() == [4.5] and events.source.name == "ml-10m"
    shown = capsys.readouterr()
    assert "for research" in shown.out and "ml-10m: 100%" in shown.err
    assert left_in(tmp_path / "cache") == ["ml-10m"] and not (tmp_path / "stray").exists()
    (site / "ml-10m.zip").unlink()
    assert read_events("ml-10m").frame["item"].tolist() == [5]
    assert capsys.readouterr().out == ""


def test_several_ranks_download_it_once_into_the_folder_that_is_named(site, tmp_path, monkeypatch):
    publish(site, monkeypatch)
    fetch, fetched = movielens._fetch, []
    monkeypatch.setattr(movielens, "_fetch", lambda *args: fetched.append(args) or fetch(*args))
    with ThreadPoolExecutor() as ranks:
        found = [*ranks.map(lambda _: folder_of(declare_known("ml-10m", tmp_path / "mine")), range(4))]
    assert found == [tmp_path / "mine" / "ml-10m"] * 4
    assert len(fetched) == 1 and not (tmp_path / "cache").exists()


def test_the_folders_are_looked_through_in_order(site, tmp_path, monkeypatch):
    for place, folder in (("given", "ml-10m"), ("environment", "ml-10M100K"), ("cache", "ml-10m")):
        (tmp_path / place / folder).mkdir(parents=True)
        (tmp_path / place / folder / "ratings.dat").write_text(LINE)
    monkeypatch.setenv(movielens.VARIABLE, str(tmp_path / "environment"))
    assert folder_of(declare_known("ml-10m", tmp_path / "given")) == tmp_path / "given" / "ml-10m"
    assert folder_of(declare_known("ml-10m")) == tmp_path / "environment" / "ml-10M100K"
    monkeypatch.delenv(movielens.VARIABLE)
    assert folder_of(declare_known("ml-10m")) == tmp_path / "cache" / "ml-10m"


def test_what_cannot_be_downloaded_says_where_to_put_the_files(site, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot download ml-20m from .*not found"):
        declare_known("ml-20m")
    publish(site, monkeypatch, md5="0" * 32)
    with pytest.raises(InputError, match=f"has MD5 {MD5}, expected {'0' * 32}"):
        declare_known("ml-10m")
    monkeypatch.setattr(movielens, "HOME", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="are you offline") as caught:
        declare_known("ml-1m")
    message = str(caught.value)
    for words in (str(tmp_path / "cache" / "ml-1m"), "http://127.0.0.1:9/ml-1m.zip", "TORCHREC_EXT_DATA"):
        assert words in message
    assert "--data-dir" in message and "\n" not in message
    assert left_in(tmp_path / "cache") == []


def test_a_folder_that_is_in_the_way_or_cannot_be_written(site, tmp_path, monkeypatch):
    publish(site, monkeypatch)
    (tmp_path / "cache" / "ml-10m").mkdir(parents=True)
    (tmp_path / "cache" / "ml-10m" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists but has no ratings.dat of ml-10m"):
        declare_known("ml-10m")
    assert left_in(tmp_path / "cache" / "ml-10m") == ["notes.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be downloaded into .*file.*name a folder that can be writt"):
        declare_known("ml-1m", tmp_path / "file")


@pytest.mark.parametrize(("wrong", "right"), [("ml1m", "ml-1m"), ("critoe", "criteo")])
def test_an_unknown_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(InputError, match=f"no data set named '{wrong}', did you mean '{right}'.*yoochoose"):
        read_events(wrong)
