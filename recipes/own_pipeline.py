"""Modules in a pipeline of your own: your tables, your KeyedJaggedTensor, your loop.

torchrun --nproc-per-node 2 recipes/own_pipeline.py --steps 200
"""

from dataclasses import dataclass

from torchrec_ext.command_line import run_recipe


@dataclass(frozen=True)
class Settings:
    """Trains a model of your own on clicks that depend on a user's last event."""

    steps: int = 150  # of training
    batch_size: int = 512  # clicks a step and rank
    seed: int = 0  # of data and first weights


def main(settings: Settings) -> None:
    """Your loop."""
    import torch
    from click_model import DIM, ITEMS, ClickModel, clicks
    from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

    from torchrec_ext.distributed import doctor, join_group, shard
    from torchrec_ext.metrics import BinaryReport
    from torchrec_ext.retrieval import ExactIndex
    from torchrec_ext.scorers import CosineScorer
    from torchrec_ext.training.optimizers import make_optimizer

    group = join_group()
    torch.manual_seed(settings.seed)
    model = ClickModel()
    dmp = shard(model, learning_rate=0.1, sharding={"item": "row_wise", "seen": "row_wise"}, log=print)
    if group.first:
        print(*doctor(dmp), sep="\n")
    pipeline = TrainPipelineSparseDist(dmp, make_optimizer(dmp, learning_rate=5e-3), group.device)
    data = clicks(settings.steps, settings.batch_size, seed=settings.seed * 1000 + group.rank)
    report = BinaryReport()
    for step in range(settings.steps):
        logits, label = pipeline.progress(data)
        if step >= settings.steps // 2:
            report.update(logits.sigmoid(), label)
    pipeline.detach()
    figures = report.compute()
    (piece,) = model.events.state_dict()["embeddings.seen.weight"].local_shards()  # this rank's rows
    index = ExactIndex(CosineScorer(DIM))
    index.build(piece.tensor, torch.arange(len(piece.tensor)) + piece.metadata.shard_offsets[0])
    query = piece.tensor[:1].clone()
    torch.distributed.broadcast(query, src=0)  # item 0's vector, which rank 0 holds
    _, nearest = index.search(query, k=10)
    if group.first:
        print(f"AUC in the second half of training {figures['auc']:.3f}, at best .900")
        print(f"nearest to item 0, all of its half if below {ITEMS // 2}: {nearest[0].tolist()}")


if __name__ == "__main__":
    run_recipe(main, Settings)
