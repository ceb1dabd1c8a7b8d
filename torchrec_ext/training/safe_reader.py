"""SafeReader: reads the files of torch.distributed.checkpoint without unpickling arbitrary objects."""

import pickle
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from torchrec_ext.errors import InputError

_ALLOWED = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta",
        "TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch": {
        "Size", "bfloat16", "bool", "float16", "float32", "float64",
        "int8", "int16", "int32", "int64", "uint8",
    },
    "torch.serialization": {"_get_layout"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
}  # fmt: skip
"""Module -> names in it that an index may use: plain data, and dtypes."""


class SafeReader(FileSystemReader):
    """Reads a checkpoint of tensors.

    The format stores its index (``.metadata``) as a pickle. The stock reader of torch 2.13 unpickles any
    class in it, so a crafted file can run code. This reader accepts only the few plain classes that an index
    consists of, and refuses an entry that is not a tensor, which the stock planner would unpickle too. The
    tensors themselves are read with ``weights_only``.

    Args:
        path: the checkpoint's folder.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index; raises InputError if it is cut short or names a class that an index does not need."""
        path = Path(str(self.path)) / ".metadata"
        try:
            with path.open("rb") as file:
                metadata = _Unpickler(file).load()
        except Exception as error:  # a pickle that was altered raises anything
            reason = str(error) or type(error).__name__
            raise InputError(
                f"the checkpoint's index {path} cannot be read ({reason}); use an older checkpoint"
            ) from error
        if not isinstance(getattr(metadata, "state_dict_metadata", None), dict):
            raise InputError(
                f"{path} holds a {type(metadata).__name__}; this is not a checkpoint of torchrec_ext"
            )
        for name, entry in metadata.state_dict_metadata.items():
            if not isinstance(entry, TensorStorageMetadata):
                raise InputError(
                    f"{name!r} in {path} is not a tensor; this is not a checkpoint of torchrec_ext"
                )
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Unpickler(pickle._Unpickler):
    """The unpickler in Python, the only one whose steps can be checked before they are made."""

    def find_class(self, module: str, name: str) -> Any:
        if name in _ALLOWED.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")

    def load_build(self) -> None:
        """Sets the state of a record; a class, function or enum belongs to the process, not to the file."""
        thing = self.stack[-2]  # type: ignore[attr-defined]
        if not is_dataclass(type(thing)):
            raise pickle.UnpicklingError(f"it sets the state of {thing!r}, which no checkpoint needs")
        super().load_build()  # type: ignore[misc]

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # type: ignore[dict-item]
