"""A Griffe extension for the docstrings of this package."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)Example:$", re.M)


class ExampleSections(griffe.Extension):
    """Reads a section ``Example:`` as code, as ``Examples:`` is; Griffe takes it for a note otherwise."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section in the docstring of each object."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
