"""WarmUp: a learning rate that rises over the first steps."""

from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizerWrapper


class WarmUp:
    """Sets the learning rate of AdamW from the step alone, so that a resumed run continues exactly.

    It rises linearly to its full value; the fused optimizers of the sharded tables keep theirs.

    Args:
        optimizer: see :func:`~torchrec_ext.training.optimizers.make_optimizer`.
        steps: number of steps until the full learning rate; 0 for no warm-up.
    """

    def __init__(self, optimizer: CombinedOptimizer, steps: int) -> None:
        self.steps = steps
        adams = [o for _, o in optimizer.optimizers if isinstance(o, KeyedOptimizerWrapper)]
        self.groups = [(group, group["lr"]) for adam in adams for group in adam.param_groups]

    def at(self, step: int) -> None:
        """Sets the learning rate for a step, counted from 0."""
        for group, full in self.groups:
            group["lr"] = full * min(1.0, (step + 1) / self.steps) if self.steps else full
