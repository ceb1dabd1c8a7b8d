"""Serves lists from a bundle over HTTP, and takes the events that change them.

python recipes/serve.py --bundle bundles/ml1m --events events.sqlite --port 8000
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError

Index = Literal["exact", "hnsw", "ivf"]
_NEEDS = ("fastapi", "uvicorn", "prometheus_client")


@dataclass(frozen=True)
class Settings:
    """Answers requests for lists, and stores the events that clients report; see the page at / and /docs.

    SIGTERM and Ctrl-C end it once the accepted requests are answered.
    """

    bundle: str
    """Folder of the bundle, of recipes/export.py. POST /bundle swaps in another folder beside it."""
    events: str = "events.sqlite"
    """File of the event log, which is made if it does not exist; or kafka://host:9092/topic, for machines
    that share it."""
    users: str | None = None
    """Of events in Kafka: the Redis with the newest events of each user, redis://host:6379/0."""
    host: str = "127.0.0.1"
    """Address to listen at; any but this machine's own needs --token-file."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    token_file: str | None = None
    """File with the token that requests have to carry: Authorization: Bearer TOKEN."""
    max_in_flight: int = 4
    """Requests answered at a time, and four times as many with events; others get 503 at once. More of them
    share the scan of the items, and wait longer."""
    max_body_bytes: int = 1_000_000
    """Size of a request; a larger one gets 413."""
    index: Index | None = None
    """How the best items are found: exactly, or nearly by a graph or clusters of FAISS. By default by the
    index of the bundle, or exactly; another kind is built at the start, which may take minutes."""
    ranker: str | None = None
    """Folder of a second bundle, which ranks what the first finds."""
    retrieve: int = 500
    """Items that the ranker ranks, and that a list is explored and re-ranked from."""
    epsilon: float = 0.0
    """How often a list holds items by chance, whose probability is logged with --log-exposures."""
    log_exposures: bool = False
    """Log every list that a user is shown, as an event of the type exposure."""


def main(settings: Settings) -> None:
    """Opens the bundle and the event log, and answers."""
    run(settings)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise InputError(f"serving needs {', '.join(missing)}; pip install 'torchrec-ext[serve]'")
    from torchrec_ext.serving.http.access import read_token
    from torchrec_ext.serving.http.app import create_app
    from torchrec_ext.serving.http.server import bind, is_loopback, serve

    token = None if settings.token_file is None else read_token(settings.token_file)
    if token is None and not is_loopback(settings.host):
        raise InputError(
            f"host {settings.host} lets other machines in, which needs --token-file; make a token with "
            "openssl rand -hex 32 > token"
        )
    listener = bind(settings.host, settings.port)  # before the bundle is opened, which takes its time
    folder = Path(settings.bundle).expanduser().absolute()
    with closing(tx.serving.open_event_store(settings.events, settings.users)) as store:
        ranker = None if settings.ranker is None else Path(settings.ranker).expanduser()
        bundle, index = open_with_index(folder, settings.index)
        service = tx.serving.Service(
            bundle, store, name=folder.name, index=index, ranker=ranker, retrieve=settings.retrieve,
            epsilon=settings.epsilon, log_exposures=settings.log_exposures,
        )  # fmt: skip

        def swap(other: Path) -> None:
            bundle, index = open_with_index(other, settings.index)
            service.swap(bundle, name=other.name, index=index, ranker=ranker, retrieve=settings.retrieve)

        app = create_app(
            service, token=token, bundles=folder.parent, swap=swap, max_in_flight=settings.max_in_flight,
            max_body_bytes=settings.max_body_bytes,
        )  # fmt: skip
        serve(app, listener, ready=lambda url: print(f"serving at {url}", flush=True))


def open_with_index(folder: Path, kind: Index | None) -> tuple[tx.serving.Bundle, tx.contracts.Index | None]:
    """A bundle, and an empty index for its items; None for its own, or an exact one if it has none."""
    bundle = tx.serving.open_bundle(folder)
    own = "exact" if bundle.stored_index is None else bundle.stored_index.settings["kind"]
    if kind in (None, own):
        return bundle, None
    scorer = getattr(bundle.model.module, "scorer", None)
    if scorer is None:
        raise InputError(f"index {kind} needs a bundle with a TwoTower, this one has a Ranker; take exact")
    return bundle, tx.retrieval.ExactIndex(scorer) if kind == "exact" else tx.serving.FaissIndex(kind, scorer)


if __name__ == "__main__":
    run_recipe(main, Settings)
