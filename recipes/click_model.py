"""A model and data of your own: your tables, your KeyedJaggedTensor, and modules of ours between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torchrec
from torch import Tensor, nn
from torchrec import KeyedJaggedTensor as KJT

from torchrec_ext.embeddings import last_state, pad_history, stack_fields
from torchrec_ext.encoders import GRU
from torchrec_ext.interactions import DotInteraction
from torchrec_ext.losses import binary_cross_entropy

USERS, ITEMS, DIM, HISTORY = 1000, 200, 16, 12


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


def clicks(steps: int, batch_size: int, seed: int) -> Iterator[Clicks]:
    """Your data: who saw an item of one half of the catalogue clicks on items of that half."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):  # the pipeline reads ahead: with an end, nothing is in flight at ours
        user, item = (torch.randint(high, (batch_size,), generator=generator) for high in (USERS, ITEMS))
        lengths = torch.randint(1, HISTORY + 1, (batch_size,), generator=generator)
        seen = torch.randint(ITEMS, (int(lengths.sum()),), generator=generator)
        alike = (seen[lengths.cumsum(0) - 1] < ITEMS // 2) == (item < ITEMS // 2)
        label = (torch.rand(batch_size, generator=generator) < torch.where(alike, 0.9, 0.1)).float()
        fields = KJT(["user", "item"], torch.cat([user, item]), lengths=torch.ones(2 * batch_size).long())
        yield Clicks(fields, KJT(["seen"], seen, lengths=lengths), label)
