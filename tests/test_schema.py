import pytest

from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Feature, Schema, Table

TABLES = (Table("user", 4), Table("item", 6), Table("item_genres", 3))
FEATURES = (
    Feature("user", "user", "user", "uid"),
    Feature("item", "item", "item", "sku"),
    Feature("item_genres", "item_genres", "item", "genres", many=True),
    Feature("context_device", "item_genres", "context", "device"),
)
SCHEMA = Schema(TABLES, FEATURES, (DenseFeature("item_price", "item", "price"),))


def test_json_round_trip_keeps_everything():
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA


def test_features_by_entity_keep_the_schema_order():
    assert SCHEMA.features_of("item", "user") == ("user", "item", "item_genres")
    assert SCHEMA.features_of("context") == ("context_device",)
    assert SCHEMA.dense_of("item") == ("item_price",)
    assert SCHEMA.dense_of("user") == ()


def test_lookup_by_name():
    assert SCHEMA.table("item").rows == 6
    assert SCHEMA.feature("item_genres").many
    with pytest.raises(InputError, match="no table 'shop' in the schema; there are user, item, item_genres"):
        SCHEMA.table("shop")
    with pytest.raises(InputError, match="no feature 'age'"):
        SCHEMA.feature("age")


@pytest.mark.parametrize(
    ("tables", "features", "message"),
    [
        ((*TABLES, Table("user", 9)), FEATURES, "table name 'user' is used twice"),
        (TABLES, (*FEATURES, FEATURES[0]), "feature name 'user' is used twice"),
        ((Table("a.b", 1),), (), "'a.b' is not an identifier"),
        (TABLES[:1], FEATURES[:2], "feature 'item' looks up table 'item', which is not in the schema"),
    ],
)
def test_what_does_not_fit_is_refused(tables, features, message):
    with pytest.raises(InputError, match=message):
        Schema(tables, features)
