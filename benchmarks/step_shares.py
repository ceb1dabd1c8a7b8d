"""Where the time of training steps goes: data, lookup, dense layers, communication."""

import time

import torch

LOOKUP = ("fbgemm::", "embedding", "Embedding", "LookupFunction")
COMMUNICATION = ("c10d::", "gloo:", "nccl:")


class StepShares:
    """Profiles the steps between ``start`` and ``stop``, which run in one thread.

    Data is the processor time of the other threads, which prepare batches; the rest of it is divided by the
    time of torch's operations. The rest is ``other``: Python between operations, and the profiler.
    """

    def start(self) -> None:
        """Begins to measure."""
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
        self.profiler.start()
        self.began = time.process_time(), time.thread_time(), time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Ends it; returns the share of each part, all of which sum to 1."""
        ended = time.process_time(), time.thread_time(), time.perf_counter()
        self.profiler.stop()
        process, thread, wall = (end - begin for begin, end in zip(self.began, ended, strict=True))
        seconds = {"lookup": 0.0, "dense": 0.0, "communication": 0.0}
        for operation in self.profiler.key_averages():
            if not operation.is_user_annotation:
                seconds[part_of(operation.key)] += operation.self_cpu_time_total / 1e6
        trained = thread / process
        shares = {"data": 1 - trained} | {part: trained * spent / wall for part, spent in seconds.items()}
        return shares | {"other": 1 - sum(shares.values())}


def part_of(operation: str) -> str:
    """The part of a step that an operation of torch belongs to.

    Example:
        >>> part_of("fbgemm::permute_1D_sparse_data"), part_of("c10d::allreduce_"), part_of("aten::addmm")
        ('lookup', 'communication', 'dense')
    """
    if any(name in operation for name in COMMUNICATION):
        return "communication"
    return "lookup" if any(name in operation for name in LOOKUP) else "dense"
