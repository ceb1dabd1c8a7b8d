"""The list of modules as plain text, Markdown or JSON."""

import dataclasses
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any, Literal

from torchrec_ext.command_line.find_modules import ListedModule, find_modules
from torchrec_ext.command_line.read_plugin import groups
from torchrec_ext.errors import InputError, nearest

BEGIN = "<!-- modules: made by `python -m torchrec_ext list`, see `make modules` -->"
END = "<!-- end of the modules -->"


def list_modules(
    format: Literal["table", "markdown", "json"] = "table",
    group: str | None = None,
    built_in: bool = False,
    into: str | None = None,
) -> None:
    """Prints the modules of this package and of other installed packages by group.

    Args:
        format: plain text, tables in Markdown, or JSON.
        group: list one group only, such as encoders.
        built_in: leave out the modules of other packages.
        into: a file; the Markdown replaces what stands between its two comments that mark the place.
    """
    if group is not None:
        there = [*groups()]
        if group not in there:
            raise InputError(
                f"group should be one of {', '.join(there)}, received {group!r}{nearest(group, there)}"
            )
    modules = [
        module
        for one in ([group] if group else groups())
        for module in find_modules(one)
        if not built_in or module.origin == "built in"
    ]
    if into is not None:
        write_between_marks(Path(into), as_markdown(modules))
    else:
        print({"table": as_table, "markdown": as_markdown, "json": as_json}[format](modules), end="")


def as_table(modules: list[ListedModule], width: int | None = None) -> str:
    """Plain text of ``width`` columns, at least 80; None takes the terminal's width."""
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
    """A table for each group; it has a column for the origin if some modules are not built in."""
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
    """A list of objects with the attributes of :class:`ListedModule` as keys; ``cls`` becomes ``class``."""
    rows = []
    for module in modules:
        row: dict[str, Any] = dataclasses.asdict(module)
        rows.append({"class" if key == "cls" else key: value for key, value in row.items()})
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def write_between_marks(path: Path, text: str) -> None:
    """Replaces the text between the two comments of a file.

    Raises:
        InputError: if the file lacks one of them.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; name one that holds the lines {BEGIN} and {END}")
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{path} lacks the lines {BEGIN} and {END}; add them where the table belongs")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
