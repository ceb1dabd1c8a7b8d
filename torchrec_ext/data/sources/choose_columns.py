"""Which column of a table holds what: as told, by its exact name, or by a common other name."""

import logging
from collections.abc import Mapping, Sequence

from torchrec_ext.errors import InputError, nearest

log = logging.getLogger(__name__)

#: Our names of what an event has, and what other people call them, most likely first.
ALIASES = {
    "user": ("user_id", "userid", "uid", "customer_id", "visitorid", "reviewerid", "session_id", "sessionid"),
    "item": (
        "item_id", "itemid", "iid", "movie_id", "movieid", "product_id", "productid", "sku", "asin",
        "article_id", "video_id", "track_id", "book_id",
    ),
    "timestamp": ("time", "ts", "unix_timestamp", "unixreviewtime", "datetime", "event_time", "date"),
    "rating": ("ratings", "stars", "overall"),
    "type": ("event_type", "eventtype", "behavior_type", "behaviour_type", "action_type"),
}  # fmt: skip


def choose_columns(
    there: Sequence[str],
    columns: Mapping[str, str | None] | None,
    context: Sequence[str],
    where: str,
    itemless: bool = False,
) -> dict[str, str]:
    """Our name of each column to read and the table's name of it.

    Args:
        there: the table's columns.
        columns: what the user told, our name to the table's; None or "" leaves a column out, that of users
            or items too, where the data has none.
        context: our names of further columns to read.
        where: names the table in messages.
        itemless: whether the events need no item, as searches do not.

    Raises:
        InputError: if a column is not there, with those that are and how to name them.
    """
    told = dict(columns or {})
    chosen: dict[str, str] = {}
    for name, other in told.items():
        if not other:
            continue
        if other not in there:
            raise InputError(
                f"{where} has no column {other!r}{nearest(other, there)}; it has {', '.join(there)}"
            )
        if other in chosen.values():
            raise InputError(f"columns name {other!r} of {where} twice; each column of it holds one thing")
        chosen[name] = other
    guessed: dict[str, str] = {}
    for name in ALIASES:
        if name not in told:
            free = [c for c in there if c not in chosen.values()]
            found = find_column(name, free)
            if found is not None:
                guessed[name] = chosen[name] = found
    needed = ("user",) if itemless else ("user", "item")
    missing = [name for name in needed if name not in chosen and name not in told]
    if missing:
        hint = ""
        if len(there) == 1:
            hint = " (is the separator another one? format='tsv' is for tabs)"
        elif any(column.replace(".", "").isdigit() for column in there):
            hint = " (is the first line no header? add one)"
        raise InputError(
            f"{where} has no column for {' and '.join(missing)}; it has {', '.join(there)}{hint}: say "
            f"--columns {' '.join(f'{name}=NAME' for name in missing)} (columns={{'{missing[0]}': 'NAME'}})"
        )
    for name in context:
        if name not in chosen:
            if name not in there:
                raise InputError(
                    f"{where} has no context column {name!r}{nearest(name, there)}; it has {', '.join(there)}"
                )
            chosen[name] = name
    others = {name: other for name, other in guessed.items() if name != other}
    if others:
        log.info("%s: took %s", where, ", ".join(f"{other} as {name}" for name, other in others.items()))
    return chosen


def find_column(name: str, there: Sequence[str]) -> str | None:
    """The column of that very name, else the first that common usage calls so, whatever its case."""
    if name in there:
        return name
    lower = {column.lower(): column for column in reversed(there)}
    return next((lower[alias] for alias in (name, *ALIASES[name]) if alias in lower), None)
