"""Hooks of the documentation's build: pages that follow the sources, and references in docstrings."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "torchrec_ext"
ROOT = Path(__file__).parent.parent
EVERYTHING = re.compile(rf"^::: {PACKAGE}\.([\w.]+)\.\*$", re.M)
ROLE = re.compile(r":(?:func|class|meth|attr|data|mod):<code>([^<]+)</code>")
TITLED = re.compile(r"(.+?)\s*&lt;(.+)&gt;")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces ``::: torchrec_ext.encoders.*`` with an entry for every public name of that package.

    The names come from the sources, so a module that is added is on its page at the next build. Each entry
    names the file where the object is defined: ``evaluation.evaluate`` is a module and a function.
    """
    return EVERYTHING.sub(lambda found: _entries(found[1]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Turns the Sphinx roles of docstrings, such as ``:func:`~torchrec_ext.data.clean```, into links."""
    return ROLE.sub(_link, html)


@cache
def public_names(package: str) -> dict[str, str]:
    """Public name -> dotted path of its definition, for the package itself and for those found by file.

    The package's ``__init__``, or the stub beside it, imports its public names. A package of plug-ins has
    besides each public class and function of each public file, which it imports on first use.
    """
    folder = ROOT.joinpath(PACKAGE, *package.split("."))
    source = "".join(path.read_text() for path in sorted(folder.glob("__init__.py*")))
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.{package}.")
        for alias in node.names
    }
    if "__getattr__" in source:
        for path in sorted(folder.glob("[!_]*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    names.setdefault(node.name, f"{PACKAGE}.{package}.{path.stem}.{node.name}")
    return names


def _entries(package: str) -> str:
    """The package's docstring, then its public names."""
    introduction = f"::: {PACKAGE}.{package}\n    options:\n      members: false"
    shown = "    options:\n      show_root_heading: true\n      show_root_toc_entry: true"
    return "\n\n".join([introduction, *(f"::: {path}\n{shown}" for path in public_names(package).values())])


def _link(found: re.Match[str]) -> str:
    """A reference that stays plain text where the target is not documented."""
    titled = TITLED.fullmatch(found[1])
    title, target = titled.groups() if titled else (found[1], found[1].removeprefix("~"))
    if title.startswith("~"):
        title = title.rpartition(".")[2]
    parts = target.split(".")
    if len(parts) == 3 and (ROOT / PACKAGE / parts[1] / "__init__.py").is_file():
        target = public_names(parts[1]).get(parts[2], target)
    return f'<autoref identifier="{target}" optional><code>{title}</code></autoref>'
