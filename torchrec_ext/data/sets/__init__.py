"""Data sets that are known by name, each a short TOML file that declares its columns."""

from torchrec_ext.data.sets.find import declared_like, declared_set, names_of_sets

__all__ = ["declared_like", "declared_set", "names_of_sets"]
