"""Training as many would write it in torch."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence


class PlainLoop:
    """``nn.Embedding``, padded windows, the logits of all items, Adam.

    Args:
        rows: of the table; row 0 is padding.
        dim: D, width of the vectors.
        encoder: ``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, H)`` states.
        windows: item rows of each, of which the next one is predicted.
        batch: windows of a step.
    """

    def __init__(self, rows: int, dim: int, encoder: nn.Module, windows: list[Tensor], batch: int) -> None:
        self.table = nn.Embedding(rows, dim, padding_idx=0)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.encoder = encoder
        with torch.no_grad():
            width = encoder(torch.zeros(1, 2, dim), torch.tensor([2])).shape[2]
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim)
        self.windows, self.batch = windows, batch
        self.parts = nn.ModuleList([self.table, self.encoder, self.project])
        self.optimizer = torch.optim.Adam(self.parts.parameters(), lr=1e-3)

    def epoch(self) -> int:
        """Learns every window once, in a random order; returns the number of targets."""
        targets = 0
        for chosen in torch.randperm(len(self.windows)).split(self.batch):
            padded_BT = pad_sequence([self.windows[place] for place in chosen.tolist()], batch_first=True)
            inputs_BT, targets_BT = padded_BT[:, :-1], padded_BT[:, 1:]
            real_BT = targets_BT != 0
            states = self.encoder(self.table(inputs_BT), real_BT.sum(1))
            logits = self.project(states[real_BT]) @ self.table.weight.T
            loss = functional.cross_entropy(logits, targets_BT[real_BT])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            targets += logits.shape[0]
        return targets
