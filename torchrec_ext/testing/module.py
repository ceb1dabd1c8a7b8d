"""The promises that every plug-in keeps."""

import copy
import inspect
import json

import torch

from torchrec_ext import plugins
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, random_weights
from torchrec_ext.testing.expect import expect_close, expect_finite, expect_refusal, expect_shape, expect_zero
from torchrec_ext.testing.promise import promise
from torchrec_ext.testing.quantized import QuantizedContract
from torchrec_ext.testing.traced import TracedContract

ELSEWHERE = ("same_loss_on_two_processes",)
"""Promises that this package tries in a model over sharded tables, not in the contract tests."""


class ModuleContract(TracedContract, QuantizedContract):
    """The promises of all kinds of plug-ins; subclass the contract test of your kind."""

    @promise
    def test_every_exception_names_a_promise(self, case: Case) -> None:
        """Each key of the class attribute ``cannot`` is the name of a promise."""
        unknown = [
            name for name in case.cannot if not hasattr(self, f"test_{name}") and name not in ELSEWHERE
        ]
        assert not unknown, f"cannot should name promises, received {', '.join(unknown)}"

    @promise
    def test_output_has_the_promised_shape(self, case: Case) -> None:
        """The output has the shape that the contract states, also for a batch of one, and is finite."""
        module = case.build()
        for rows in (ROWS, 1):
            inputs = self.draw(case, rows)
            output = module(*inputs)
            expect_shape(output, self.output_shape(module, inputs), f"the output of {rows} rows")
            expect_finite(output, f"the output of {rows} rows")

    @promise
    def test_an_empty_batch_gives_an_empty_output(self, case: Case) -> None:
        """A batch of 0 rows gives an output of 0 rows, and gradients of zero, in training and evaluation."""
        for training in (True, False):
            module = case.build().train(training)
            some, empty = self.draw(case), self.draw(case, 0)
            for more in self.optional_inputs(module, empty):
                output = module(*empty, **more)
                expect_shape(output, self.output_shape(module, empty), "the output of 0 rows")
                dtype = module(*some).dtype
                assert output.dtype == dtype, f"the output should be {dtype}, received {output.dtype}"
            inputs = tuple(i.requires_grad_() if i.is_floating_point() else i for i in empty)
            outputs = [output for output in self.outputs_to_learn(module, inputs) if output.requires_grad]
            torch.stack([torch.zeros(()), *(output.sum() for output in outputs)]).sum().backward()
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    expect_zero(parameter.grad, f"the gradient of {name} for 0 rows")
            for name, buffer in module.named_buffers():
                if buffer.is_floating_point():
                    expect_finite(buffer, f"the buffer {name} after 0 rows")

    @promise
    def test_other_rows_do_not_change_a_result(self, case: Case) -> None:
        """In evaluation mode a row's result does not depend on the other rows of the batch."""
        module = case.build().eval()
        inputs, others = self.draw(case), self.draw(case, seed=2)
        expected = self.without_padding(module(*inputs), inputs)
        for row in range(ROWS):
            mixed = tuple(torch.cat([b[:2], a[row : row + 1]]) for a, b in zip(inputs, others, strict=True))
            alone = tuple(a[row : row + 1] for a in inputs)
            for what, batch in (("behind other rows", mixed), ("alone", alone)):
                result = self.without_padding(module(*batch), batch)[-1]
                expect_close(result, expected[row], f"the result of row {row} {what}")

    @promise
    def test_inputs_are_not_changed(self, case: Case) -> None:
        """The module changes no input in place: another module may read the same vectors."""
        inputs = self.draw(case)
        before = [i.clone() for i in inputs]
        case.build()(*inputs)
        for number, (after, first) in enumerate(zip(inputs, before, strict=True)):
            expect_close(after, first, f"input {number} after the call", tolerance=0)

    @promise
    def test_gradients_reach_every_parameter(self, case: Case) -> None:
        """The gradients of all parameters and float inputs exist, are finite and are not zero."""
        module = case.build().eval()
        inputs = tuple(i.requires_grad_() if i.is_floating_point() else i for i in self.draw(case))
        outputs = self.outputs_to_learn(module, inputs)
        torch.stack([(output * random_weights(output)).sum() for output in outputs]).sum().backward()
        floats = [(f"input {n}", i) for n, i in enumerate(inputs) if i.is_floating_point()]
        for name, tensor in [*module.named_parameters(), *floats]:
            assert tensor.grad is not None, f"{name} should have a gradient, received None"
            expect_finite(tensor.grad, f"the gradient of {name}")
            assert tensor.grad.any(), f"the gradient of {name} should not be zero everywhere"

    @promise
    def test_state_dict_restores_the_module(self, case: Case) -> None:
        """A module with other weights gives the same results after it loads the first one's state dict."""
        first, second = case.build(seed=1).eval(), case.build(seed=2).eval()
        second.load_state_dict(first.state_dict())
        inputs = self.draw(case)
        expect_close(second(*inputs), first(*inputs), "the output after loading", tolerance=0)

    @promise
    def test_same_seed_same_result(self, case: Case) -> None:
        """With one seed of torch's generator the results are the same, in training mode too."""
        outputs = []
        for _ in range(2):
            module = case.build()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                outputs.append(module(*self.draw(case)))
        expect_close(outputs[1], outputs[0], "the output with the same seed", tolerance=0)

    @promise
    def test_bfloat16_is_close(self, case: Case) -> None:
        """Under autocast to bfloat16 the result is within 3% of the result in float32."""
        module, inputs = case.build().eval(), self.draw(case)
        exact = self.without_padding(module(*inputs), inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = self.without_padding(module(*inputs), inputs)
        error = ((rounded.float() - exact).norm() / exact.norm()).item()
        assert error <= 0.03, f"the relative error should be at most 0.03, received {error:.3g}"

    @promise
    def test_description_builds_it_again(self, case: Case) -> None:
        """Each argument is kept as an attribute of its name, so that JSON can describe the module."""
        module = case.build().eval()
        description = plugins.specification(module)
        lost = [name for name in inspect.signature(case.cls).parameters if not hasattr(module, name)]
        assert not lost, (
            f"each argument should be an attribute of its name, received none for {', '.join(lost)}"
        )
        assert description is not None, (
            "arguments should be plain values, and the class not inside a function"
        )
        for name, value in case.arguments.items():
            kept = description["arguments"][name]
            assert kept == value, f"the attribute {name} should be {value!r}, received {kept!r}"
        again = plugins.rebuild(json.loads(json.dumps(description))).eval()
        again.load_state_dict(module.state_dict())
        inputs = self.draw(case)
        expect_close(again(*inputs), module(*inputs), "the output of the rebuilt module", tolerance=0)

    @promise
    def test_copies_do_not_share(self, case: Case) -> None:
        """A deep copy shares no weights: sharding and averaging of weights make deep copies."""
        module, inputs = case.build().eval(), self.draw(case)
        expected = module(*inputs)
        with torch.no_grad():
            copied = copy.deepcopy(module)
            for parameter in module.parameters():
                parameter.fill_(0.0)
        what = "the copy's output after the original changed"
        expect_close(copied(*inputs), expected, what, tolerance=0)

    @promise
    def test_wrong_shapes_are_named(self, case: Case) -> None:
        """An input of a wrong shape raises a ValueError that names the argument and shows the shape."""
        module = case.build()
        for name, inputs in self.wrong_shapes(case):
            shapes = [str(tuple(i.shape)) for i in inputs]
            try:
                module(*inputs)
            except ValueError as error:
                message = str(error)
                shown = [shape for shape in shapes if shape in message]
                assert name in message, f"the message should name {name}, received: {message}"
                assert shown, f"the message should show one of {', '.join(shapes)}, received: {message}"
            else:
                inputs_had = ", ".join(shapes)
                raise AssertionError(f"a wrong {name} should be refused; inputs of {inputs_had} are accepted")

    @promise
    def test_negative_numbers_are_refused(self, case: Case) -> None:
        """An integer argument of -1 raises a ValueError that names the argument and shows the value."""
        for name, parameter in inspect.signature(case.cls).parameters.items():
            value = case.arguments.get(name, parameter.default)
            if isinstance(value, int) and not isinstance(value, bool):
                expect_refusal(lambda name=name: case.build(**{name: -1}), name, "-1")  # type: ignore[misc]
