"""Data sets that are known by name, each a short TOML file that declares its columns."""
