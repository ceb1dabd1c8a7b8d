"""The list of modules as a text, as Markdown or as JSON."""

import dataclasses
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any, Literal

from torchrec_ext.checks import expect_one_of
from torchrec_ext.command_line.find_modules import ListedModule, find_modules
from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError

BEGIN = "<!-- modules: made by `python -m torchrec_ext list`, see `make modules` -->"
END = "<!-- end of the modules -->"


def list_modules(
    format: Literal["table", "markdown", "json"] = "table",
    group: str | None = None,
    built_in: bool = False,
    into: str | None = None,
) -> None:
    """Prints every module found, by its group: those of this package and of others that are installed.

    Args:
        format: a text for reading, tables in Markdown, or JSON.
        group: one group alone, such as encoders.
        built_in: leave out what other packages bring.
        into: a file, into which the Markdown goes between the two comments that mark its place.
    """
    if group is not None:
        expect_one_of("group", group, tuple(GROUPS))
    modules = [
        module
        for one in ([group] if group else GROUPS)
        for module in find_modules(one)
        if not built_in or module.origin == "built in"
    ]
    if into is not None:
        write_between_marks(Path(into), as_markdown(modules))
    else:
        print({"table": as_table, "markdown": as_markdown, "json": as_json}[format](modules), end="")


def as_table(modules: list[ListedModule], width: int | None = None) -> str:
    """A text of so many columns, unless told the terminal's, and at least 80."""
    width = max(80, width or shutil.get_terminal_size((110, 24)).columns)
    name, cls, origin = (
        max((len(getattr(module, part)) for module in modules), default=0)
        for part in ("name", "cls", "origin")
    )
    lines: list[str] = []
    for group in dict.fromkeys(module.group for module in modules):
        lines += ["", group]
        for m in (m for m in modules if m.group == group):
            head = f"  {m.name:{name}}  {m.cls:{cls}}  {m.origin:{origin}}  {', '.join(m.supports)}"
            below = [m.summary, m.paper, *(f"cannot {p}: {why}" for p, why in m.cannot.items())]
            below.append(m.error and f"cannot be loaded: {m.error}")
            lines += textwrap.wrap(head, width, subsequent_indent=" " * (name + cls + origin + 8)) or [head]
            for text in filter(None, below):
                lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 8)
    return "\n".join(lines[1:]) + "\n"


def as_markdown(modules: list[ListedModule]) -> str:
    """A table for each group; where a module is from is told if some are from elsewhere."""
    elsewhere = any(module.origin != "built in" for module in modules)
    columns = ["name", "class", *(["origin"] if elsewhere else []), "what it is", "paper", "supports, cannot"]
    blocks = []
    for group in dict.fromkeys(module.group for module in modules):
        rows = [columns, ["---"] * len(columns)]
        for m in (m for m in modules if m.group == group):
            what = m.summary if not m.error else f"cannot be loaded: {m.error}"
            paper = re.sub(r'"(.+)"', r"*\1*", m.paper)
            cannot = (f"cannot `{promise}`: {why}" for promise, why in m.cannot.items())
            can = "; ".join(filter(None, [", ".join(m.supports), *cannot]))
            cls = m.cls and f"`{m.cls}`"
            rows.append([f"`{m.name}`", cls, *([m.origin] if elsewhere else []), what, paper, can])
        lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
        blocks.append(f"`{group}`:\n\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def as_json(modules: list[ListedModule]) -> str:
    """A list of objects, their keys the attributes of :class:`ListedModule`, ``cls`` being ``class``."""
    rows = []
    for module in modules:
        row: dict[str, Any] = dataclasses.asdict(module)
        rows.append({"class" if key == "cls" else key: value for key, value in row.items()})
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def write_between_marks(path: Path, text: str) -> None:
    """Puts a text between the two comments of a file.

    Raises:
        InputError: if the file does not hold both.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; name one that holds the lines {BEGIN} and {END}")
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{path} lacks the lines {BEGIN} and {END}; put them where the modules should stand")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
