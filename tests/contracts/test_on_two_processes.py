"""In a model over sharded tables every built-in module learns on two processes what it does on one."""

import pytest

from tests import processes
from tests.contracts.short_runs import Module, built_in, train_each
from torchrec_ext import plugins

MODULES = built_in()


@pytest.fixture(scope="module")
def alone() -> dict[Module, list[float] | str]:
    return train_each(MODULES)


@pytest.fixture(scope="module")
def together() -> list[dict[Module, list[float] | str]]:
    return processes.run(train_each, MODULES, timeout=600)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: plugins.find(*module).__name__)
def test_same_loss_on_two_processes(module, alone, together):
    losses, (first, second) = alone[module], (rank[module] for rank in together)
    assert isinstance(losses, list) and isinstance(first, list), (losses, first)
    assert len(losses) >= 3 and len(set(losses)) == len(losses), "it should learn in some steps"
    assert first == second, "both ranks are told the loss of the global batch"
    assert first == pytest.approx(losses, abs=1e-4)
