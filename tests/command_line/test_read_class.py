"""Classes read from their source are those that importing gives."""

import inspect
import sys

import pytest

from torchrec_ext import plugin_names, plugins
from torchrec_ext.command_line.read_class import read_class
from torchrec_ext.command_line.read_source import UnreadableError
from torchrec_ext.contracts import GROUPS

ATTRIBUTES = ("causal", "reads_times", "indexable", "cannot")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module that can be imported, and reads a class of it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, code: str, cls: str = "Mine"):
        (tmp_path / f"{name}.py").write_text(code)
        return read_class(f"{name}.{cls}", ATTRIBUTES)

    return write


@pytest.mark.parametrize("group", GROUPS)
def test_a_built_in_class_reads_as_it_imports(group):
    for name in plugin_names.built_in(group):
        found = plugins.find(group, name)
        path = f"{found.__module__}.{found.__qualname__}"
        read = read_class(path, ATTRIBUTES)
        assert read.path == path
        assert read.doc == inspect.getdoc(found)
        ours = [c for c in found.__mro__ if c.__module__.startswith("torchrec_ext.")]
        assert read.ancestors == tuple(f"{c.__module__}.{c.__qualname__}" for c in ours)
        assert read.attributes == {a: getattr(found, a) for a in ATTRIBUTES if hasattr(found, a)}


@pytest.mark.parametrize(
    ("n", "imports", "base"),
    [
        (0, "from torchrec_ext.encoders import GRU", "GRU"),
        (1, "from torchrec_ext.encoders.gru import GRU as Base", "Base"),
        (2, "import torchrec_ext as tx", "tx.encoders.GRU"),
        (3, "import torchrec_ext.encoders.gru", "torchrec_ext.encoders.gru.GRU"),
        (4, "from torchrec_ext import encoders", "encoders.GRU"),
    ],
)
def test_every_way_to_name_a_base(write, n, imports, base):
    read = write(f"named_{n}", f"{imports}\nclass Mine({base}):\n    causal: bool = False\n")
    assert read.ancestors[:2] == (f"named_{n}.Mine", "torchrec_ext.encoders.gru.GRU")
    assert read.attributes == {"causal": False, "reads_times": False}
    assert read.doc.startswith("Gated recurrent units")  # inherited
    assert f"named_{n}" not in sys.modules


@pytest.mark.parametrize(
    ("n", "code"),
    [
        (0, "class Other: ..."),
        (1, "def Mine(): ..."),
        (2, "class Mine("),
        (3, "class Mine(Unknown): ..."),
        (4, "import no_such_package\nclass Mine: ..."),
        (5, "@made\nclass Mine: ..."),
        (6, "class Mine(metaclass=type): ..."),
        (7, "class Mine:\n    cannot = {} | {}"),
        (8, "from unreadable_8 import Mine"),
    ],
)
def test_what_only_running_shows_is_refused(write, n, code):
    with pytest.raises(UnreadableError):
        write(f"unreadable_{n}", code)
