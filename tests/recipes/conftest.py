"""A folder a user stands in, with tiny data."""

import pandas as pd
import pytest

from tests.recipes.tiny import write_tiny
from tests.recipes.warm import Warm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder; what a module's tests write into it, its later tests find."""
    folder = tmp_path_factory.mktemp("user")
    write_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def warm():
    """Starts recipes without waiting for their imports."""
    with Warm() as warm:
        yield warm


@pytest.fixture(scope="module")
def events(folder) -> pd.DataFrame:
    """The events as they stand in the file."""
    return pd.read_csv(folder / "events.csv")
