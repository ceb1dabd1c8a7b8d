"""A recipe's settings from the command line, with the settings of the plug-ins it names."""

import ast
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from torchrec_ext.errors import InputError

Settings = TypeVar("Settings")


def parse_settings(
    settings: type[Settings], parts: Sequence[str] = (), argv: Sequence[str] | None = None
) -> tuple[Settings, dict[str, dict[str, Any]]]:
    """Parses the command line; an unknown setting is refused with the nearest name there is.

    Args:
        settings: a frozen dataclass; its docstring is the help.
        parts: settings that name a plug-in, whose own settings follow as ``--<part>.<name> value``.
        argv: the arguments; None takes the process's.

    Returns:
        The settings, and for each part its own settings; their names are checked where it is built.

    Raises:
        InputError: for a setting of a part without a value.
        SystemExit: from the parser, after help (0) or for a setting that does not exist (2).

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     encoder: str = "gru"
        >>> parse_settings(Settings, ["encoder"], ["--encoder", "gru", "--encoder.layers", "2"])
        (Settings(encoder='gru'), {'encoder': {'layers': 2}})
    """
    rest: list[str] = []
    own: dict[str, dict[str, Any]] = {part: {} for part in parts}
    words = list(sys.argv[1:] if argv is None else argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        part, dot, name = flag.removeprefix("--").partition(".")
        if not (flag.startswith("--") and dot and part in own):
            rest.append(word)
            continue
        if not equals and (not words or words[0].startswith("--")):
            raise InputError(f"{flag} needs a value, such as {flag} 2")
        own[part][name.replace("-", "_")] = _value(value if equals else words.pop(0))
    return tyro.cli(settings, args=rest), own


def parse_pairs(words: Sequence[str], setting: str) -> dict[str, str]:
    """``("user=uid", "item=sku")`` to a dictionary; InputError names the setting."""
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InputError(f"--{setting} takes pairs such as item=value, received {word!r}")
        pairs[name] = value
    return pairs


def _value(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
