"""Well-known retrievers, built from the modules."""

from torchrec_ext.encoders import GRU, HSTU, BERT4Rec, Caser, NextItNet, SASRec
from torchrec_ext.models.two_tower import TwoTower
from torchrec_ext.schema import Schema
from torchrec_ext.scorers import NeuMF


def neumf(schema: Schema, dim: int = 32, hidden: tuple[int, ...] = (64, 32)) -> TwoTower:
    """Neural matrix factorisation (He et al. 2017): user and item vectors scored by GMF and an MLP.

    In the paper each branch has separate tables; here both share one.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        hidden: sizes of the MLP's layers.
    """
    return TwoTower(schema, dim, scorer=NeuMF(dim, hidden=hidden))


def youtube_candidates(schema: Schema, dim: int = 64, max_length: int = 50) -> TwoTower:
    """The candidate generator of YouTube (Covington et al. 2016): mean of the watched items, ReLU tower.

    The tower reads the user's features and the history. The paper's example age and search tokens are left
    out: they are context features, with which each target would be a separate example.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        max_length: newest events that are read.
    """
    features = (*schema.features_of("user"), *schema.dense_of("user"))
    user_fields = tuple(name for name in features if name != "user")
    tower = (4 * dim, 2 * dim)
    return TwoTower(schema, dim, "mean_pool", user_fields, max_length=max_length, query_hidden=tower)


def gru4rec(schema: Schema, dim: int = 128, layers: int = 1, max_length: int = 200) -> TwoTower:
    """GRU4Rec (Hidasi et al. 2016), trained with cross-entropy over the candidates at every position.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of recurrent layers.
        max_length: newest events that are read.
    """
    return TwoTower(schema, dim, GRU(dim, layers=layers), max_length=max_length)


def caser(schema: Schema, dim: int = 128, window: int = 5, max_length: int = 200) -> TwoTower:
    """Caser (Tang, Wang 2018), with the user's vector next to its convolutions.

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
    """SASRec (Kang, McAuley 2018), trained with cross-entropy over the candidates, not one negative.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of attention layers.
        heads: number per layer; it divides ``dim``.
        max_length: newest events that are read.
    """
    encoder = SASRec(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)


def bert4rec(
    schema: Schema, dim: int = 128, layers: int = 2, heads: int = 4, max_length: int = 200
) -> TwoTower:
    """BERT4Rec (Sun et al. 2019), trained to predict hidden events from those around them.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of attention layers.
        heads: number per layer; it divides ``dim``.
        max_length: newest events that are read, including the hidden one.
    """
    encoder = BERT4Rec(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)


def hstu(schema: Schema, dim: int = 128, layers: int = 2, heads: int = 4, max_length: int = 200) -> TwoTower:
    """HSTU (Zhai et al. 2024) as a retriever; it reads times if the data has them.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of attention layers.
        heads: number per layer; it divides ``dim``.
        max_length: newest events that are read.
    """
    encoder = HSTU(dim, layers=layers, heads=heads, max_length=max_length)
    return TwoTower(schema, dim, encoder, max_length=max_length)
