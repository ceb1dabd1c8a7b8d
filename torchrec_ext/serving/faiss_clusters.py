"""The clusters of FAISS (IVF): built from vectors, saved as arrays, and put together again."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchrec_ext.errors import InputError

_AGAIN = "export the bundle again"


def build_clusters(vectors_IX: np.ndarray, clusters: int | None, seed: int) -> Any:
    """Puts items into clusters.

    Args:
        vectors_IX: ``(I, X)`` float32 vectors.
        clusters: their number; None takes four times the root of the number of items.
        seed: of the first centroids.

    Returns:
        The FAISS index.

    Raises:
        InputError: if there are more clusters than items.
    """
    faiss = import_module("faiss")

    items, width = vectors_IX.shape
    clusters = clusters or max(1, min(int(4 * items**0.5), items // 39))
    if clusters > items:
        raise InputError(f"clusters is {clusters}, but there are {items} items; choose fewer")
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, clusters, faiss.METRIC_L2)
    index.cp.seed, index.cp.min_points_per_centroid = seed, 1
    index.train(vectors_IX)
    index.add(vectors_IX)
    return index


def search_clusters(index: Any, queries_MX: np.ndarray, count: int, probes: int | None) -> np.ndarray:
    """Finds items near to queries.

    Args:
        index: of :func:`build_clusters` or :func:`restore_clusters`.
        queries_MX: ``(M, X)`` float32 queries.
        count: items of each.
        probes: clusters that each visits; None for a twentieth of them, at least 8.

    Returns:
        ``(M, count)`` int64 places of items, -1 where fewer were found.
    """
    faiss = import_module("faiss")

    probes = min(probes or max(8, index.nlist // 20), index.nlist)
    parameters = faiss.SearchParametersIVF(nprobe=probes)
    found: np.ndarray = index.search(queries_MX, count, params=parameters)[1]
    return found


def cluster_arrays(index: Any) -> dict[str, Tensor]:
    """What :func:`restore_clusters` needs beside the vectors.

    Returns:
        ``centroids``, ``(C, X)`` float32, and ``cluster``, ``(I,)`` int32 cluster of each item.
    """
    faiss = import_module("faiss")

    cluster_I = np.empty(index.ntotal, np.int32)
    for cluster in range(index.nlist):
        size = index.invlists.list_size(cluster)
        cluster_I[faiss.rev_swig_ptr(index.invlists.get_ids(cluster), size)] = cluster
    return {
        "centroids": torch.from_numpy(index.quantizer.reconstruct_n(0, index.nlist)),
        "cluster": torch.from_numpy(cluster_I),
    }


def restore_clusters(vectors_IX: np.ndarray, arrays: Mapping[str, Tensor]) -> Any:
    """The FAISS index of the same vectors and clusters, whose lists are those of the one that was saved.

    Args:
        vectors_IX: ``(I, X)`` float32 vectors.
        arrays: of :func:`cluster_arrays`.

    Raises:
        InputError: if the arrays are not clusters of so many items of that width.
    """
    faiss = import_module("faiss")

    items, width = vectors_IX.shape
    centroids_CX, cluster_I = arrays.get("centroids"), arrays.get("cluster")
    if centroids_CX is None or centroids_CX.dtype != torch.float32 or centroids_CX.shape[1:] != (width,):
        raise InputError(f"centroids of the index should be float32 and {width} wide; {_AGAIN}")
    if not centroids_CX.isfinite().all():
        raise InputError(f"a centroid of the index is not finite; {_AGAIN}")
    if cluster_I is None or cluster_I.dtype != torch.int32 or cluster_I.shape != (items,):
        raise InputError(f"cluster of the index should be int32 and one for each of {items} items; {_AGAIN}")
    clusters = len(centroids_CX)
    if cluster_I.min() < 0 or cluster_I.max() >= clusters:
        raise InputError(f"an item of the index is in none of its {clusters} clusters; {_AGAIN}")
    quantizer = faiss.IndexFlatL2(width)
    quantizer.add(centroids_CX.numpy())
    index = faiss.IndexIVFFlat(quantizer, width, clusters, faiss.METRIC_L2)
    of_item_I = cluster_I.numpy().astype(np.int64)
    index.add_core(items, faiss.swig_ptr(vectors_IX), None, faiss.swig_ptr(of_item_I))
    return index
