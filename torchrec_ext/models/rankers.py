"""Well-known rankers, built from the modules; they have a first-order term if the paper has one."""

from collections.abc import Callable, Sequence
from functools import partial

from torchrec_ext.contracts import Interaction
from torchrec_ext.heads import MMoEHead
from torchrec_ext.interactions import (
    CIN,
    BiInteraction,
    CrossNetwork,
    FactorizationMachine,
    FiBiNET,
    FinalMLP,
    GatedCrossNetwork,
    MaskNet,
    MLPInteraction,
    OuterProductConvolution,
    Wukong,
)
from torchrec_ext.interactions.parallel import Parallel
from torchrec_ext.models.ranker import Ranker
from torchrec_ext.schema import Schema


def dlrm(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (64, 32)) -> Ranker:
    """DLRM (Naumov et al. 2019): pairwise dot products of all fields, the numeric ones as one of them.

    In the paper the layers above read the products and the vector of the numeric fields; here they read the
    vectors of all fields, because data may have no numeric fields.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes above the products.
    """
    fields = partial(Parallel, parts=("dot", "concat"))
    return Ranker(schema, dim, interaction=fields, over_arch=over_arch, first_order=False)


def deepfm(schema: Schema, dim: int = 32, hidden: tuple[int, ...] = (64, 32)) -> Ranker:
    """DeepFM (Guo et al. 2017): a factorisation machine and an MLP over the same vectors.

    The logit is a linear function of the machine's products and of the MLP's last layer, plus the
    machine's first-order term; the paper fixes the weight of the products at 1.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        hidden: sizes of the MLP's layers.
    """
    deep = partial(_beside_mlp, shallow=FactorizationMachine, hidden=hidden)
    return Ranker(schema, dim, interaction=deep, over_arch=())


def dcn_v2(schema: Schema, dim: int = 32, layers: int = 3, over_arch: Sequence[int] = (64, 32)) -> Ranker:
    """DCN V2 (Wang et al. 2021), stacked: a cross network, then an MLP.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of layers of the cross network.
        over_arch: hidden sizes of the MLP.
    """
    crosses = partial(CrossNetwork, layers=layers)
    return Ranker(schema, dim, interaction=crosses, over_arch=over_arch, first_order=False)


def din(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (80, 40), max_length: int = 50) -> Ranker:
    """DIN (Zhou et al. 2018): the item attends to the user's history.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes above the fields.
        max_length: newest events that are read.
    """
    return Ranker(
        schema, dim, interaction="concat", target_attention="din", over_arch=over_arch,
        max_length=max_length, first_order=False,
    )  # fmt: skip


def dien(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (80, 40), max_length: int = 50) -> Ranker:
    """DIEN (Zhou et al. 2019): interests evolve towards the item and have an auxiliary loss.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes above the fields.
        max_length: newest events that are read.
    """
    return Ranker(
        schema, dim, interaction="concat", target_attention="dien", over_arch=over_arch,
        max_length=max_length, first_order=False,
    )  # fmt: skip


def conv_ncf(schema: Schema, dim: int = 64, filters: int = 32) -> Ranker:
    """ConvNCF (He et al. 2018): convolutions over the outer product of the user's and the item's vector.

    The paper trains with pairwise ranking; here each pair has a label.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        filters: number of filters of each convolution.
    """
    crossed = partial(OuterProductConvolution, filters=filters)
    return Ranker(schema, dim, ("user", "item"), interaction=crossed, over_arch=(), first_order=False)


def youtube_ranker(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (256, 128, 64)) -> Ranker:
    """The ranker of YouTube (Covington et al. 2016): an MLP over all fields.

    It does not read the history: for recent videos, pass a ``target_attention`` to ``Ranker``. Trained with
    ``loss=BinaryCrossEntropy(weigh_by_rating=True)`` on ratings that are watch times, its odds
    ``exp(logit)`` are the expected watch time (weighted logistic regression, section 4.2).

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes of the MLP.
    """
    return Ranker(schema, dim, interaction="concat", over_arch=over_arch, first_order=False)


def mmoe(
    schema: Schema, tasks: int = 2, dim: int = 32, experts: int = 4, over_arch: Sequence[int] = (64,)
) -> Ranker:
    """MMoE (Ma et al. 2018): each task mixes shared experts by a separate gate.

    Trained with as many thresholds as tasks: ``fit(..., positive=(4, 5))``.

    Args:
        schema: features and tables of the data.
        tasks: number of logits.
        dim: D, width of the vectors.
        experts: number of experts, which the tasks share.
        over_arch: hidden sizes below the experts.
    """
    head = partial(MMoEHead, experts=experts)
    return Ranker(
        schema, dim, interaction="concat", over_arch=over_arch, tasks=tasks, head=head, first_order=False
    )


def nfm(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (64,), dropout: float = 0.0) -> Ranker:
    """NFM (He, Chua 2017): layers above the bi-interaction vector of all fields, and a first-order term.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes above the bi-interaction vector.
        dropout: share of that vector zeroed in training.
    """
    pooled = partial(BiInteraction, dropout=dropout)
    return Ranker(schema, dim, interaction=pooled, over_arch=over_arch)


def xdeepfm(
    schema: Schema, dim: int = 32, maps: tuple[int, ...] = (64, 64), hidden: tuple[int, ...] = (64, 32)
) -> Ranker:
    """A compressed interaction network, an MLP and a first-order term: xDeepFM (Lian et al. 2018).

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        maps: number of maps of each layer of the network.
        hidden: sizes of the MLP's layers.
    """
    both = partial(_beside_mlp, shallow=partial(CIN, maps=maps), hidden=hidden)
    return Ranker(schema, dim, interaction=both, over_arch=())


def fibinet(schema: Schema, dim: int = 32, over_arch: Sequence[int] = (64, 32)) -> Ranker:
    """FiBiNET (Huang et al. 2019): an MLP above bilinear products, and a first-order term.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        over_arch: hidden sizes of the MLP.
    """
    return Ranker(schema, dim, interaction=FiBiNET, over_arch=over_arch)


def masknet(
    schema: Schema, dim: int = 32, blocks: int = 3, over_arch: Sequence[int] = (64,), parallel: bool = True
) -> Ranker:
    """MaskNet (Wang et al. 2021): an MLP above parallel blocks, or a linear layer above blocks in series.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        blocks: number of blocks.
        over_arch: hidden sizes above the blocks; the paper has none above blocks in series.
        parallel: whether the blocks are parallel or in series.
    """
    masked = partial(MaskNet, blocks=blocks, parallel=parallel)
    return Ranker(schema, dim, interaction=masked, over_arch=over_arch, first_order=False)


def gdcn(schema: Schema, dim: int = 32, layers: int = 3, over_arch: Sequence[int] = (64, 32)) -> Ranker:
    """GDCN (Wang et al. 2023), stacked: a gated cross network, then an MLP.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of layers of the gated cross network.
        over_arch: hidden sizes of the MLP.
    """
    crosses = partial(GatedCrossNetwork, layers=layers)
    return Ranker(schema, dim, interaction=crosses, over_arch=over_arch, first_order=False)


def final_mlp(schema: Schema, dim: int = 32, hidden: tuple[int, ...] = (64, 32), heads: int = 2) -> Ranker:
    """FinalMLP (Mao et al. 2023): two MLPs over gated fields, whose bilinear product is the logit.

    Both gates read a learnt vector; ``FinalMLP`` also has gates that read fields.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        hidden: sizes of the layers of both MLPs.
        heads: number of heads of the bilinear product.
    """
    streams = partial(FinalMLP, first=hidden, second=hidden, heads=heads)
    return Ranker(schema, dim, interaction=streams, over_arch=None, first_order=False)


def wukong(schema: Schema, dim: int = 32, layers: int = 2, over_arch: Sequence[int] = (64,)) -> Ranker:
    """Wukong (Zhang et al. 2024): stacked factorization machines, then an MLP.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        layers: number of layers of the stack.
        over_arch: hidden sizes of the MLP.
    """
    machines = partial(Wukong, layers=layers)
    return Ranker(schema, dim, interaction=machines, over_arch=over_arch, first_order=False)


def _beside_mlp(
    num_fields: int, dim: int, shallow: Callable[..., Interaction], hidden: tuple[int, ...]
) -> Parallel:
    return Parallel.of(shallow(num_fields, dim), MLPInteraction(num_fields, dim, hidden=hidden))
