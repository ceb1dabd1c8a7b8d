"""What every recipe needs of its command line."""

from torchrec_ext.command_line.data_settings import DataSettings, data_record, read_run_settings
from torchrec_ext.command_line.parse import parse_settings
from torchrec_ext.command_line.run import run_recipe

__all__ = ["DataSettings", "data_record", "parse_settings", "read_run_settings", "run_recipe"]
