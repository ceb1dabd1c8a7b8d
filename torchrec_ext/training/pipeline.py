"""make_pipeline(): the pipeline that runs the steps of a training."""

import warnings

from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext.distributed import Group, doctor
from torchrec_ext.distributed.whole_table import looks_up_whole_table


def make_pipeline(
    dmp: DistributedModelParallel, optimizer: CombinedOptimizer, group: Group
) -> TrainPipelineBase | TrainPipelineSparseDist:
    """TorchRec's pipeline, without overlap if there is nothing to overlap.

    That is the case if the ids of a lookup do not come straight from the batch, which it warns of, and in
    one process on a CPU or with a table that is looked up whole, which exchange no ids.

    Args:
        dmp: the sharded model.
        optimizer: of all its parameters.
        group: this process.
    """
    findings = doctor(dmp)
    slow = [finding for finding in findings if not finding.overlapped]
    if slow and group.first:
        warnings.warn(
            f"lookups do not overlap with computing: {'; '.join(map(str, slow))}", UserWarning, stacklevel=3
        )
    alone = group.world_size == 1 and group.device.type == "cpu"
    # torchrec 1.8 treats no module as a leaf if none is sharded, and its tracing fails inside plain modules
    if slow or not findings or alone or looks_up_whole_table(dmp):
        return TrainPipelineBase(dmp, optimizer, group.device)
    return TrainPipelineSparseDist(dmp, optimizer, group.device, execute_all_batches=True)
