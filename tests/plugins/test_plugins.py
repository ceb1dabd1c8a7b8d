import json

import pytest
import torch
from torch import nn

from torchrec_ext import encoders, interactions, plugins, scorers
from torchrec_ext.contracts import GROUPS, Interaction, Scorer
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.interactions import ConvolutionInteraction, DotInteraction
from torchrec_ext.scorers import DotScorer

HERE = __name__


class Wider(Interaction):
    """Holds modules, alone and in a list, and a plain mapping."""

    def __init__(self, num_fields: int, dim: int, first: nn.Module, parts: list[nn.Module], scale: dict):
        super().__init__()
        self.num_fields, self.dim, self.first, self.scale = num_fields, dim, first, scale
        self.parts = nn.ModuleList(parts)
        self.out_dim = first.out_dim + sum(part.out_dim for part in parts)

    def forward(self, fields_BFD):
        parts = [part(fields_BFD) for part in (self.first, *self.parts)]
        return self.scale["by"] * torch.cat(parts, dim=1)


class TakesAnything(Interaction):
    def __init__(self, num_fields: int, **more):
        super().__init__()
        self.num_fields, self.more = num_fields, more

    def forward(self, fields_BFD):
        return fields_BFD


class Unkept(Interaction):
    def __init__(self, num_fields: int):
        super().__init__()

    def forward(self, fields_BFD):
        return fields_BFD


class KeepsATensor(Unkept):
    def __init__(self, num_fields: int):
        super().__init__(num_fields)
        self.num_fields = torch.tensor(num_fields)


@pytest.mark.parametrize("group", GROUPS)
def test_every_name_is_found_and_keeps_its_groups_contract(group):
    for name in plugins.names(group):
        assert issubclass(plugins.find(group, name), GROUPS[group])


def test_names_are_the_files():
    assert {"concat", "convolution", "dot"} <= set(plugins.names("interactions"))
    assert {"gru", "mean_pool"} <= set(plugins.names("encoders"))
    assert plugins.find("interactions", "convolution") is ConvolutionInteraction
    assert plugins.find("scorers", "dot") is DotScorer


def test_folders_hand_their_classes_on():
    assert {"ConvolutionInteraction", "DotInteraction"} <= set(dir(interactions))
    assert encoders.GRU is GRU
    assert "CosineScorer" in dir(scorers)
    with pytest.raises(AttributeError, match="has no attribute 'Dot'"):
        _ = interactions.Dot


def test_by_the_place_of_the_class():
    assert plugins.find("interactions", f"{HERE}:Wider") is Wider
    module = plugins.build("encoders", "torchrec_ext.encoders.gru:GRU", dim=4, layers=2)
    assert isinstance(module, GRU) and module.layers == 2


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        ("interactions", "convoluton", r"no interactions named 'convoluton', did you mean 'convolution'\?"),
        ("interactions", "convoluton", r"there are .*concat, convolution, .*dot"),
        ("encoders", "xyzzy", r"no encoders named 'xyzzy'; there are .*gru.*'package.module:Class'"),
        ("encoder", "gru", "'encoder' is not a plug-in group; groups are interactions, encoders"),
        ("encoders", "dot", "no encoders named 'dot'"),
        ("encoders", "no_such_package:Encoder", "cannot import 'no_such_package:Encoder': No module named"),
        ("encoders", f"{HERE}:Missing", "cannot import .* has no attribute 'Missing'"),
        ("encoders", f"{HERE}:Wider", "is not a subclass of contracts.SequenceEncoder"),
        ("encoders", "json:loads", "is not a subclass of contracts.SequenceEncoder"),
        ("encoders", ":GRU", "':GRU' should have the form 'package.module:Class'"),
        ("encoders", "torchrec_ext.encoders.gru:", "should have the form 'package.module:Class'"),
        ("encoders", ".gru:GRU", "should have the form 'package.module:Class'"),
    ],
)
def test_what_cannot_be_found_is_explained(group, name, message):
    with pytest.raises(InputError, match=message):
        plugins.find(group, name)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("gru", {"dim": 4, "layer": 2}, "gru has no argument 'layer', did you mean 'layers'?; it has dim"),
        ("gru", {"dim": 4, "xyzzy": 2}, "gru has no argument 'xyzzy'; it has dim, hidden, layers, dropout"),
        ("gru", {"layers": 2}, "gru needs dim; pass it too"),
    ],
)
def test_wrong_arguments_are_explained(name, arguments, message):
    with pytest.raises(InputError) as error:
        plugins.build("encoders", name, **arguments)
    assert message in str(error.value)


def test_missing_and_unknown_arguments_of_other_constructors():
    with pytest.raises(InputError, match="convolution needs num_fields, dim; pass them too"):
        plugins.build("interactions", "convolution")
    with pytest.raises(InputError, match="dot has no argument 'width'; it has dim"):
        plugins.build("scorers", "dot", width=4)
    assert plugins.build("interactions", f"{HERE}:TakesAnything", num_fields=2, any=1).more == {"any": 1}


def test_make_takes_an_instance_a_class_or_a_name():
    instance = DotInteraction(num_fields=3, dim=8)
    assert plugins.make("interactions", instance, num_fields=3, dim=8) is instance
    for given in (DotInteraction, "dot"):
        made = plugins.make("interactions", given, num_fields=3, dim=8)
        assert isinstance(made, DotInteraction) and made.num_fields == 3
    with pytest.raises(InputError, match="DotInteraction needs num_fields"):
        plugins.make("interactions", DotInteraction, dim=8)


def test_make_refuses_an_instance_of_other_sizes_or_of_another_contract():
    with pytest.raises(InputError, match="DotInteraction was built with num_fields=2.*needs num_fields=3"):
        plugins.make("interactions", DotInteraction(num_fields=2, dim=8), num_fields=3, dim=8)
    with pytest.raises(InputError, match=r"DotInteraction is not a contracts\.SequenceEncoder"):
        plugins.make("encoders", DotInteraction(num_fields=2, dim=8), dim=8)


def test_description_and_back():
    module = ConvolutionInteraction(3, 4, filters=5, channels="fields")
    description = plugins.specification(module)
    assert description == {
        "class": "torchrec_ext.interactions.convolution:ConvolutionInteraction",
        "arguments": {"num_fields": 3, "dim": 4, "filters": 5, "kernel_size": 2, "channels": "fields"},
    }
    again = plugins.rebuild(json.loads(json.dumps(description)))
    again.load_state_dict(module.state_dict())
    fields = torch.rand(2, 3, 4)
    assert torch.equal(module(fields), again(fields))


def test_description_of_modules_within_a_module():
    parts = [ConvolutionInteraction(3, 4, filters=5), DotInteraction(3, 4)]
    module = Wider(3, 4, first=DotInteraction(3, 4, keep_fields=1), parts=parts, scale={"by": 2.0})
    again = plugins.rebuild(json.loads(json.dumps(plugins.specification(module))))
    again.load_state_dict(module.state_dict())
    fields = torch.rand(2, 3, 4)
    assert torch.equal(module(fields), again(fields))


def test_arguments_handed_over_apart():
    module = KeepsATensor(2)
    assert plugins.specification(module) is None
    description = plugins.specification(module, without=("num_fields",))
    assert description == {"class": f"{HERE}:KeepsATensor", "arguments": {}}
    assert plugins.rebuild(description, num_fields=7).num_fields == 7


class Bare(Scorer):
    indexable = False

    def forward(self, queries_BD, candidates):
        return queries_BD @ candidates.T


def test_what_cannot_be_described_is_none():
    class Local(Bare):
        pass

    assert plugins.specification(Bare()) == {"class": f"{HERE}:Bare", "arguments": {}}
    assert plugins.specification(Local()) is None
    assert plugins.specification(Unkept(2)) is None
    assert plugins.specification(TakesAnything(2, any=1)) is None
    held = Wider(2, 4, first=DotInteraction(2, 4), parts=[], scale={})
    held.parts.append(Unkept(2))
    assert plugins.specification(held) is None
    assert plugins.specification(Wider(2, 4, DotInteraction(2, 4), parts=[], scale={1: 2})) is None


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class": "json:loads", "arguments": {}}, "'json:loads' is not an nn.Module class"),
        ({"clasr": "torchrec_ext.encoders.gru:GRU"}, "names no class; the description was altered"),
        ("torchrec_ext.encoders.gru:GRU", "names no class; the description was altered"),
        ({"class": "no_such_package:X", "arguments": {}}, "names 'no_such_package:X'.* import it first"),
        (
            {"class": "torchrec_ext.encoders.gru:GRU", "arguments": {"dim": 4, "depth": 2}},
            "no argument 'depth'",
        ),
    ],
)
def test_a_description_that_does_not_fit_is_explained(description, message):
    with pytest.raises(InputError, match=message):
        plugins.rebuild(description)
