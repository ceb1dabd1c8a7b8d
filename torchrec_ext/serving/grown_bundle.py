"""grown_bundle(): a bundle with further items, which its model knows by their side features."""

from dataclasses import replace

import numpy as np
import pandas as pd

from torchrec_ext.data.side_features import SideFeatures
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.serving.bundle import Bundle


def grown_bundle(bundle: Bundle, items: pd.DataFrame) -> Bundle:
    """The bundle with rows of its table of items added or replaced; no row of a table moves.

    A new item has a row in the vocabulary behind the others. Its vector is not learnt, so that models read
    the unknown row and the side features. The tables stay as they are, and the grown bundle is not saved.

    Args:
        bundle: which brings a table of items.
        items: distinct ids and values of the columns of that table.
    """
    assert bundle.events is not None and bundle.events.items is not None
    before, table = bundle.model.preparation, bundle.events.items
    vocabulary = before.vocabularies["item"].grow(items["item"])
    own = SideFeatures.fit("item", items, Vocabulary(items["item"]), before.schema, before.fitted)
    side = before.sides["item"].with_rows(len(vocabulary), vocabulary.rows(items["item"]), own)
    new = np.zeros(len(vocabulary) - len(before.trained.items), bool)
    preparation = replace(
        before,
        vocabularies={**before.vocabularies, "item": vocabulary},
        sides={**before.sides, "item": side},
        trained=replace(before.trained, items=np.append(before.trained.items, new)),
    )
    table = pd.concat([table[~table["item"].isin(items["item"])], items], ignore_index=True)
    model = replace(bundle.model, preparation=preparation)
    return Bundle(model, replace(bundle.events, items=table), bundle.manifest)


def expect_item_features(bundle: Bundle) -> None:
    """Refuses a bundle whose model could know a new item by nothing, with an InputError."""
    inputs, schema = bundle.model.inputs, bundle.model.preparation.schema
    read = {*inputs.fields, *inputs.dense, *inputs.candidate_fields, *inputs.candidate_dense}
    columns = {f.column for f in schema.of("item") if f.name in read - {"item"}}
    table = None if bundle.events is None else bundle.events.items
    if not columns:
        raise InputError(
            "items: the model reads no side features of items, so it could know a new one by nothing; "
            "train a model with item_fields"
        )
    if table is None or not {f.column for f in schema.of("item") if f.name != "item"} <= {*table}:
        raise InputError(
            "items: the bundle lacks the table of the items; export it with events= and all item features"
        )
