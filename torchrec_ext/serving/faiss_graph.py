"""The graph of neighbours of FAISS (HNSW): built from vectors, saved as arrays, and put together again."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchrec_ext.errors import InputError

_AGAIN = "export the bundle again"


def build_graph(vectors_IX: np.ndarray, neighbours: int, ef_construction: int, seed: int) -> Any:
    """Links items with their neighbours.

    Args:
        vectors_IX: ``(I, X)`` float32 vectors.
        neighbours: links of an item in each layer (M); the bottom layer has twice as many.
        ef_construction: candidates that an item's links are chosen from.
        seed: of the layers that an item is in.

    Returns:
        The FAISS index.
    """
    faiss = import_module("faiss")

    index = faiss.IndexHNSWFlat(vectors_IX.shape[1], neighbours, faiss.METRIC_L2)
    index.hnsw.efConstruction = ef_construction
    index.hnsw.rng = faiss.RandomGenerator(seed)
    index.add(vectors_IX)
    return index


def search_graph(index: Any, queries_MX: np.ndarray, count: int, ef_search: int | None) -> np.ndarray:
    """Finds items near to queries.

    Args:
        index: of :func:`build_graph` or :func:`restore_graph`.
        queries_MX: ``(M, X)`` float32 queries.
        count: items of each.
        ef_search: candidates of each, at least ``count`` are taken; None for a number that suits the items.

    Returns:
        ``(M, count)`` int64 places of items, -1 where fewer were found.
    """
    faiss = import_module("faiss")

    default = 64 if index.ntotal < 100_000 else 128 if index.ntotal < 1_000_000 else 768
    candidates = min(max(ef_search or default, count), index.ntotal)
    parameters = faiss.SearchParametersHNSW(efSearch=candidates)
    found: np.ndarray = index.search(queries_MX, count, params=parameters)[1]
    return found


def graph_arrays(index: Any) -> dict[str, Tensor]:
    """What :func:`restore_graph` needs beside the vectors.

    Returns:
        ``levels``, ``(I,)`` int32 number of layers of each item; ``neighbors``, ``(N,)`` int32 links, item by
        item and of each from the bottom layer up, -1 where there is none; ``entry_point``, ``(1,)`` int32
        item that a search begins at.
    """
    faiss = import_module("faiss")

    return {
        "levels": torch.from_numpy(faiss.vector_to_array(index.hnsw.levels)),
        "neighbors": torch.from_numpy(faiss.vector_to_array(index.hnsw.neighbors)),
        "entry_point": torch.tensor([index.hnsw.entry_point], dtype=torch.int32),
    }


def restore_graph(vectors_IX: np.ndarray, neighbours: int, arrays: Mapping[str, Tensor]) -> Any:
    """The FAISS index of the same vectors and links, whose lists are those of the one that was saved.

    FAISS follows links without looking, so each is checked here.

    Args:
        vectors_IX: ``(I, X)`` float32 vectors.
        neighbours: as of :func:`build_graph`.
        arrays: of :func:`graph_arrays`.

    Raises:
        InputError: if the arrays are not a graph of so many items and neighbours.
    """
    faiss = import_module("faiss")

    items, sizes = len(vectors_IX), {"levels": len(vectors_IX), "neighbors": None, "entry_point": 1}
    levels_I, links_N, entry = (_int32(arrays, name, size) for name, size in sizes.items())
    if len(links_N) < 2 * neighbours * items:
        raise InputError(
            f"the graph holds {len(links_N)} links, but {items} items with {neighbours} neighbours have at "
            f"least {2 * neighbours * items}; {_AGAIN}"
        )
    index = faiss.IndexHNSWFlat(vectors_IX.shape[1], neighbours, faiss.METRIC_L2)
    slots_L = faiss.vector_to_array(index.hnsw.cum_nneighbor_per_level)  # of an item in the L lowest layers
    if levels_I.min() < 1 or levels_I.max() >= len(slots_L):
        raise InputError(f"levels of the graph should be from 1 to {len(slots_L) - 1}; {_AGAIN}")
    offsets_I = np.concatenate([[0], np.cumsum(slots_L[levels_I], dtype=np.int64)])
    if offsets_I[-1] != len(links_N):
        raise InputError(f"the graph holds {len(links_N)} links, expected {offsets_I[-1]}; {_AGAIN}")
    if links_N.min() < -1 or links_N.max() >= items:
        raise InputError(f"a neighbour of the graph is not one of the {items} items; {_AGAIN}")
    for level in range(1, levels_I.max()):
        starts = offsets_I[:-1][levels_I > level]
        links = links_N[starts[:, None] + np.arange(slots_L[level], slots_L[level + 1])]
        if (levels_I[links[links >= 0]] <= level).any():
            raise InputError(f"a neighbour in layer {level} of the graph is not in that layer; {_AGAIN}")
    if not 0 <= entry[0] < items or levels_I[entry[0]] != levels_I.max():
        raise InputError(f"entry_point {entry[0]} is not an item of the graph's top layer; {_AGAIN}")
    index.storage.add(vectors_IX)
    index.ntotal = items
    faiss.copy_array_to_vector(levels_I, index.hnsw.levels)
    faiss.copy_array_to_vector(offsets_I.astype(np.uint64), index.hnsw.offsets)
    faiss.copy_array_to_vector(links_N, index.hnsw.neighbors)
    index.hnsw.entry_point, index.hnsw.max_level = int(entry[0]), int(levels_I.max()) - 1
    return index


def _int32(arrays: Mapping[str, Tensor], name: str, size: int | None) -> np.ndarray:
    """An array of the graph by its name."""
    found = arrays.get(name)
    if found is None or found.dtype != torch.int32 or found.shape != (size or found.numel(),):
        received = "none" if found is None else f"{found.dtype} of shape {tuple(found.shape)}"
        wanted = f"int32 of shape ({'N' if size is None else size},)"
        raise InputError(f"{name} of the graph should be {wanted}, received {received}; {_AGAIN}")
    return found.numpy()
