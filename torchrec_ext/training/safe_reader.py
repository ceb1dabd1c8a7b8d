"""SafeReader: torch.distributed.checkpoint's files without its unpickling of anything."""

import pickle
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from torchrec_ext.errors import InputError

_ALLOWED = {
    "torch.distributed.checkpoint.metadata": None,  # every class of it is plain data
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch": {"Size", "float32", "float64", "float16", "bfloat16", "int64", "int32", "bool", "uint8", "int8"},
    "torch.serialization": {"_get_layout"},
    "pathlib": {"PosixPath", "PurePosixPath", "Path"},
}


class SafeReader(FileSystemReader):
    """Reads a checkpoint of tensors.

    The format keeps its index (``.metadata``) as a pickle, which the stock reader of torch 2.13 loads
    with all that may do. Here only the handful of plain classes an index is made of can be named, and
    an entry that is no tensor, which the stock planner would unpickle too, is refused. The tensors
    themselves are read with ``weights_only``.

    Args:
        path: the checkpoint's folder.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index; raises InputError if it is cut short or names what an index has no use for."""
        path = Path(str(self.path)) / ".metadata"
        try:
            with path.open("rb") as file:
                metadata = _Unpickler(file).load()
        except (OSError, EOFError, pickle.UnpicklingError, AttributeError) as error:
            raise InputError(
                f"the checkpoint's index {path} cannot be read ({error}); take an older checkpoint"
            ) from error
        for name, entry in metadata.state_dict_metadata.items():
            if not isinstance(entry, TensorStorageMetadata):
                raise InputError(f"{name!r} in {path} is no tensor; this is no checkpoint of ours")
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        names = _ALLOWED.get(module, set())
        if module in _ALLOWED and (names is None or name in names) and "." not in name:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")
