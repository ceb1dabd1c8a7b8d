"""A sheet of small plots."""

import numpy as np

from torchrec_ext.data import sheet
from torchrec_ext.data.distribution import Distribution


def axes_of(panel):
    return sheet.sheet_figure([panel], "title").axes[0]


def test_a_panel_without_data_says_so():
    axes = axes_of(sheet.Panel("Gaps", "x", "y", absent="no times").filled(sheet.histogram, None))
    assert [text.get_text() for text in axes.texts] == ["no times"]
    assert axes.get_title("left") == "Gaps" and axes.get_xlabel() == ""


def test_shares_are_sorted_and_many_are_cut():
    data = {f"c{n}": n / 20 for n in range(1, 13)}
    axes = axes_of(sheet.Panel("Missing", "", "").filled(sheet.shares, data))
    assert [bar.get_width() for bar in axes.patches] == [n / 20 for n in range(12, 2, -1)]
    assert axes.get_yticklabels()[0].get_text() == "c12"
    words = [text.get_text() for text in axes.texts]
    assert words[0] == "60.0%" and words[-1] == "and 2 others"


def test_a_histogram_marks_the_median_and_writes_spans():
    gaps = Distribution.of(np.array([1, 60, 60, 90_000]), "log")
    panel = sheet.Panel("Gaps", "x", "y")
    axes = axes_of(panel.filled(lambda a, d: sheet.histogram(a, d, "duration"), gaps))
    assert axes.get_xscale() == "log" and [text.get_text() for text in axes.texts] == ["median"]
    assert axes.lines[0].get_xdata() == [60, 60]
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 s", "1 min", "1 h", "1 d"]


def test_ranks_are_thinned_but_keep_the_first_and_the_last():
    popularity = np.arange(5000, 0, -1)
    axes = axes_of(sheet.Panel("", "", "").filled(sheet.rank_frequency, popularity))
    ranks, counts = axes.lines[0].get_data()
    assert len(ranks) <= 500 and (ranks[0], ranks[-1]) == (1, 5000)
    assert (counts == 5001 - ranks).all()


def test_three_panels_in_a_row():
    figure = sheet.sheet_figure([sheet.Panel("", "", "", absent="none")] * 4, "title")
    assert figure.axes[3].get_subplotspec().rowspan.start == 1 and len(figure.axes) == 4
