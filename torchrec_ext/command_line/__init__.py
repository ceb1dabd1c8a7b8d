"""What every recipe needs of its command line."""

from torchrec_ext.command_line.catalogue import catalogue_size, expect_k, saved_schema
from torchrec_ext.command_line.data_settings import DataSettings, Source, describe_parts
from torchrec_ext.command_line.fields import fields_or_default
from torchrec_ext.command_line.list_modules import list_modules
from torchrec_ext.command_line.output_file import writable_file, write_csv
from torchrec_ext.command_line.parse import parse_pairs, parse_settings
from torchrec_ext.command_line.positive import positive_or_default
from torchrec_ext.command_line.run import run_recipe
from torchrec_ext.command_line.run_data import read_run_data, split_run_data
from torchrec_ext.command_line.training_run import describe_popularity, new_run

__all__ = [
    "DataSettings",
    "Source",
    "catalogue_size",
    "describe_parts",
    "expect_k",
    "fields_or_default",
    "writable_file",
    "list_modules",
    "new_run",
    "parse_pairs",
    "parse_settings",
    "positive_or_default",
    "read_run_data",
    "run_recipe",
    "saved_schema",
    "split_run_data",
    "describe_popularity",
    "write_csv",
]
