"""The process group, the sharding plan, and shard(), which applies it to a model."""

from torchrec_ext import compatibility

compatibility.check()

from torchrec_ext.distributed.doctor import Finding, doctor
from torchrec_ext.distributed.plan import make_plan
from torchrec_ext.distributed.plan_table import describe_plan
from torchrec_ext.distributed.process_group import Group, barrier, join_group, world
from torchrec_ext.distributed.quiet import quiet_libraries
from torchrec_ext.distributed.shard import shard

__all__ = [
    "Finding",
    "Group",
    "barrier",
    "describe_plan",
    "doctor",
    "join_group",
    "make_plan",
    "quiet_libraries",
    "shard",
    "world",
]
