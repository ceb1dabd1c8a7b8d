"""The plots of a sheet."""

import numpy as np
import pytest

from torchrec_ext.data import sheet

WORDS = ("Title", "x", "y", "no data")


@pytest.fixture
def axes():
    return sheet.six_plots("title")[1][0]


def written(axes):
    return [text.get_text() for text in axes.texts]


def test_a_plot_without_data_says_so():
    plots = sheet.six_plots("title")[1]
    assert [plot.get_subplotspec().rowspan.start for plot in plots] == [0, 0, 0, 1, 1, 1]
    sheet.histogram(plots[0], None, WORDS)
    sheet.histogram(plots[1], np.array([np.nan]), WORDS)
    sheet.rank_frequency(plots[2], None, WORDS)
    sheet.shares(plots[3], {}, WORDS)
    for plot in plots[:4]:
        assert written(plot) == ["no data"]
        assert plot.get_title("left") == "Title" and plot.get_xlabel() == ""


def test_shares_are_sorted_and_many_are_cut(axes):
    sheet.shares(axes, {f"c{n}": n / 20 for n in range(1, 13)}, WORDS)
    assert [bar.get_width() for bar in axes.patches] == [n / 20 for n in range(12, 2, -1)]
    assert axes.get_yticklabels()[0].get_text() == "c12" and written(axes)[0] == "60.0%"
    assert axes.get_title("right") == "and 2 others" and axes.get_xlabel() == "x"


def test_a_histogram_marks_the_median_and_writes_spans(axes):
    sheet.histogram(axes, np.array([0, 1, 60, 60, 60, 90_000]), WORDS, "duration")
    assert axes.get_xscale() == "log" and written(axes) == [" median"]
    assert axes.lines[0].get_xdata() == [60, 60]
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 s", "1 min", "1 h", "1 d"]


def test_ranks_are_thinned_but_keep_the_first_and_the_last(axes):
    sheet.rank_frequency(axes, np.arange(5000, 0, -1), WORDS)
    ranks, counts = axes.lines[0].get_data()
    assert len(ranks) <= 500 and (ranks[0], ranks[-1]) == (1, 5000)
    assert (counts == 5001 - ranks).all()


@pytest.mark.parametrize(
    ("values", "axis", "edges"),
    [
        ([1, 3, 3, 5], "even", [0, 2, 4, 6]),
        ([7.0, 7.0], "even", [6.5, 7.5]),
        ([80, 0, 40, 0], "date", list(range(0, 81, 2))),
        ([0.5], "log", [0.45, 0.55]),
        ([0, 0], "log", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ([1, 2, 2, 4], "log", [1, 2, 3, 4, 5]),
    ],
)
def test_edges_of_few_values(values, axis, edges):
    assert sheet.bin_edges(np.array(values), axis) == pytest.approx(edges)


def test_edges_of_many_values():
    whole = sheet.bin_edges(np.arange(1, 2000), "log")
    assert (np.diff(whole) >= 1).all() and (whole[0], whole[-1]) == (1, 2000) and len(whole) <= 41
    assert np.histogram(np.arange(1, 2000), whole)[0].sum() == 1999
    assert len(sheet.bin_edges(np.arange(100.0))) == 41
