"""page(): a report as one HTML file."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined


def page(
    title: str,
    runs: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    lists: pd.DataFrame,
    about_users: Sequence[Mapping[str, Any]],
    **more: Any,
) -> str:
    """Fills in ``report.html``; whatever stands in the data is escaped.

    Args:
        title: the heading.
        runs: names of the runs.
        tables: heading -> table of text.
        lists: columns ``user``, ``place``, ``run``, ``title`` and ``hit``.
        about_users: what stands above the lists of each user.
        more: ``protocol``, ``notes`` and ``pictures``, whose SVG alone is not escaped.
    """
    template = resources.files("torchrec_ext.reporting").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    users = []
    for about in about_users:
        own = lists[lists["user"] == about["user"]]
        rows = [
            [own[(own["place"] == place) & (own["run"] == run)].to_dict("records") for run in runs]
            for place in sorted(own["place"].unique())
        ]
        users.append({**about, "rows": rows})
    return environment.from_string(template).render(
        title=title, runs=runs, tables=tables, users=users, **more
    )
