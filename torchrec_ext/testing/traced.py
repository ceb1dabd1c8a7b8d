"""The promises of every plug-in to whatever traces or compiles the model around it."""

from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import Contract, close, pattern, slow

ROUNDING = 1e-4  # compiled code adds up in another order


class TracedContract(Contract):
    """A model that holds the module gives the same when it is traced, compiled or exported."""

    @slow()
    def test_fx_trace_gives_the_same(self, case: Case) -> None:
        """``torch.fx.symbolic_trace`` goes through the module, and its graph serves inputs of other sizes."""
        module = case.build().eval()
        first = self.draw(case)
        for names in [tuple(more) for more in self.besides(module, first)]:
            holder = _Holder(module, len(first), names)
            traced = torch.fx.symbolic_trace(holder)
            for inputs in [first, *self.resized(case)]:
                given = _chosen(self.besides(module, inputs), names)
                _same(self, traced(inputs, given), holder(inputs, given), inputs)

    @slow(tried_on="each class")
    def test_compile_gives_the_same(self, case: Case) -> None:
        """``torch.compile`` does, forwards and backwards, for a larger batch and longer histories too.

        The graph and its gradient's are made as always, but run without being turned into machine code
        (backend ``aot_eager``): that takes half a minute of a processor a module.
        """
        self._compare_compiled(case, "aot_eager")

    @slow(tried_on="one case")
    def test_compile_to_machine_code_gives_the_same(self, case: Case) -> None:
        """The same by the default backend, which turns the graphs into machine code."""
        self._compare_compiled(case, "inductor")

    @slow()
    def test_export_gives_the_same(self, case: Case) -> None:
        """``torch.export`` with a dynamic batch does, and its program serves batches of other sizes."""
        module = case.build().eval()
        first = self.draw(case)
        for names in [tuple(more) for more in self.besides(module, first)]:
            holder = _Holder(module, len(first), names)
            given = _chosen(self.besides(module, first), names)
            batch = {0: torch.export.Dim("batch")}
            shapes = (tuple(batch for _ in first), dict.fromkeys(names, batch))
            program = torch.export.export(holder, (first, given), dynamic_shapes=shapes).module()
            for inputs in [first, self.draw(case, 2 * len(first[0]), seed=9)]:
                given = _chosen(self.besides(module, inputs), names)
                _same(self, program(inputs, given), holder(inputs, given), inputs)

    def _compare_compiled(self, case: Case, backend: str) -> None:
        module = case.build().eval()
        first = self.draw(case)
        names = tuple(self.besides(module, first)[-1])
        holder = _Holder(module, len(first), names)
        torch._dynamo.reset()
        compiled = torch.compile(holder, dynamic=True, backend=backend)
        for inputs in [first, self.resized(case)[0]]:  # a batch or a history of one is compiled apart
            given = _chosen(self.besides(module, inputs), names)
            results = []
            for model in (compiled, holder):
                vectors = tuple(i.detach().requires_grad_(i.is_floating_point()) for i in inputs)
                output = self.real(model(vectors, given), inputs)
                wanted = [t for t in (*vectors, *module.parameters()) if t.requires_grad]
                slopes = torch.autograd.grad((output * pattern(output)).sum(), wanted, allow_unused=True)
                results.append((output, slopes))
            (received, slopes), (expected, expected_slopes) = results
            close(received, expected, ROUNDING)
            for slope, expected_slope in zip(slopes, expected_slopes, strict=True):
                assert (slope is None) == (expected_slope is None)
                if slope is not None:
                    close(slope, expected_slope, ROUNDING)


class _Holder(nn.Module):
    """A model that holds the module, which is traced through, and has a weight of its own."""

    def __init__(self, module: nn.Module, count: int, names: tuple[str, ...]) -> None:
        super().__init__()
        self.held = module
        self.count = count
        self.names = names
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs: tuple[Tensor, ...], given: dict[str, Tensor]) -> Tensor:
        positional = [inputs[n] for n in range(self.count)]  # a traced sequence has no length
        return self.held(*positional, **{name: given[name] for name in self.names}) * self.scale


def _chosen(ways: list[dict[str, Tensor]], names: tuple[str, ...]) -> dict[str, Tensor]:
    return next(way for way in ways if tuple(way) == names)


def _same(contract: Contract, received: Any, expected: Tensor, inputs: tuple[Tensor, ...]) -> None:
    close(contract.real(received, inputs), contract.real(expected, inputs), ROUNDING)
