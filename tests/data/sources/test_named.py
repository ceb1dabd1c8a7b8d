"""Named data sets: where they are looked for, and fetching them from a server on this machine."""

import hashlib
import http.server
import io
import threading
import zipfile
from functools import partial

import pytest

from torchrec_ext.data.reading.read import read_events
from torchrec_ext.data.sources import named
from torchrec_ext.errors import InputError


def archive(*members):
    """A zip file of (name, text) members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in members:
            packed.writestr(name, text)
    return content.getvalue()


RATINGS = archive(("ml-10M100K/ratings.dat", "1::5::4.5::838985046\n"), ("ml-10M100K/README.html", "read me"))


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
        monkeypatch.setattr(named, "HOME", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setattr(named, "CACHE", tmp_path / "cache")
        monkeypatch.delenv(named.VARIABLE, raising=False)
        monkeypatch.setenv("no_proxy", "*")
        yield folder
        server.shutdown()


def publish(site, monkeypatch, content, name="ml-10m", md5=None):
    (site / f"{name}.zip").write_bytes(content)
    known = named.NamedData("ml-10M100K", md5 or hashlib.md5(content).hexdigest())
    monkeypatch.setitem(named.NAMED, name, known)


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_set_is_fetched_once_with_a_bar_and_its_licence(site, tmp_path, monkeypatch, capsys):
    publish(site, monkeypatch, RATINGS)
    events = read_events("ml-10m")
    assert events.frame["rating"].tolist() == [4.5] and events.source.name == "ml-10m"
    said = capsys.readouterr()
    assert "for research" in said.out and "ml-10m: 100%" in said.err
    assert left_in(tmp_path / "cache") == ["ml-10m"]
    (site / "ml-10m.zip").unlink()
    assert read_events("ml-10m").frame["item"].tolist() == [5]
    assert capsys.readouterr().out == ""


def test_it_is_fetched_into_the_folder_that_is_named(site, tmp_path, monkeypatch):
    publish(site, monkeypatch, RATINGS)
    assert named.find_named("ml-10m", tmp_path / "mine") == tmp_path / "mine" / "ml-10m"
    assert not (tmp_path / "cache").exists()


def test_many_at_once_fetch_it_once(site, tmp_path, monkeypatch):
    publish(site, monkeypatch, RATINGS)
    fetched = []
    fetch = named._fetch
    monkeypatch.setattr(named, "_fetch", lambda *args: fetched.append(args) or fetch(*args))
    found = []
    threads = [threading.Thread(target=lambda: found.append(named.find_named("ml-10m"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "cache" / "ml-10m"] * 4
    assert len(fetched) == 1


def test_the_folders_are_looked_through_in_order(site, tmp_path, monkeypatch):
    for place, folder in (("given", "ml-10m"), ("environment", "ml-10M100K"), ("cache", "ml-10m")):
        (tmp_path / place / folder).mkdir(parents=True)
        (tmp_path / place / folder / "ratings.dat").write_text("1::5::4.5::838985046\n")
    monkeypatch.setenv(named.VARIABLE, str(tmp_path / "environment"))
    assert named.find_named("ml-10m", tmp_path / "given") == tmp_path / "given" / "ml-10m"
    assert named.find_named("ml-10m") == tmp_path / "environment" / "ml-10M100K"
    monkeypatch.delenv(named.VARIABLE)
    assert named.find_named("ml-10m") == tmp_path / "cache" / "ml-10m"


def test_offline_says_where_to_put_the_files(site, tmp_path, monkeypatch):
    monkeypatch.setattr(named, "HOME", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="are you offline") as caught:
        named.find_named("ml-1m")
    message = str(caught.value)
    assert str(tmp_path / "cache" / "ml-1m") in message and "http://127.0.0.1:9/ml-1m.zip" in message
    assert "TORCHREC_EXT_DATA" in message and "--data-dir" in message and "\n" not in message
    assert left_in(tmp_path / "cache") == []


def test_a_file_that_is_not_there_any_more_is_said(site):
    with pytest.raises(InputError, match="cannot fetch ml-20m from .*not found"):
        named.find_named("ml-20m")


def test_another_file_than_the_known_one_is_thrown_away(site, tmp_path, monkeypatch):
    publish(site, monkeypatch, RATINGS, md5="0" * 32)
    with pytest.raises(InputError, match=f"has MD5 {hashlib.md5(RATINGS).hexdigest()}, expected {'0' * 32}"):
        named.find_named("ml-10m")
    assert left_in(tmp_path / "cache") == []


def test_an_archive_that_writes_outside_its_folder_is_refused(site, tmp_path, monkeypatch):
    publish(site, monkeypatch, archive(("ml-10M100K/ratings.dat", "1::5::4::8"), ("../../stray", "x")))
    with pytest.raises(InputError, match=r"would write '../../stray' outside its folder"):
        named.find_named("ml-10m")
    assert left_in(tmp_path / "cache") == [] and not (tmp_path / "stray").exists()


def test_a_folder_in_the_way_is_not_overwritten(site, tmp_path, monkeypatch):
    publish(site, monkeypatch, RATINGS)
    (tmp_path / "cache" / "ml-10m").mkdir(parents=True)
    (tmp_path / "cache" / "ml-10m" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists but holds no ratings file of ml-10m"):
        named.find_named("ml-10m")
    assert left_in(tmp_path / "cache" / "ml-10m") == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_named(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be fetched into .*file.*name a folder that can be written"):
        named.find_named("ml-1m", tmp_path / "file")


def test_an_unknown_name_is_answered_with_the_nearest(site):
    with pytest.raises(
        InputError, match="no data set named 'ml1m', did you mean 'ml-1m'.*ml-100k, ml-1m, ml-10m"
    ):
        read_events("ml1m")


def test_a_slip_in_a_name_finds_declared_sets_too():
    with pytest.raises(InputError, match="no data set named 'critoe', did you mean 'criteo'.*yoochoose"):
        read_events("critoe")
