"""The documentation's examples run, its commands are accepted, and its tables agree with the code."""

import ast
import dataclasses
import importlib
import re
import subprocess
import sys
import typing
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import tyro

import torchrec_ext as tx
from tests.documents import PAGES, ROOT, blocks, commands, run_examples, spans, write_files
from tests.setup.project import sources
from torchrec_ext import plugins
from torchrec_ext.command_line import parse_settings
from torchrec_ext.command_line.find_modules import find_modules
from torchrec_ext.command_line.list_modules import BEGIN, END, as_markdown, list_modules
from torchrec_ext.contracts import GROUPS
from torchrec_ext.data.features import KINDS
from torchrec_ext.data.sources.find_declaration import known_sets

OWN_DATA = PAGES["docs/your-own-data.md"]
EXAMPLES = sorted({name for name, page in PAGES.items() if [*blocks(page, "python")]} - {"README.md"})
COMMANDS = sorted({name for name, page in PAGES.items() if [*commands(page)]})
TARGETS = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))


@pytest.fixture(autouse=True)
def in_folder_with_files(tmp_path, monkeypatch):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if PAGES[name] != OWN_DATA])
# a reader copies what is there, so it should not lose the overlap of lookups with computing
@pytest.mark.filterwarnings("error:lookups do not overlap")
def test_examples_of_a_page_run(name):
    run_examples(PAGES[name])


def test_the_readme_and_the_overview_link_every_guide():
    guides = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md", "changelog.md"}
    for page in ("README.md", "docs/index.md"):
        linked = set(re.findall(r"\]\((?:docs/)?([\w-]+\.md)\)", PAGES[page].read_text()))
        assert guides <= linked, (page, guides - linked)


@pytest.mark.parametrize("name", PAGES)
def test_no_example_hides_from_the_test(name):
    """A fence that is indented, or names its language otherwise, would not run."""
    text = PAGES[name].read_text()
    fences = re.findall(r"^[ \t]*(?:```|~~~)[ \t]*(\S*)$", text, re.M)
    assert set(fences) <= {"", "python", "sh", "text", "toml"}
    assert len(re.findall("```python", text)) == len([*blocks(PAGES[name], "python")])


def test_examples_of_own_data_read_train_and_recommend(tmp_path, capsys):
    (_, first), *_ = blocks(OWN_DATA, "python")
    assert len([line for line in first.splitlines() if line.strip()]) < 15
    names = run_examples(OWN_DATA)
    printed = capsys.readouterr().out
    assert "ndcg@10" in printed and "leave-last-out" in printed and "360" in printed
    top = pd.read_csv("top.csv", dtype={"item": str})
    assert top["user"].tolist() == ["ann"] * 10 + ["bob"] * 10
    assert top["rank"].tolist() == [*range(1, 11)] * 2 and set(top["source"]) == {"model"}
    assert top["item"].str.fullmatch(r"\d{3}").all()  # 007 stays 007
    events = pd.read_csv("events.csv", dtype=str)
    for user in ("ann", "bob"):
        seen = set(events["sku"][events["user_id"] == user])
        assert seen.isdisjoint(top["item"][top["user"] == user])
    assert len(names["liked"]) < 40 * 25 and Path("train.png").stat().st_size > 1000
    assert len(names["train"].table) == 360 + 2  # prepared, and appended


def test_the_declared_shop_is_read():
    events = tx.data.read_events("shop.toml")
    assert events.source.name == "shop" and len(events) == 361 and events.source.steps[0].removed == 1
    assert events.frame.iloc[-1]["words"] == ["red", "shoe"]
    assert events.frame.iloc[-1]["timestamp"] == 1700000000
    assert events.weights["purchase"] == 5 and events.weights["search"] == 0
    assert events.item_features == ("brand", "price", "tags")
    train, _, _ = tx.data.leave_last_out(events)
    assert train.schema.features_of("context") == ("context_words",)
    assert train.schema.dense_of("item", "context") == (
        "context_timestamp_hour", "context_timestamp_weekday", "item_price",
    )  # fmt: skip


def test_the_table_of_options_names_those_there_are():
    table = OWN_DATA.read_text().partition("## Features")[2].partition("## Cleaning")[0]
    for kind, options in KINDS.items():
        assert f"`{kind}`" in table
        for field in dataclasses.fields(options):
            assert f"`{field.name}`" in table, (kind, field.name)
        for word in re.findall(r"(?:\[|, )'(\w+)'", str(typing.get_type_hints(options))):
            assert f"`{word}`" in table or f'"{word}"' in table, word


def test_the_names_of_splits_and_data_sets_are_all_there():
    page = OWN_DATA.read_text()
    for name in (*known_sets(), *tx.data.SPLITS):
        assert f"`{name}`" in page, name


def test_the_table_of_modules_is_that_of_the_code():
    _, _, rest = PAGES["docs/modules.md"].read_text().partition(BEGIN)
    table, end, _ = rest.partition(END)
    modules = [m for group in GROUPS for m in find_modules(group) if m.origin == "built in"]
    assert end and table.strip() == as_markdown(modules).strip(), "make it again: make modules"


class Accepted(Exception):
    """The command line was parsed."""


def parse(script: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a recipe or a benchmark parse its arguments, and stops it there."""
    parser = tyro.cli

    def parse_and_stop(*arguments, **settings):
        parser(*arguments, **settings)
        raise Accepted

    for folder in ("benchmarks", "recipes"):  # a script imports its neighbours
        monkeypatch.syspath_prepend(ROOT / folder)
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    monkeypatch.setattr(tyro, "cli", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [script, *words])
    try:
        if script.startswith("recipes/"):
            parse_settings(module.Settings, getattr(module, "PARTS", None))
        else:
            module.main()
    except Accepted:
        pass
    except SystemExit as end:
        assert not end.code, f"{script} {words}"
    finally:
        monkeypatch.setattr(tyro, "cli", parser)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_accepted(name, monkeypatch):
    for words in commands(PAGES[name]):
        script = next((word for word in words if re.match(r"(recipes|benchmarks)/\w+\.py$", word)), None)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= TARGETS, words
        elif script is not None:
            assert words[0] in ("python", "torchrun")
            parse(script, words[words.index(script) + 1 :], monkeypatch)
        elif words[:4] == ["python", "-m", "torchrec_ext", "list"]:
            tyro.cli(list_modules, args=words[4:])
        else:
            assert words[0] == "pip" or words[:3] == ["python", "-m", "mkdocs"], words


@cache
def flags() -> set[str]:
    """Every flag of every recipe and benchmark: the fields of their dataclasses, and of those they share."""
    shared = (tx.training.Optimization, tx.training.EarlyStopping)
    trees = [ast.parse(p.read_text()) for p in sources("recipes", "benchmarks", "torchrec_ext/command_line")]
    return (
        {
            "--" + statement.target.id.replace("_", "-")
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for statement in node.body
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        }
        | {"--" + f.name.replace("_", "-") for cls in shared for f in dataclasses.fields(cls)}
        | {"--help"}
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_prose_names_flags_files_and_targets_that_exist(name):
    known = flags()
    for span in spans(PAGES[name]):
        for flag in re.findall(r"(?<!\S)--[a-z][a-z-]*", span):
            flag = flag.replace("--no-", "--", 1) if flag not in known else flag  # of a truth value
            assert flag in known or "torchrun" in span or "pip" in span, span
        for path in re.findall(r"(?:recipes|benchmarks|requirements|docs)/[\w.-]+\.\w+", span):
            assert (ROOT / path).exists(), span
        if found := re.match(r"make ([\w-]+)", span):
            assert found[1] in TARGETS, span


@pytest.mark.slow
def test_the_site_builds_from_the_sources_alone_and_loads_nothing_from_elsewhere(tmp_path):
    command = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix(): path for path in tmp_path.rglob("*.html")}
    for name, path in pages.items():
        html = path.read_text()
        loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", html)
        assert not loaded, (name, loaded)
        assert not re.search(r":(func|class|meth|data|attr):", html), name
        assert not (name.startswith("api/") and "<blockquote>" in html), (
            f"{name}: an example is not shown as code"
        )
    for group in GROUPS:
        for module in (plugins.find(group, name) for name in plugins.names(group)):
            if module.__module__.startswith("torchrec_ext."):
                identifier = f'id="{module.__module__}.{module.__qualname__}"'
                assert identifier in pages[f"api/{group}.html"].read_text(), identifier
    assert 'id="torchrec_ext.evaluation.evaluate.evaluate"' in pages["api/evaluation.html"].read_text()
