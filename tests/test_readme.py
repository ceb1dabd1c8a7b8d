"""The README's Python runs as it stands."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from torchrec_ext.command_line.find_modules import find_modules
from torchrec_ext.command_line.list_modules import BEGIN, END, as_markdown
from torchrec_ext.contracts import GROUPS
from torchrec_ext.data.features import category, number, vector
from torchrec_ext.data.features.options import KINDS
from torchrec_ext.data.features.scale import SCALES
from torchrec_ext.data.features.time_part import PARTS
from torchrec_ext.data.reading.named import NAMED
from torchrec_ext.data.sets import names_of_sets

ROOT = Path(__file__).parent.parent


def _ratings(path: Path) -> None:
    """A file in the layout of MovieLens 1M: 40 users, 22 and 196 among them, 25 of 60 movies each."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for user in [22, 196, *range(300, 338)]:
            for time, movie in enumerate(rng.permutation(60)[:25]):
                file.write(f"{user}::{movie + 1}::{rng.integers(1, 6)}::{978300000 + 60 * time}\n")


def test_the_ten_lines_train_evaluate_and_recommend(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    ten_lines = next(block for block in blocks if "leave_last_out" in block)
    assert len(ten_lines.strip().splitlines()) <= 10
    _ratings(tmp_path / "ratings.dat")
    code = ten_lines + "\nprint(top.to_csv(index=False))\n"
    told = _run(code, tmp_path)
    assert "ndcg@10" in told
    lines = told[told.index("user,item,score,rank") :].strip().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["196"] * 10 + ["22"] * 10
    assert [int(line.split(",")[3]) for line in lines[1:]] == [*range(1, 11)] * 2
    assert {line.split(",")[4] for line in lines[1:]} == {"model"}


def _shop(folder: Path) -> None:
    """Events of 30 users in CSV, searches, and features of items and users, some of them missing."""
    rng = np.random.default_rng(0)
    users = ["ann", "bob", *(f"u{n}" for n in range(28))]
    skus = [f"{n:03}" for n in range(40)]
    events = ["user_id,sku,ts,type"]
    for user in users:
        for time, sku in enumerate(rng.permutation(skus)[:12]):
            events.append(f"{user},{sku},{1700000000 + 60 * time},{rng.choice(['view', 'purchase'])}")
    items = [f"{sku},b{n % 5},{'' if n == 3 else n / 2},new|t{n % 3}" for n, sku in enumerate(skus)]
    people = [
        f"{user},{'de' if n % 2 else 'at'},{'' if n == 1 else 1960 + n}" for n, user in enumerate(users)
    ]
    (folder / "events.csv").write_text("\n".join([*events, "ann,,1700000000,view"]))
    (folder / "items.csv").write_text("\n".join(["sku,brand,price,tags", *items]))
    (folder / "users.csv").write_text("\n".join(["user_id,country,born", *people]))
    searches = [{"user_id": "ann", "ms": 1700000000000, "words": "red shoe"}]
    (folder / "searches.jsonl").write_text("\n".join(map(json.dumps, searches)))


def _run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_files_become_lists_in_under_fifteen_lines(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = next(block for block in blocks if "items.csv" in block)
    assert len([line for line in lines.splitlines() if line.strip()]) < 15
    _shop(tmp_path)
    told = _run(lines, tmp_path)
    assert "ndcg@10" in told and "leave-last-out" in told and "360" in told
    top = pd.read_csv(tmp_path / "top.csv", dtype={"item": str})
    assert top["user"].tolist() == ["ann"] * 10 + ["bob"] * 10
    assert top["rank"].tolist() == [*range(1, 11)] * 2 and set(top["source"]) == {"model"}
    assert top["item"].str.fullmatch(r"\d{3}").all()  # 007 stays 007
    events = pd.read_csv(tmp_path / "events.csv", dtype=str)
    for user in ("ann", "bob"):
        seen = set(events["sku"][events["user_id"] == user])
        assert seen.isdisjoint(top["item"][top["user"] == user])


def test_the_declared_shop_is_read_and_trained(tmp_path):
    import torchrec_ext as tx

    (declared,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    _shop(tmp_path)
    (tmp_path / "shop.toml").write_text(declared)
    events = tx.data.read_events(tmp_path / "shop.toml")
    assert events.source.name == "shop" and len(events) == 361 and events.source.steps[0].removed == 1
    assert (
        events.frame.iloc[-1]["words"] == ["red", "shoe"] and events.frame.iloc[-1]["timestamp"] == 1700000000
    )
    assert events.weights["purchase"] == 5 and events.weights["search"] == 0
    assert events.item_features == ("brand", "price", "tags")
    train, _, _ = tx.data.leave_last_out(events)
    assert train.schema.features_of("context") == ("context_words",)
    assert train.schema.dense_of("item", "context") == (
        "context_timestamp_hour", "context_timestamp_weekday", "item_price",
    )  # fmt: skip


def test_the_table_of_options_names_those_there_are():
    readme = (ROOT / "README.md").read_text()
    table = readme[readme.index("| kind | option | values |") : readme.index("**Cleaning and splits**")]
    for kind, options in KINDS.items():
        assert f"`{kind}`" in table
        for field in fields(options):
            assert f"`{field.name}`" in table, (kind, field.name)
    for word in (*number.MISSING, *SCALES, *category.MISSING, *vector.MISSING, *vector.SCALES, *PARTS):
        assert f"`{word}`" in table or f'"{word}"' in table, word


def test_the_names_of_data_sets_are_all_there():
    readme = (ROOT / "README.md").read_text()
    for name in (*NAMED, *names_of_sets()):
        assert f"`{name}`" in readme, name


def test_the_commands_name_files_that_exist():
    commands = re.findall(r"(?:recipes|benchmarks|requirements)/\w+\.\w+", (ROOT / "README.md").read_text())
    assert commands
    for name in commands:
        assert (ROOT / name).exists(), name


def test_the_table_of_modules_is_that_of_the_code():
    _, _, rest = (ROOT / "README.md").read_text().partition(BEGIN)
    table, end, _ = rest.partition(END)
    modules = [m for group in GROUPS for m in find_modules(group) if m.origin == "built in"]
    assert end and table.strip() == as_markdown(modules).strip(), "make it again: make readme"


def test_the_adapter_in_the_readme_fits_a_torchrec_module():
    import torchrec.modules.crossnet

    import torchrec_ext as tx
    from tests.worlds import small_world

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = next(block for block in blocks if "ModuleInteraction" in block)
    train, _, _ = tx.data.leave_last_out(small_world())
    names = {"torchrec": torchrec, "tx": tx, "train": train}
    exec(lines, names)
    losses: list[float] = []
    tx.training.fit(
        names["model"], train, epochs=3, progress=False, on_step=lambda _, loss: losses.append(loss)
    )
    assert losses[-1] < losses[0]
