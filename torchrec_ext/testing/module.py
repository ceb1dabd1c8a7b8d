"""The promises that every plug-in keeps."""

import copy
import inspect
import json

import pytest
import torch

from torchrec_ext import plugins
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close, pattern
from torchrec_ext.testing.traced import TracedContract

ELSEWHERE = ("same_loss_on_two_processes",)
"""Promises that are tried in a model over sharded tables, not by the contract tests."""


class ModuleContract(TracedContract):
    """What the contract tests of all kinds of plug-ins share; subclass the one of your kind."""

    def test_what_it_cannot_are_promises(self, case: Case) -> None:
        """A misspelt exception would excuse nothing."""
        unknown = [p for p in case.cannot if not hasattr(self, f"test_{p}") and p not in ELSEWHERE]
        assert not unknown, f"{case} names what is no promise: {unknown}"

    def test_output_has_the_promised_shape(self, case: Case) -> None:
        """The shape follows from ``out_dim`` and the inputs, with a batch of one too; all is finite."""
        module = case.build()
        for rows in (ROWS, 1):
            inputs = self.draw(case, rows)
            output = module(*inputs)
            assert tuple(output.shape) == self.size(module, inputs)
            assert output.isfinite().all()

    def test_other_rows_do_not_change_a_result(self, case: Case) -> None:
        """In evaluation mode a row's result is the same in any company, alone too."""
        module = case.build().eval()
        inputs, others = self.draw(case), self.draw(case, seed=2)
        expected = self.real(module(*inputs), inputs)
        for row in range(ROWS):
            mixed = tuple(torch.cat([b[:2], a[row : row + 1]]) for a, b in zip(inputs, others, strict=True))
            alone = tuple(a[row : row + 1] for a in inputs)
            for company in (mixed, alone):
                close(self.real(module(*company), company)[-1], expected[row])

    def test_inputs_stay_as_they_are(self, case: Case) -> None:
        """Nothing is changed in place: another module may read the same vectors."""
        inputs = self.draw(case)
        before = [i.clone() for i in inputs]
        case.build()(*inputs)
        assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))

    def test_gradients_reach_every_parameter(self, case: Case) -> None:
        """And the vectors that come in; all of them are finite."""
        module = case.build().eval()
        inputs = tuple(i.requires_grad_() if i.is_floating_point() else i for i in self.draw(case))
        parts = [(output * pattern(output)).sum() for output in self.learnt(module, inputs)]
        torch.stack(parts).sum().backward()
        named = [(f"input {n}", i) for n, i in enumerate(inputs) if i.is_floating_point()]
        for name, tensor in [*module.named_parameters(), *named]:
            assert tensor.grad is not None, f"no gradient reaches {name}"
            assert tensor.grad.isfinite().all(), f"the gradient of {name} is not finite"
            assert tensor.grad.any(), f"the gradient of {name} is zero"

    def test_state_dict_makes_another_the_same(self, case: Case) -> None:
        """A module of other weights gives the same results after loading the first one's."""
        first, second = case.build(seed=1).eval(), case.build(seed=2).eval()
        second.load_state_dict(first.state_dict())
        inputs = self.draw(case)
        assert torch.equal(first(*inputs), second(*inputs))

    def test_same_seed_same_result(self, case: Case) -> None:
        """In training mode too: weights and dropout draw from torch's generator alone."""
        outputs = []
        for _ in range(2):
            module = case.build()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                outputs.append(module(*self.draw(case)))
        assert torch.equal(*outputs)

    def test_bfloat16_is_close(self, case: Case) -> None:
        """Under autocast the result is within 3% of that of float32."""
        module, inputs = case.build().eval(), self.draw(case)
        exact = self.real(module(*inputs), inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = self.real(module(*inputs), inputs)
        assert (rounded.float() - exact).norm() <= 0.03 * exact.norm()

    def test_description_builds_it_again(self, case: Case) -> None:
        """Arguments are kept under their names, so that a run can be written down as JSON and rebuilt."""
        module = case.build().eval()
        description = plugins.specification(module)
        assert description is not None, f"{case} does not keep every argument as an attribute of its name"
        for name, value in case.arguments.items():
            assert description["arguments"][name] == value, f"{name} is not kept as it was given"
        again = plugins.rebuild(json.loads(json.dumps(description))).eval()
        again.load_state_dict(module.state_dict())
        inputs = self.draw(case)
        assert torch.equal(module(*inputs), again(*inputs))

    def test_copies_do_not_share(self, case: Case) -> None:
        """A deep copy, which sharding and averaging of weights make, works by itself."""
        module, inputs = case.build().eval(), self.draw(case)
        expected = module(*inputs)
        with torch.no_grad():
            copied = copy.deepcopy(module)
            for parameter in module.parameters():
                parameter.fill_(0.0)
        assert torch.equal(copied(*inputs), expected)

    def test_wrong_shapes_are_named(self, case: Case) -> None:
        """The error names the argument and the shape received."""
        module = case.build()
        for name, inputs in self.wrong(case):
            shapes = [str(tuple(i.shape)) for i in inputs]
            try:
                module(*inputs)
            except ValueError as error:
                message = str(error)
            else:
                pytest.fail(f"a wrong shape of {name} is accepted; the inputs had {', '.join(shapes)}")
            assert name in message, f"the error should name {name}: {message}"
            assert any(s in message for s in shapes), f"the error should show the shape received: {message}"

    def test_negative_numbers_are_refused(self, case: Case) -> None:
        """No whole-number argument means anything below zero; the error names it and the value."""
        for name, parameter in inspect.signature(case.cls).parameters.items():
            value = case.arguments.get(name, parameter.default)
            if isinstance(value, int) and not isinstance(value, bool):
                with pytest.raises(ValueError) as error:
                    case.build(**{name: -1})
                message = str(error.value)
                assert name in message and "-1" in message, f"the error should name {name} and -1: {message}"
