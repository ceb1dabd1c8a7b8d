"""What a training recipe writes into its run, read again to resume it."""

import dataclasses
import json

import pytest

from torchrec_ext.command_line import DataSettings
from torchrec_ext.command_line.run_settings import expect_same_source, load_settings
from torchrec_ext.errors import InputError


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is cut short or not JSON"),
        ('{"data": {}, "recipe": "demo"}', "was not written by train_retrieval.py"),
    ],
)
def test_settings_that_cannot_be_read(tmp_path, content, match):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(InputError, match=match):
        load_settings(tmp_path / "settings.json")


def test_a_run_of_a_release_with_fewer_settings_goes_on(tmp_path):
    source = DataSettings("events.csv")
    settings = {"source": json.loads(json.dumps(vars(source)))}
    del settings["source"]["k_core"], settings["source"]["duplicates"]
    expect_same_source(source, settings, tmp_path)
    with pytest.raises(InputError, match=r"--k-core is \[5\], but the run .* began with \[\]"):
        expect_same_source(dataclasses.replace(source, k_core=(5,)), settings, tmp_path)
