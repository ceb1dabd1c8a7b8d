"""The settings that a plug-in brings to the command line."""

from dataclasses import MISSING, dataclass, fields
from typing import Literal

import pytest

from torchrec_ext import plugin_names, plugins
from torchrec_ext.command_line.module_settings import module_settings
from torchrec_ext.command_line.parse import parse_pairs, parse_settings
from torchrec_ext.command_line.read_source import UnreadableError
from torchrec_ext.contracts import GROUPS
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError

HERE = __name__


@dataclass(frozen=True)
class Ranking:
    """Help."""

    interaction: str = "dot"


class Odd(GRU):
    """An encoder with arguments of all kinds.

    Args:
        steps: how many.
        mode: which way.
    """

    def __init__(
        self,
        dim: int,
        steps: int,
        sizes: tuple[int, ...] = (1, 2),
        mode: Literal["up", "down"] = "up",
        rate: "float | None" = None,
        flag=False,
        names: list = [],  # noqa: B006
        hook: type = dict,
        inside: "tuple[str | type[GRU], ...]" = ("gru", "mean_pool"),
        above: GRU | int | None = None,
        beside: GRU | None = None,
        **more: int,
    ) -> None:
        super().__init__(dim)


class Unresolved(GRU):
    def __init__(self, dim: int, width: "Missing" = 3) -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(dim)


class Bare(GRU):
    pass


@dataclass(frozen=True)
class Settings:
    """Help."""

    encoder: str = "gru"
    scorer: str | None = None


def test_plain_arguments_alone_are_settings():
    made = module_settings("encoders", f"{HERE}:Odd")
    assert {field.name: field.type for field in fields(made)} == {
        "steps": int,
        "sizes": tuple[int, ...],
        "mode": Literal["up", "down"],
        "rate": float | None,
        "flag": bool,
        "inside": tuple[str, ...],
        "above": int | None,
    }
    assert vars(made(steps=3)) == {
        "steps": 3,
        "sizes": (1, 2),
        "mode": "up",
        "rate": None,
        "flag": False,
        "inside": ("gru", "mean_pool"),
        "above": None,
    }


@pytest.mark.parametrize("group", GROUPS)
def test_settings_that_the_source_shows_are_those_of_the_class(group, monkeypatch):
    def described(name: str) -> tuple[object, ...]:
        made = module_settings(group, name)
        needed = {f.name: f.type for f in fields(made) if f.default_factory is MISSING}
        return made.__doc__, needed, {f.name: f.type for f in fields(made)}, vars(made(**needed))

    def refuse(*_: str) -> None:
        raise UnreadableError

    with monkeypatch.context() as without_importing:
        without_importing.setattr("torchrec_ext.command_line.module_settings.import_module", None)
        read = {name: described(name) for name in plugin_names.built_in(group)}
    monkeypatch.setattr("torchrec_ext.command_line.module_settings.read_plugin", refuse)
    assert read == {name: described(name) for name in read}


def test_a_type_that_does_not_resolve_is_that_of_the_default():
    assert vars(module_settings("encoders", f"{HERE}:Unresolved")()) == {"width": 3}


def test_a_plug_in_without_a_constructor_of_its_own_has_its_parents_settings():
    assert vars(module_settings("encoders", f"{HERE}:Bare")()) == {
        "hidden": None,
        "layers": 1,
        "dropout": 0.2,
    }


def test_none_is_for_what_a_model_can_do_without():
    assert (
        vars(module_settings("encoders", "none")()) == vars(module_settings("target_attention", None)()) == {}
    )
    with pytest.raises(InputError, match="'none'; there are .*concat, convolution, .*dot"):
        module_settings("interactions", "none")


def test_the_last_name_on_the_command_line_counts():
    words = ["--encoder", "mean_pool", "--encoder=gru", "--encoder.layers", "2", "--scorer", "cosine"]
    settings, modules = parse_settings(Settings, {"encoder": "encoders", "scorer": "scorers"}, words)
    assert settings == Settings("gru", "cosine")
    assert modules == {
        "encoder": {"hidden": None, "layers": 2, "dropout": 0.2},
        "scorer": {"temperature": 0.1},
    }


def test_a_needed_setting_of_a_plug_in_is_asked_for(capsys):
    parts = {"encoder": "encoders"}
    with pytest.raises(SystemExit) as end:
        parse_settings(Settings, parts, ["--encoder", f"{HERE}:Odd"])
    assert end.value.code == 2 and "--encoder.steps" in capsys.readouterr().err
    modules = parse_settings(Settings, parts, ["--encoder", f"{HERE}:Odd", "--encoder.steps", "4"])[1]
    assert modules["encoder"]["steps"] == 4


def test_what_also_takes_modules_is_set_by_names():
    parts = {"interaction": "interactions"}
    words = ["--interaction", "parallel", "--interaction.parts", "dot", "cross_network"]
    modules = parse_settings(Ranking, parts, words)[1]
    assert modules == {"interaction": {"parts": ("dot", "cross_network")}}
    made = plugins.bind("interactions", "parallel", **modules["interaction"])(num_fields=3, dim=8)
    assert made.parts == ("dot", "cross_network") and made.out_dim == 3 + 24


def test_a_size_is_no_setting(capsys):
    with pytest.raises(SystemExit):
        parse_settings(Settings, {"encoder": "encoders"}, ["--encoder.dim", "4"])
    assert "--encoder.dim" in capsys.readouterr().err


def test_pairs():
    assert parse_pairs(["user=uid", "rating=", "item=a=b"], "columns") == {
        "user": "uid",
        "rating": "",
        "item": "a=b",
    }
    with pytest.raises(InputError, match="--sharding takes pairs such as item=value, received 'item'"):
        parse_pairs(["item"], "sharding")
