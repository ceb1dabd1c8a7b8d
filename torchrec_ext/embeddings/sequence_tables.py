"""The tables that histories and candidates are looked up in."""

from torchrec_ext.batch import Inputs
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema


def sequence_tables(schema: Schema, inputs: Inputs) -> dict[str, str]:
    """Key in ``Batch.sequences`` to table, in the order of the batch's keys.

    Args:
        schema: features and tables.
        inputs: what the model reads.

    Raises:
        InputError: if the model reads items and the data has none.
    """
    if not (inputs.max_length or inputs.candidates):
        return {}
    if "item" not in schema.features_of("item"):
        raise InputError(
            "the model reads items, a history of them or candidates, but the data has none; train a ranker "
            "without target_attention"
        )
    item = schema.feature("item").table
    tables = {"history": item} if inputs.max_length else {}
    tables |= {f"history_{name}": schema.feature(name).table for name in inputs.history_fields}
    if inputs.candidates:
        tables["candidates"] = item
        tables |= {f"candidates_{name}": schema.feature(name).table for name in inputs.candidate_fields}
    return tables
