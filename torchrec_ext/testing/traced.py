"""The promises of every plug-in to a model that is traced, compiled or exported."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import Contract, random_weights
from torchrec_ext.testing.expect import expect_close
from torchrec_ext.testing.promise import promise, slow

ROUNDING = 1e-4  # compiled code adds up in another order


class TracedContract(Contract):
    """A model that holds the module gives the same results when it is traced, compiled or exported."""

    @slow()
    @promise
    def test_fx_trace_gives_the_same(self, case: Case) -> None:
        """``torch.fx.symbolic_trace`` goes through the module, and its graph serves inputs of other sizes."""
        module = case.build().eval()
        first = self.draw(case)
        for names in [tuple(more) for more in self.optional_inputs(module, first)]:
            holder = _Holder(module, len(first), names)
            traced = torch.fx.symbolic_trace(holder)
            for inputs in [first, *self.other_sizes(case)]:
                given = _chosen(self.optional_inputs(module, inputs), names)
                self._expect_same(traced(inputs, given), holder(inputs, given), inputs, "traced")

    @slow(tried_on="each class")
    @promise
    def test_compile_gives_the_same(self, case: Case) -> None:
        """``torch.compile`` gives the same, forwards and backwards, for inputs of other sizes too.

        The graphs are made as always, but run without being turned into machine code (backend
        ``aot_eager``): that takes half a minute of a processor for each module.
        """
        self._compare_compiled(case, "aot_eager")

    @slow(tried_on="one case")
    @promise
    def test_compile_to_machine_code_gives_the_same(self, case: Case) -> None:
        """The default backend of ``torch.compile``, which makes machine code, gives the same."""
        self._compare_compiled(case, "inductor")

    @slow()
    @promise
    def test_export_gives_the_same(self, case: Case) -> None:
        """A saved program of ``torch.export`` with a dynamic batch gives the same, also for 0 rows."""
        batch = [{0: "batch"}] * len(self.axes)
        rows = len(self.draw(case)[0])
        others = [self.draw(case, 2 * rows, seed=9), self.draw(case, 0)]
        self.compare_exported(case, batch, others, {0: "batch"})

    def compare_exported(
        self,
        case: Case,
        axes: Sequence[Mapping[int, str]],
        others: Sequence[tuple[Tensor, ...]],
        optional_axes: Mapping[int, str] | None = None,
    ) -> None:
        """Compares the module with its exported program, after saving and loading it.

        Args:
            case: how to build the module.
            axes: dynamic axes of each input, with names.
            others: inputs of other sizes along these axes.
            optional_axes: dynamic axes of each optional input; None takes those of the class.
        """
        module = case.build().eval()
        first = self.draw(case)
        optional = self.optional_axes if optional_axes is None else optional_axes
        for names in [tuple(more) for more in self.optional_inputs(module, first)]:
            holder = _Holder(module, len(first), names)
            given = _chosen(self.optional_inputs(module, first), names)
            of_inputs = tuple(_dimensions(its) for its, _ in zip(axes, first, strict=False))
            shapes = (of_inputs, {name: _dimensions(optional) for name in names})
            program = _saved_and_loaded(torch.export.export(holder, (first, given), dynamic_shapes=shapes))
            for inputs in [first, *others]:
                given = _chosen(self.optional_inputs(module, inputs), names)
                self._expect_same(program(inputs, given), holder(inputs, given), inputs, "exported")

    def _expect_same(self, received: Any, expected: Tensor, inputs: tuple[Tensor, ...], how: str) -> None:
        what = f"the {how} model's output for {', '.join(str(tuple(i.shape)) for i in inputs)}"
        received, expected = (self.without_padding(output, inputs) for output in (received, expected))
        expect_close(received, expected, what, ROUNDING)

    def _compare_compiled(self, case: Case, backend: str) -> None:
        module = case.build().eval()
        first = self.draw(case)
        names = tuple(self.optional_inputs(module, first)[-1])
        holder = _Holder(module, len(first), names)
        torch._dynamo.reset()
        compiled = torch.compile(holder, dynamic=True, backend=backend)
        for inputs in [first, self.other_sizes(case)[0]]:  # a batch or a history of one is compiled apart
            given = _chosen(self.optional_inputs(module, inputs), names)
            vectors = tuple(i.detach().requires_grad_(i.is_floating_point()) for i in inputs)
            named = [(f"input {n}", i) for n, i in enumerate(vectors)] + [*module.named_parameters()]
            wanted = [(name, tensor) for name, tensor in named if tensor.requires_grad]
            outputs, gradients = [], []
            for model in (compiled, holder):
                output = self.without_padding(model(vectors, given), inputs)
                total = (output * random_weights(output)).sum()
                outputs.append(output)
                gradients.append(torch.autograd.grad(total, [t for _, t in wanted], allow_unused=True))
            self._expect_same(outputs[0], outputs[1], inputs, "compiled")
            for (name, _), received, expected in zip(wanted, *gradients, strict=True):
                same = (received is None) == (expected is None)
                assert same, f"the compiled gradient of {name} should be {expected}, received {received}"
                if received is not None and expected is not None:
                    expect_close(received, expected, f"the compiled gradient of {name}", ROUNDING)


def _saved_and_loaded(program: torch.export.ExportedProgram) -> nn.Module:
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


class _Holder(nn.Module):
    """A model that holds the module, which is traced through, and has another weight."""

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


def _dimensions(axes: Mapping[int, str]) -> dict[int, Any]:
    return {axis: torch.export.Dim(name) for axis, name in axes.items()}
