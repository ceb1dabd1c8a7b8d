"""A trained retriever or ranker with whole tables in one process, which needs torch alone."""

from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from torchrec_ext import contracts
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.embeddings.pooler import Pooler, make_poolers
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inputs_of
from torchrec_ext.models.ranker_arch import RankerArch
from torchrec_ext.models.towers import ItemTower, QueryTower, Towers
from torchrec_ext.plugins import rebuild, specification
from torchrec_ext.schema import Schema
from torchrec_ext.serving.local_tables import LocalEmbeddings, LocalFirstOrder

_TWO_TOWER = "torchrec_ext.models.two_tower:TwoTower"
_RANKER = "torchrec_ext.models.ranker:Ranker"


class LocalRetriever(contracts.Retriever):
    """A trained ``TwoTower`` with whole tables: the same vectors, for retrieval alone.

    Args:
        embeddings: the lookups.
        towers: the query and the item tower.
        scorer: of queries and items.
        inputs: what the model reads.
    """

    def __init__(
        self, embeddings: LocalEmbeddings, towers: Towers, scorer: contracts.Scorer, inputs: Inputs
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.towers = towers
        self.scorer = scorer
        self.inputs = inputs

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries and candidates of a batch."""
        fields_BFD, sequences = self.embeddings(batch)
        return self.towers(fields_BFD, sequences, batch, self.inputs.per_event_labels)

    def encode_queries(self, batch: Batch) -> Tensor:
        """Users of a batch to ``(B, D)`` or ``(B, K, D)`` query vectors."""
        fields_BFD, sequences = self.embeddings(batch)
        return self.towers.query_tower(fields_BFD, sequences, batch)

    def encode_items(self, batch: Batch) -> Tensor:
        """Candidates of a batch to ``(C, D)`` item vectors."""
        _, sequences = self.embeddings(batch)
        return self.towers.item_tower(sequences, batch)


class LocalRanker(contracts.Ranker):
    """A trained ``Ranker`` with whole tables: the same logits.

    Args:
        embeddings: the lookups.
        id_weights: of the first-order term, or None.
        arch: the part above the tables.
        inputs: what the model reads.
    """

    def __init__(
        self,
        embeddings: LocalEmbeddings,
        id_weights: LocalFirstOrder | None,
        arch: RankerArch,
        inputs: Inputs,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.id_weights = id_weights
        self.arch = arch
        self.inputs = inputs

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B pairs to ``(B, tasks)`` logits."""
        weights_BT = None if self.id_weights is None else self.id_weights(batch)
        return self.arch(*self.embeddings(batch), weights_BT, batch)


def describe_model(module: nn.Module) -> dict[str, Any]:
    """What :func:`build_arch` builds a model from, as JSON holds it.

    Raises:
        InputError: if it is neither a ``TwoTower`` nor a ``Ranker``, or has a part that JSON cannot describe.
    """
    inputs, name = inputs_of(module), type(module).__name__
    found = specification(module, without=("schema",))
    if found is None:
        raise InputError(
            f"the {name} has a part that cannot be built again from JSON; give its modules arguments "
            "that are attributes of the same name and plain values"
        )
    if found["class"] not in (_TWO_TOWER, _RANKER):
        raise InputError(f"a bundle holds a TwoTower or a Ranker, received a {name}; serve it yourself")
    return {**found, "inputs": asdict(inputs)}


def build_local(
    description: dict[str, Any],
    schema: Schema,
    embeddings: LocalEmbeddings,
    id_weights: LocalFirstOrder | None,
) -> LocalRetriever | LocalRanker:
    """A model from its description, with the weights of its dense parts still to be loaded."""
    inputs, arguments = inputs_from(description), description["arguments"]
    dim, dense_width = arguments["dim"], schema.dense_width(inputs.dense)

    def part(name: str) -> Any:
        spec = arguments[name]
        return rebuild(spec) if isinstance(spec, dict) else spec

    if description["class"] == _RANKER:
        arch = RankerArch(
            dim, inputs, part("interaction"), part("target_attention"), part("over_arch"), part("head"),
            arguments["tasks"], dense_width, arguments["first_order"],
        )  # fmt: skip
        return LocalRanker(embeddings, id_weights, arch, inputs)
    towers = Towers(
        QueryTower(dim, inputs, part("encoder"), arguments["query_hidden"], dense_width),
        ItemTower(dim, inputs, schema.dense_width(inputs.candidate_dense), poolers_from(description)),
    )
    return LocalRetriever(embeddings, towers, part("scorer"), inputs)


def poolers_from(description: dict[str, Any]) -> dict[str, Pooler]:
    """The poolers of the described model, with weights still to be loaded."""
    arguments = description["arguments"]
    built: Any = {name: rebuild(spec) for name, spec in arguments.get("poolers", {}).items()}
    return make_poolers(built, arguments["dim"], built, "fields")


def inputs_from(description: dict[str, Any]) -> Inputs:
    """What the described model reads."""
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description["inputs"].items()
    }
    return Inputs(**found)
