"""Every module found, what it is and what it can do, in three forms."""

import json
import subprocess
import sys

import pytest

from torchrec_ext import plugins
from torchrec_ext.command_line.find_modules import ListedModule, find_modules
from torchrec_ext.command_line.list_modules import (
    BEGIN,
    END,
    as_json,
    as_markdown,
    as_table,
    list_modules,
    write_between_marks,
)
from torchrec_ext.command_line.read_plugin import groups
from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError

ENTRY = "[torchrec_ext.encoders]\n"


def one(group: str, name: str) -> ListedModule:
    return next(module for module in find_modules(group) if module.name == name)


def package(folder, monkeypatch, name: str, entries: str, code: str = "") -> None:
    """An installed distribution with one module."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(entries)
    (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("group", GROUPS)
def test_every_built_in_module_is_there_and_described(group):
    modules = [module for module in find_modules(group) if module.origin == "built in"]
    assert {module.name for module in modules} <= {*plugins.names(group)}
    for module in modules:
        assert not module.error
        assert module.cls == plugins.find(group, module.name).__name__
        assert module.summary.endswith(".")


def test_the_list_imports_no_torch():
    """Torch alone takes a second and more to import."""
    code = """
import sys
from torchrec_ext.__main__ import main
sys.argv[1:] = ["list", "--built-in"]
main()
assert not {"torch", "torchrec", "pandas"} & {*sys.modules}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "GRU" in done.stdout


def test_groups_are_those_of_the_contracts():
    imported = {
        group: tuple(f"{contract.__module__}.{contract.__qualname__}" for contract in contracts)
        for group, contracts in GROUPS.items()
    }
    assert groups() == imported


def test_what_a_module_supports_comes_from_its_class():
    assert one("encoders", "gru").supports == ("causal", "streams")
    assert one("encoders", "hstu").supports == ("causal", "streams", "times")
    assert one("encoders", "bert4rec").supports == ("masked",)
    assert one("encoders", "comirec").supports == ("multi-interest",)
    assert one("scorers", "dot").supports == ("indexable",)
    assert one("scorers", "neumf").supports == ()
    assert one("target_attention", "dien").supports == ("own loss",)
    assert one("target_attention", "dien").cannot.keys() == {"same_loss_on_two_processes"}


def test_papers_come_from_docstrings():
    title = '"Session-based Recommendations with Recurrent Neural Networks"'
    assert one("encoders", "gru").paper == f"{title} (Hidasi et al. 2016)"
    # Its title and its authors stand on two lines each.
    assert one("encoders", "bert4rec").paper.endswith('Representations from Transformer" (Sun et al. 2019)')
    assert one("interactions", "concat").paper == ""


def test_a_plug_in_of_another_package_has_its_origin(tmp_path, monkeypatch):
    code = """
from torchrec_ext.encoders import GRU
class Mine(GRU):
    '''Mine, which counts.

    From "A Paper" (Somebody 2020).
    '''
    cannot = {"bfloat16_is_close": "it counts"}
"""
    package(tmp_path, monkeypatch, "origin_of_mine", f"{ENTRY}mine = origin_of_mine:Mine\n", code)
    assert one("encoders", "mine") == ListedModule(
        "encoders",
        "mine",
        "origin_of_mine 1.5",
        "Mine",
        "Mine, which counts.",
        '"A Paper" (Somebody 2020)',
        ("causal", "streams"),
        {"bfloat16_is_close": "it counts"},
    )


@pytest.mark.parametrize(
    ("n", "code", "error"),
    [
        (0, "import no_such_package", "InputError: cannot import 'broken_{n}:Mine': No module named"),
        (1, "raise RuntimeError('on import')", "RuntimeError: on import"),
        (2, "class Mine(", "SyntaxError: "),
        (
            3,
            "class Mine: pass",
            "InputError: 'mine_{n}' is <class 'broken_{n}.Mine'>, which is not a subclass",
        ),
    ],
)
def test_a_broken_plug_in_has_a_row_with_its_error(tmp_path, monkeypatch, n, code, error):
    name = f"broken_{n}"
    package(tmp_path, monkeypatch, name, f"{ENTRY}mine_{n} = {name}:Mine\n", code)
    row = one("encoders", f"mine_{n}")
    assert row.error.startswith(error.format(n=n)) and "\n" not in row.error
    assert row.origin == f"{name} 1.5"
    assert one("encoders", "gru").error == ""
    for form in (as_table, as_markdown, as_json):
        assert row.error[:20] in form([row])


def test_a_plug_in_whose_own_needs_are_missing_has_its_error(tmp_path, monkeypatch):
    """Its class can be read, but it cannot be loaded."""
    code = "import no_such_package\nfrom torchrec_ext.encoders import GRU\nclass Mine(GRU): ...\n"
    package(tmp_path, monkeypatch, "needy", f"{ENTRY}needy = needy:Mine\n", code)
    assert "No module named 'no_such_package'" in one("encoders", "needy").error


def test_a_name_that_cannot_be_had_is_said(tmp_path, monkeypatch):
    package(tmp_path / "a", monkeypatch, "taker_a", f"{ENTRY}gru = taker_a:X\nsame = taker_a:X\n")
    package(tmp_path / "b", monkeypatch, "taker_b", f"{ENTRY}same = taker_b:X\n")
    both = [module for module in find_modules("encoders") if module.name == "gru"]
    assert [module.origin for module in both] == ["built in", "taker_a 1.5"]
    assert both[1].error == "a built-in module has this name; name it as 'package.module:Class'"
    same = one("encoders", "same")
    assert "several packages provide" in same.error
    assert sorted(same.origin.split(" and ")) == ["taker_a 1.5", "taker_b 1.5"]


MODULES = [
    ListedModule("encoders", "one", "built in", "One", "It is | one.", '"T" (A 2020)', ("causal", "streams")),
    ListedModule("encoders", "other", "pack 1.0", "Other", "w " * 90, cannot={"promise": "a reason"}),
    ListedModule("heads", "lost", "pack 1.0", error="ImportError: no"),
]


def test_table():
    assert as_table(MODULES[:1] + MODULES[2:], width=100) == (
        "encoders\n"
        "  one   One  built in  causal, streams\n"
        "      It is | one.\n"
        '      "T" (A 2020)\n'
        "\n"
        "heads\n"
        "  lost       pack 1.0\n"
        "      cannot be loaded: ImportError: no\n"
    )
    long = as_table(MODULES, width=80)
    assert max(map(len, long.splitlines())) <= 80
    assert "      cannot promise: a reason\n" in long


def test_markdown():
    assert as_markdown(MODULES[:1]) == (
        "`encoders`:\n\n"
        "| name | class | what it is | paper | supports, cannot |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `one` | `One` | It is \\| one. | *T* (A 2020) | causal, streams |\n"
    )
    lines = as_markdown(MODULES).splitlines()
    assert lines[2] == "| name | class | origin | what it is | paper | supports, cannot |"
    assert lines[5].startswith("| `other` | `Other` | pack 1.0 |")
    assert lines[5].endswith("| cannot `promise`: a reason |")
    assert lines[-1] == "| `lost` |  | pack 1.0 | cannot be loaded: ImportError: no |  |  |"


def test_json():
    rows = json.loads(as_json(MODULES))
    assert rows[0] == {
        "group": "encoders",
        "name": "one",
        "origin": "built in",
        "class": "One",
        "summary": "It is | one.",
        "paper": '"T" (A 2020)',
        "supports": ["causal", "streams"],
        "cannot": {},
        "error": "",
    }


def test_the_list_can_be_narrowed(capsys, tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, "lost_one", f"{ENTRY}lost_one = lost_one:X\n")
    list_modules("json", group="encoders")
    assert "lost_one" in {row["name"] for row in json.loads(capsys.readouterr().out)}
    list_modules("json", group="encoders", built_in=True)
    rows = json.loads(capsys.readouterr().out)
    assert {row["group"] for row in rows} == {"encoders"}
    assert "lost_one" not in {row["name"] for row in rows}
    with pytest.raises(
        InputError, match="should be one of interactions, .*'encoder', did you mean 'encoders'"
    ):
        list_modules(group="encoder")


def test_written_between_marks(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for text in ("a longer text\n", "new\n"):
        write_between_marks(file, text)
    assert file.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    file.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(InputError, match="lacks the lines"):
        write_between_marks(file, "new")
    with pytest.raises(InputError, match="no file"):
        write_between_marks(tmp_path / "none.md", "new")


def test_a_mistake_is_one_line():
    command = [sys.executable, "-m", "torchrec_ext", "list", "--group", "scorer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert done.stderr.startswith("torchrec_ext: group should be one of ") and done.stderr.count("\n") == 1


def test_from_the_command_line():
    command = [sys.executable, "-m", "torchrec_ext", "list", "--group", "scorers", "--format", "markdown"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "| `dot` | `DotScorer` |" in done.stdout and done.stderr == ""
