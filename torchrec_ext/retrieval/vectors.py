"""Vectors: what a retriever makes of items or users, beside their own ids."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors by id.

    Args:
        ids: (n,) own ids.
        values: (n, D) float32, or (n, K, D) of K interests; on the CPU.

    Example:
        >>> import torch
        >>> Vectors(np.array(["ann", "bob"]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])).frame("user")
          user  dim_0  dim_1
        0  ann    1.0    2.0
        1  bob    3.0    4.0
    """

    ids: np.ndarray
    values: Tensor

    def frame(self, name: str) -> pd.DataFrame:
        """Columns ``name``, ``dim_0``, ``dim_1``, ...; of K interests K rows an id, and ``interest``."""
        interests = self.values.shape[1] if self.values.dim() == 3 else 1
        flat = self.values.reshape(-1, self.values.shape[-1]).numpy()
        columns: dict[str, np.ndarray] = {name: np.repeat(self.ids, interests)}
        if self.values.dim() == 3:
            columns["interest"] = np.tile(np.arange(interests), len(self.ids))
        numbers = pd.DataFrame(flat, columns=[f"dim_{place}" for place in range(flat.shape[1])])
        return pd.concat([pd.DataFrame(columns), numbers], axis=1)
