"""Modules in a pipeline of your own: your tables, your KeyedJaggedTensor, your loop.

torchrun --nproc-per-node 2 recipes/own_pipeline.py --steps 200
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torchrec
from torch import Tensor, nn
from torchrec import KeyedJaggedTensor as KJT
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

from torchrec_ext.command_line import parse_settings, run_recipe
from torchrec_ext.distributed import doctor, join_group, shard
from torchrec_ext.embeddings import last_state, pad_history, stack_fields
from torchrec_ext.encoders import GRU
from torchrec_ext.interactions import DotInteraction
from torchrec_ext.losses import binary_cross_entropy
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.retrieval import ExactIndex
from torchrec_ext.scorers import CosineScorer
from torchrec_ext.training.optimizers import make_optimizer

USERS, ITEMS, DIM, HISTORY = 1000, 200, 16, 12


@dataclass(frozen=True)
class Settings:
    """Trains a model of your own on clicks that depend on a user's last event."""

    steps: int = 150  # of training
    batch_size: int = 512  # clicks a step and rank
    seed: int = 0  # of data and first weights


@dataclass
class Clicks(torchrec.Pipelineable):
    """Your batch: any dataclass that TorchRec can move."""

    fields: KJT
    history: KJT
    label: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> "Clicks":
        return Clicks(self.fields.to(device), self.history.to(device), self.label.to(device))

    def record_stream(self, stream: torch.Stream) -> None:
        for part in (self.fields, self.history, self.label):
            part.record_stream(stream)


class ClickModel(nn.Module):
    """Your model: one interaction and one encoder of ours between tables and a head of yours."""

    def __init__(self) -> None:
        super().__init__()
        user = torchrec.EmbeddingBagConfig(USERS, DIM, "user", feature_names=["user"])
        item = torchrec.EmbeddingBagConfig(ITEMS, DIM, "item", feature_names=["item"])
        seen = torchrec.EmbeddingConfig(ITEMS, DIM, "seen", feature_names=["seen"])
        self.bags = torchrec.EmbeddingBagCollection([user, item], device=torch.device("meta"))
        self.events = torchrec.EmbeddingCollection([seen], device=torch.device("meta"))
        self.encoder = GRU(DIM, hidden=DIM)
        self.interaction = DotInteraction(num_fields=3, dim=DIM)
        self.head = nn.Linear(self.interaction.out_dim, 1)

    def forward(self, batch: Clicks) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        fields_BFD = stack_fields(self.bags(batch.fields), ["user", "item"])
        events_BTD, lengths_B = pad_history(self.events(batch.history)["seen"], HISTORY)
        taste_BD = last_state(self.encoder(events_BTD, lengths_B), lengths_B)
        crossed = self.interaction(torch.cat([fields_BFD, taste_BD.unsqueeze(1)], dim=1))
        logits = self.head(crossed).squeeze(1)
        return binary_cross_entropy(logits, batch.label), (logits.detach(), batch.label)


def clicks(settings: Settings, rank: int) -> Iterator[Clicks]:
    """Your data: who saw an item of one half of the catalogue clicks on items of that half."""
    generator = torch.Generator().manual_seed(settings.seed * 1000 + rank)
    size = settings.batch_size
    for _ in range(settings.steps):  # the pipeline reads ahead: with an end, nothing is in flight at ours
        user, item = (torch.randint(high, (size,), generator=generator) for high in (USERS, ITEMS))
        lengths = torch.randint(1, HISTORY + 1, (size,), generator=generator)
        seen = torch.randint(ITEMS, (int(lengths.sum()),), generator=generator)
        alike = (seen[lengths.cumsum(0) - 1] < ITEMS // 2) == (item < ITEMS // 2)
        label = (torch.rand(size, generator=generator) < torch.where(alike, 0.9, 0.1)).float()
        fields = KJT(["user", "item"], torch.cat([user, item]), lengths=torch.ones(2 * size).long())
        yield Clicks(fields, KJT(["seen"], seen, lengths=lengths), label)


def main() -> None:
    """Your loop."""
    settings, _ = parse_settings(Settings)
    group = join_group()
    torch.manual_seed(settings.seed)
    model = ClickModel()
    dmp = shard(model, learning_rate=0.1, sharding={"item": "row_wise", "seen": "row_wise"}, log=print)
    if group.first:
        print(*doctor(dmp), sep="\n")
    pipeline = TrainPipelineSparseDist(dmp, make_optimizer(dmp, learning_rate=5e-3), group.device)
    data, report = clicks(settings, group.rank), BinaryReport()
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
    run_recipe(main)
