"""Pages of the documentation: their examples and commands, and the files that these read."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.setup.project import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
}


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """Line of the file and text of each fenced block of a language."""
    text = page.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.S | re.M):
        yield text.count("\n", 0, found.start(1)), found[1]


def run_examples(page: Path) -> dict[str, Any]:
    """Executes a page's Python blocks in order, in one namespace, and returns it.

    A traceback names the page and the line.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), names)
    return names


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in a page's shell blocks, without variables before it."""
    for _, block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words:
                yield words


def spans(page: Path) -> list[str]:
    """The inline code of a page."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M)
    return re.findall(r"`([^`\n]+)`", prose)


def write_files(folder: Path) -> None:
    """What examples read: ``ratings.dat``, the shop's tables, and ``shop.toml`` as its page shows it."""
    write_ratings(folder / "ratings.dat")
    write_shop(folder)
    declared = next(
        text for _, text in blocks(PAGES["docs/your-own-data.md"], "toml") if '"events.csv"' in text
    )
    (folder / "shop.toml").write_text(declared)


def write_ratings(path: Path) -> None:
    """A file in the layout of MovieLens 1M: 40 users, 22, 196 and 300 among them, 25 of 60 movies each."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for user in [22, 196, *range(300, 338)]:
            for time, movie in enumerate(rng.permutation(60)[:25]):
                file.write(f"{user}::{movie + 1}::{rng.integers(1, 6)}::{978300000 + 60 * time}\n")


def write_shop(folder: Path) -> None:
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
