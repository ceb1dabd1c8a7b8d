"""UserFigures: figures as functions of how much each user counts, which resampling and segments change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torchrec_ext.errors import InputError
from torchrec_ext.reporting.evaluated_run import EvaluatedRun


@dataclass(frozen=True, eq=False)
class UserFigures:
    """Figures that are ratios of sums over users, and the AUC of a ranker's pairs.

    Args:
        names: of the F figures.
        sums_FU: (F, U) what each user adds above the line.
        counts_U: (U,) what each user adds below it: 1, or the number of pairs.
        scores, labels, owners: (n,) of a ranker's pairs; None of a retriever.
    """

    names: tuple[str, ...]
    sums_FU: np.ndarray
    counts_U: np.ndarray
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    owners: np.ndarray | None = None

    @classmethod
    def of(cls, run: EvaluatedRun, metrics: Sequence[str]) -> "UserFigures":
        """The metrics of a run; of a ranker log_loss, auc, accuracy and rmse.

        Of data without users each pair of a ranker counts as one.

        Raises:
            InputError: for a metric that was not evaluated.
        """
        scores = labels = owners = None
        if not run.is_ranker:
            there = [name for name in run.figures if name in run.values.users.column_names]
            counts, sums = np.ones(run.values.users.num_rows), {name: run.column(name) for name in there}
        else:
            labels, offsets = run.lists("labels")
            scores = run.lists("scores")[0].astype(np.float64)
            counts = np.diff(offsets) if len(offsets) > 2 else np.ones(len(scores), np.int64)
            owners = np.repeat(np.arange(len(counts)), counts)
            of_pairs = {
                # float32 rounds a probability within 6e-8 of 1 to 1, as in BinaryReport
                "log_loss": -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), 1e-7, None)),
                "auc": np.zeros(len(scores)),
                "accuracy": ((scores > 0.5) == (labels == 1)).astype(np.float64),
                "rmse": (scores - labels) ** 2,
            }
            sums = {name: np.bincount(owners, values, len(counts)) for name, values in of_pairs.items()}
        if unknown := [name for name in metrics if name not in sums]:
            raise InputError(f"{run.name} has no metric {unknown[0]!r}; it has {', '.join(sums)}")
        return cls(tuple(metrics), np.stack([sums[n] for n in metrics]), counts, scores, labels, owners)

    def weighted(self, weights_RU: np.ndarray) -> np.ndarray:
        """(R, F) figures where user u counts weights_RU[r, u] times; NaN where nobody counts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (weights_RU @ self.sums_FU.T) / (weights_RU @ self.counts_U)[:, None]
        for place, name in enumerate(self.names):
            if name == "rmse":
                found[:, place] = np.sqrt(found[:, place])
            if name == "auc":
                found[:, place] = self._aucs(weights_RU)
        return found

    def by_user(self) -> np.ndarray:
        """(F, U) figures of each user alone, NaN of those that a user alone does not have (AUC, RMSE)."""
        found = self.sums_FU / self.counts_U
        found[[name in ("auc", "rmse") for name in self.names]] = np.nan
        return found

    def _aucs(self, weights_RU: np.ndarray) -> np.ndarray:
        """(R,) weighted AUC, where ties count half; the pairs are sorted once."""
        assert self.scores is not None and self.labels is not None and self.owners is not None
        order = np.argsort(self.scores, kind="stable")
        starts = np.flatnonzero(np.diff(self.scores[order], prepend=-1.0))  # of runs of equal scores
        owners, ones = self.owners[order], self.labels[order] == 1
        found = np.full(len(weights_RU), np.nan)
        for place, weights_U in enumerate(weights_RU):
            weights = weights_U[owners]
            of_ones = np.add.reduceat(weights * ones, starts)
            of_zeros = np.add.reduceat(weights * ~ones, starts)
            below = np.cumsum(of_zeros) - of_zeros / 2
            pairs = of_ones.sum() * of_zeros.sum()
            if pairs:
                found[place] = (of_ones * below).sum() / pairs
        return found
