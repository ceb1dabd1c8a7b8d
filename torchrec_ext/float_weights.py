"""Float weights of layers that dynamic quantization may have replaced."""

import torch
from torch import Tensor, nn


def float_weights(module: nn.Module) -> list[Tensor]:
    """Weights and biases of a module in the order of its parameters, dequantized if necessary.

    ``torch.ao.quantization.quantize_dynamic`` replaces ``nn.Linear`` and ``nn.GRU`` by modules without
    parameters, so a module that reads the weights of its layers, instead of calling them, reads them here.

    Args:
        module: a layer, or a module of several.

    Example:
        >>> [tuple(weight.shape) for weight in float_weights(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))]
        [(2, 3), (2,)]
    """
    quantized = torch.ao.nn.quantized
    if isinstance(module, quantized.Linear):
        bias = module.bias()
        return [module.weight().dequantize(), *([] if bias is None else [bias])]
    if isinstance(module, quantized.dynamic.GRU):
        weights, biases = module.get_weight(), module.get_bias()
        names = [name.removeprefix("weight_ih") for name in weights if name.startswith("weight_ih")]
        return [
            tensor
            for name in names
            for tensor in (
                weights[f"weight_ih{name}"].dequantize(),
                weights[f"weight_hh{name}"].dequantize(),
                biases[f"bias_ih{name}"],
                biases[f"bias_hh{name}"],
            )
        ]
    of_children = [weight for child in module.children() for weight in float_weights(child)]
    return [*module.parameters(recurse=False), *of_children]
