"""A model such as a user writes around tables of their own, who imports the adapters by name."""

import torch
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from torchrec_ext.embeddings import FieldProjection, last_state, pad_history, stack_fields
from torchrec_ext.encoders import GRU
from torchrec_ext.interactions import DotInteraction
from torchrec_ext.losses import binary_cross_entropy


class Batch(Pipelineable):
    """Ids and labels."""

    def __init__(self, ids: KeyedJaggedTensor, histories: KeyedJaggedTensor, labels: torch.Tensor):
        self.ids, self.histories, self.labels = ids, histories, labels

    def to(self, device, non_blocking=False):
        return Batch(self.ids.to(device), self.histories.to(device), self.labels.to(device))

    def record_stream(self, stream):
        pass

    def pin_memory(self):
        return self


def _table(config, name: str, rows: int, width: int, feature: str):
    def same_everywhere(weight: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return weight.copy_(torch.arange(weight.numel()).view(weight.shape).mul(0.7).sin() / 2)

    return config(
        name=name, num_embeddings=rows, embedding_dim=width, feature_names=[feature], init_fn=same_everywhere
    )


class OwnModel(nn.Module):
    """Dot products of the user, the country (of another width) and the newest state of the history."""

    def __init__(self, device: str | torch.device = "cpu"):
        super().__init__()
        self.pooled = EmbeddingBagCollection(
            device=torch.device(device),
            tables=[
                _table(EmbeddingBagConfig, "country", 7, 4, "country"),
                _table(EmbeddingBagConfig, "user", 20, 8, "user"),
                _table(EmbeddingBagConfig, "item", 30, 8, "item"),
            ],
        )
        self.unpooled = EmbeddingCollection(
            device=torch.device(device),
            tables=[_table(EmbeddingConfig, "event", 30, 8, "history")],
        )
        torch.manual_seed(0)
        self.encoder = GRU(dim=8, hidden=8, dropout=0.0)
        self.projection = FieldProjection({"country": 4}, dim=8)
        self.interaction = DotInteraction(num_fields=4, dim=8)
        self.over_arch = nn.Linear(6, 1)

    def logits(self, batch: Batch) -> torch.Tensor:
        pooled = self.pooled(batch.ids)
        events, lengths = pad_history(self.unpooled(batch.histories)["history"], max_length=3)
        taste = last_state(self.encoder(events, lengths), lengths)
        fields = torch.cat(
            [stack_fields(pooled, ["item", "user"]), self.projection(pooled), taste.unsqueeze(1)], dim=1
        )
        return self.over_arch(self.interaction(fields)).squeeze(1)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        loss = binary_cross_entropy(self.logits(batch), batch.labels)
        return loss, loss.detach()


def batches(steps: int, rank: int, ranks: int) -> list[Batch]:
    """A rank's share of ``steps`` global batches of 16 examples, empty and long histories among them."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(steps):
        ids = torch.stack([torch.randint(high, (16,), generator=generator) for high in (7, 20, 30)])
        lengths = torch.randint(0, 6, (16,), generator=generator)
        events = [torch.randint(30, (int(n),), generator=generator) for n in lengths]
        labels = torch.randint(2, (16,), generator=generator).float()
        mine = slice(rank, None, ranks)
        share = ids[:, mine]
        made.append(
            Batch(
                KeyedJaggedTensor(
                    ["country", "user", "item"],
                    share.flatten(),
                    lengths=torch.ones(share.numel(), dtype=torch.int64),
                ),
                KeyedJaggedTensor(["history"], torch.cat(events[mine]), lengths=lengths[mine].contiguous()),
                labels[mine],
            )
        )
    return made
