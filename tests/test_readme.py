"""The README's Python runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from torchrec_ext.command_line.find_modules import find_modules
from torchrec_ext.command_line.list_modules import BEGIN, END, as_markdown
from torchrec_ext.contracts import GROUPS

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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "ndcg@10" in done.stdout
    lines = done.stdout[done.stdout.index("user,item,score,rank") :].strip().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["196"] * 10 + ["22"] * 10
    assert [int(line.split(",")[3]) for line in lines[1:]] == [*range(1, 11)] * 2
    assert {line.split(",")[4] for line in lines[1:]} == {"model"}


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
