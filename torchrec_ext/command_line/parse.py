"""A recipe's settings from the command line, with the settings of the plug-ins that it names."""

import dataclasses
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, TypeVar

import tyro

from torchrec_ext import plugin_names
from torchrec_ext.command_line.module_settings import module_settings
from torchrec_ext.errors import InputError

Settings = TypeVar("Settings")
_IMPORTS = "Modules of your own that a run's model consists of, such as my_package.encoders."


def parse_settings(
    settings: type[Settings], parts: Mapping[str, str] | None = None, argv: Sequence[str] | None = None
) -> tuple[Settings, dict[str, dict[str, Any]]]:
    """Parses the command line; an unknown setting is refused with the nearest names.

    Args:
        settings: a frozen dataclass; its docstring is the help.
        parts: settings that name a plug-in -> its group. The settings of the plug-in become flags
            too, ``--<part>.<name> value``, and are in the help.
        argv: the arguments; None takes the process's.

    Returns:
        The settings, and for each part the settings of its plug-in, defaults included.

    Raises:
        InputError: for a plug-in or a module of ``--imports`` that does not exist.
        SystemExit: from the parser, after help (0) or for a setting that does not exist (2).

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     encoder: str = "gru"
        >>> parse_settings(Settings, {"encoder": "encoders"}, ["--encoder", "gru", "--encoder.layers", "2"])
        (Settings(encoder='gru'), {'encoder': {'hidden': None, 'layers': 2, 'dropout': 0.2}})
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parts = parts or {}
    classes = {part: module_settings(group, _chosen(settings, part, words)) for part, group in parts.items()}
    with_modules = dataclasses.make_dataclass(
        settings.__name__,
        [
            *((_field(part), Annotated[cls, tyro.conf.arg(name=part)]) for part, cls in classes.items()),
            ("imports", Annotated[tuple[str, ...], tyro.conf.arg(help=_IMPORTS)], ()),
        ],
        bases=(settings,),
        frozen=True,
        kw_only=True,
    )
    parsed: Any = tyro.cli(
        with_modules,
        description="\n\n".join([inspect.cleandoc(settings.__doc__ or ""), *map(_choices, parts.values())]),
        args=words,
        config=(tyro.conf.FlagCreatePairsOff,),
        console_outputs=os.environ.get("RANK", "0") == "0",
    )
    for module in parsed.imports:
        try:
            import_module(module)
        except (ImportError, TypeError, ValueError) as error:  # the last two of '.x' and of ''
            raise InputError(
                f"--imports {module}: {error}; install its package or correct the name"
            ) from error
    given = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    return settings(**given), {part: vars(getattr(parsed, _field(part))) for part in parts}


def parse_pairs(words: Sequence[str], setting: str) -> dict[str, str]:
    """``("user=uid", "item=sku")`` to a dictionary; InputError names the setting."""
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InputError(f"--{setting} takes pairs such as item=value, received {word!r}")
        pairs[name] = value
    return pairs


def _field(part: str) -> str:
    return f"{part}_settings"


def _chosen(settings: type, part: str, words: Sequence[str]) -> str | None:
    """The name of a part's plug-in: the last one on the command line, or the default."""
    chosen = next(f.default for f in dataclasses.fields(settings) if f.name == part)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag.replace("_", "-") == f"--{part}".replace("_", "-"):
            chosen = value if equals else following
    return chosen  # type: ignore[return-value]


def _choices(group: str) -> str:
    return (
        f"{group.replace('_', ' ').capitalize()}: {', '.join(plugin_names.names(group)) or 'none built in'}."
    )
