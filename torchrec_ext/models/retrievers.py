"""Well-known retrievers, put together from the parts."""

from torchrec_ext.encoders import GRU, HSTU, BERT4Rec, Caser, NextItNet, SASRec
from torchrec_ext.models.two_tower import TwoTower
from torchrec_ext.schema import Schema
from torchrec_ext.scorers import NeuMF


def neumf(schema: Schema, dim: int = 32, hidden: tuple[int, ...] = (64, 32)) -> TwoTower:
    """Neural matrix factorisation (He et al. 2017): user and item vectors scored by GMF and an MLP.

    The paper gives each branch a table of its own; here both read one.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        hidden: sizes of the MLP's layers.
    """
    return TwoTower(schema, dim, scorer=NeuMF(dim, hidden=hidden))


def youtube_candidates(schema: Schema, dim: int = 64, max_length: int = 50) -> TwoTower:
    """The candidate generator of YouTube (Covington et al. 2016): mean of what was watched, ReLU tower.

    The user's features stand beside the history; the paper's example age and search tokens are context
    features, which make each target an example of its own, and are left out here.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        max_length: newest events that are read.
    """
    features = (*schema.features_of("user"), *schema.dense_of("user"))
    beside = tuple(name for name in features if name != "user")
    tower = (4 * dim, 2 * dim)
    return TwoTower(schema, dim, "mean_pool", beside, max_length=max_length, query_hidden=tower)


def gru4rec(schema: Schema, dim: int = 128, layers: int = 1, max_length: int = 200) -> TwoTower:
    """GRU4Rec (Hidasi et al. 2016), learnt by cross-entropy over the candidates at every position.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: of the recurrence.
        max_length: newest events that are read.
    """
    return TwoTower(schema, dim, GRU(dim, layers=layers), max_length=max_length)


def caser(schema: Schema, dim: int = 128, window: int = 5, max_length: int = 200) -> TwoTower:
    """Caser (Tang, Wang 2018), with the user's own vector beside its convolutions.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        window: events that a state sees.
        max_length: newest events that are read.
    """
    return TwoTower(schema, dim, Caser(dim, window=window), ("user",), max_length=max_length)


def nextitnet(schema: Schema, dim: int = 128, max_length: int = 200) -> TwoTower:
    """NextItNet (Yuan et al. 2019).

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        max_length: newest events that are read.
    """
    return TwoTower(schema, dim, NextItNet(dim), max_length=max_length)


def sasrec(
    schema: Schema, dim: int = 128, layers: int = 2, heads: int = 4, max_length: int = 200
) -> TwoTower:
    """SASRec (Kang, McAuley 2018), learnt by cross-entropy over the candidates, not one negative.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: of attention.
        heads: a layer; they divide ``dim``.
        max_length: newest events that are read.
    """
    encoder = SASRec(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)


def bert4rec(
    schema: Schema, dim: int = 128, layers: int = 2, heads: int = 4, max_length: int = 200
) -> TwoTower:
    """BERT4Rec (Sun et al. 2019), learnt by telling hidden events from those around them.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: of attention.
        heads: a layer; they divide ``dim``.
        max_length: newest events that are read, the hidden one among them.
    """
    encoder = BERT4Rec(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)


def hstu(schema: Schema, dim: int = 128, layers: int = 2, heads: int = 4, max_length: int = 200) -> TwoTower:
    """HSTU (Zhai et al. 2024) as a retriever; it reads times where the data has them.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: of attention.
        heads: a layer; they divide ``dim``.
        max_length: newest events that are read.
    """
    encoder = HSTU(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)
