"""Describes a data set, and what a split would make of it.

python recipes/describe.py --data ml-100k --output sheet.png
"""

from dataclasses import dataclass, field

import torchrec_ext as tx
from torchrec_ext.command_line import (
    DataSettings,
    Source,
    describe_parts,
    run_recipe,
    writable_file,
)


@dataclass(frozen=True)
class Settings:
    """Prints what the data holds and what each part of its split does, and draws a sheet of plots."""

    source: Source = field(default_factory=DataSettings)
    output: str | None = None
    """PNG file of the sheet of plots. By default nothing is drawn."""
    overwrite: bool = False
    """Replace what is at --output."""


def main(settings: Settings) -> None:
    """Reads, describes, draws and splits."""
    output = writable_file(settings.output, settings.overwrite)
    group = tx.distributed.join_group()
    events = settings.source.events()
    if not group.first:
        return
    described = events.describe()
    print(described)
    if output is not None:
        described.draw(output)
        print(f"\ndrawn in {output}")
    train, _, _ = settings.source.parts(events)
    print(f"\n{describe_parts(train)}")


if __name__ == "__main__":
    run_recipe(main, Settings)
