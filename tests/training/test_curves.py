import numpy as np
import pandas as pd
import pytest
from matplotlib import image, pyplot

from torchrec_ext.errors import InputError
from torchrec_ext.training.curves import curves_figure, draw_curves

HISTORY = pd.DataFrame(
    {
        "model": ["dot", "dot", "convolution", "convolution", "convolution"],
        "epoch": [1, 2, 1, 2, 3],
        "train_loss": [0.6, 0.5, 0.7, 0.6, 0.55],
        "valid_loss": [0.62, 0.56, 0.71, 0.63, 0.6],
        "valid_auc": [0.7, 0.8, 0.65, np.nan, 0.85],
        "seconds": [1.0, 1.0, 2.0, 2.0, 2.0],
    }
)


def points(panel) -> list[list[tuple[float, float]]]:
    return [
        list(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True)) for line in panel.lines
    ]


def test_a_panel_a_metric_and_a_line_a_model_and_part():
    loss, auc = curves_figure(HISTORY).axes
    assert [loss.get_title("left"), auc.get_title("left")] == ["Loss", "AUC"]
    assert points(loss) == [
        [(1, 0.6), (2, 0.5)],
        [(1, 0.62), (2, 0.56)],
        [(1, 0.7), (2, 0.6), (3, 0.55)],
        [(1, 0.71), (2, 0.63), (3, 0.6)],
    ]
    colours = [line.get_color() for line in loss.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_a_missing_value_is_left_out_of_its_line():
    auc = curves_figure(HISTORY).axes[1]
    assert points(auc) == [[(1, 0.7), (2, 0.8)], [(1, 0.65), (3, 0.85)]]


def test_the_key_names_models_and_the_parts_there_are():
    words = [t.get_text() for t in curves_figure(HISTORY).legends[0].texts]
    assert words == ["dot", "convolution", "training", "validation"]
    alone = curves_figure(HISTORY[["epoch", "valid_auc"]].head(2))
    assert [t.get_text() for t in alone.legends[0].texts] == ["validation"]


def test_a_metric_without_a_value_has_no_panel():
    titles = [p.get_title("left") for p in curves_figure(HISTORY.assign(valid_auc=np.nan)).axes]
    assert titles == ["Loss"]


def test_one_epoch_shows_as_points_on_a_whole_epoch():
    panel = curves_figure(HISTORY.head(1)).axes[0]
    assert points(panel) == [[(1, 0.6)], [(1, 0.62)]]
    assert all(line.get_markersize() > 0 for line in panel.lines)
    low, high = panel.get_xlim()
    assert [tick for tick in panel.get_xticks() if low < tick < high] == [1]


def test_epochs_come_in_order_whatever_the_order_of_the_rows():
    panel = curves_figure(HISTORY.tail(3).iloc[::-1]).axes[0]
    assert [x for x, _ in points(panel)[0]] == [1, 2, 3]


def test_words_of_the_panels():
    named = curves_figure(pd.DataFrame({"epoch": [1], "valid_ndcg@10": [0.1], "train_log_loss": [0.5]}))
    assert [p.get_title("left") for p in named.axes] == ["NDCG@10", "Log-loss"]


def test_the_file_is_a_picture_with_ink_and_no_figure_of_pyplots(tmp_path):
    path = tmp_path / "new" / "curves.png"
    draw_curves(HISTORY, path, title="Two models")
    pixels = image.imread(path)
    assert pixels.shape[:2] == (600, 1260)  # two panels of 4.2 inches, 150 pixels an inch
    assert (pixels[..., :3].min(axis=2) < 0.5).mean() > 0.005
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    "history, message",
    [
        (HISTORY.drop(columns="epoch"), "no column 'epoch', only model, train_loss"),
        (HISTORY[["epoch", "seconds"]], "no value to draw; .* received epoch, seconds"),
        (HISTORY.head(0), "no value to draw"),
    ],
)
def test_a_history_with_nothing_to_draw_is_refused(history, message, tmp_path):
    with pytest.raises(InputError, match=message):
        draw_curves(history, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
