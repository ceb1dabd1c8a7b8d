"""A few steps of training for every built-in module, over sharded tables."""

import inspect
from dataclasses import replace

import torch
from torch import nn

from tests.contracts.cases import CASES
from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.contracts import GROUPS, RankingLoss
from torchrec_ext.data import leave_last_out
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.schema import Schema
from torchrec_ext.training import Optimization, fit

Module = tuple[str, str]
SHARDING = {"user": "row_wise", "item": "row_wise"}
# As many fields, as wide and for as many tasks as most cases are built for.
FIELDS, DIM, TASKS = ("user", "item", "user_age"), 8, 3
SIZES = ("num_fields", "dim", "in_dim", "tasks")


def built_in() -> list[Module]:
    """Group and name of each module of this package; a plug-in of another one has tests of its own."""
    every = [(group, name) for group in GROUPS for name in plugins.names(group)]
    return [each for each in every if plugins.find(*each).__module__.startswith("torchrec_ext.")]


def train_each(modules: list[Module]) -> dict[Module, list[float] | str]:
    """The loss of the global batch at each step, or what went wrong."""
    train, _, _ = leave_last_out(replace(small_world(), labels=("hour",)))
    outcomes: dict[Module, list[float] | str] = {}
    for module in modules:
        torch.manual_seed(0)
        losses: list[float] = []
        try:
            model = _model_with(module, train.schema)
            inputs = model.inputs
            retrieves = isinstance(model, TwoTower)
            fit(
                model,
                train,
                epochs=1,
                seed=0,
                progress=False,
                positive=(3, 4, 5) if module[0] == "heads" else 4,
                sharding={name: SHARDING[name] for name in SHARDING if _reads(model, name)},
                on_step=lambda step, loss, losses=losses: losses.append(loss),
                optimization=Optimization(
                    global_batch_size=25 if retrieves and inputs.per_event_labels else 121,
                    learning_rate=0.01,
                    table_learning_rate=0.1,
                ),
                loss=_loss_for(module, retrieves),
            )
            outcomes[module] = losses
        except Exception as error:  # the others still run: the same happens on every rank
            outcomes[module] = f"{type(error).__name__}: {error}"
    return outcomes


def _loss_for(module: Module, retrieves: bool) -> nn.Module | None:
    if module[0] == "losses":
        case = next(case for case in CASES["losses"] if case.cls is plugins.find(*module))
        return case.build()
    return SoftmaxCrossEntropy("catalogue") if retrieves else None


def _model_with(module: Module, schema: Schema) -> nn.Module:
    group, name = module
    cases = [case for case in CASES[group] if case.cls is plugins.find(group, name)]
    assert cases, "add a line to tests/contracts/cases.py"
    case = cases[0]
    own = {argument: value for argument, value in case.arguments.items() if argument not in SIZES}
    # Each rank draws its own dropout, and an auxiliary loss may take negatives from the rank's other rows.
    none = {
        name: 0.0
        for name in inspect.signature(case.cls).parameters
        if "dropout" in name or name == "auxiliary_weight"
    }
    made = plugins.bind(group, name, **{**own, **none})
    if group == "losses":
        ranks = issubclass(case.cls, RankingLoss)
        return Ranker(schema, DIM, FIELDS) if ranks else TwoTower(schema, DIM, "mean_pool")
    if group == "interactions":
        return Ranker(schema, DIM, FIELDS, interaction=made, over_arch=(8,))
    if group == "target_attention":
        return Ranker(schema, DIM, FIELDS, interaction="concat", target_attention=made, max_length=8)
    if group == "heads":
        adds = case.cls.additive
        return Ranker(
            schema, DIM, FIELDS, "concat", over_arch=(DIM,), head=made, tasks=TASKS, first_order=adds
        )
    if group == "encoders":
        return TwoTower(schema, DIM, encoder=made, max_length=8)
    assert group == "scorers", f"say here how a model holds {group}"
    return TwoTower(schema, DIM, scorer=made)


def _reads(model: nn.Module, table: str) -> bool:
    return any(name.endswith(f".{table}.weight") for name in model.state_dict())
