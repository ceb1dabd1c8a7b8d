"""The README is short, and its ten lines run as they stand."""

import re

from tests.documents import PAGES, ROOT, blocks, run_examples, write_files

README = PAGES["README.md"]


def test_it_is_short():
    assert len(README.read_text().splitlines()) <= 200


def test_the_ten_lines_train_evaluate_and_recommend(tmp_path, monkeypatch, capsys):
    ((_, ten_lines),) = blocks(README, "python")
    assert len(ten_lines.strip().splitlines()) <= 10
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    top = run_examples(README)["top"]
    assert "ndcg@10" in capsys.readouterr().out
    assert top["user"].astype(str).tolist() == ["196"] * 10 + ["22"] * 10
    assert top["rank"].tolist() == [*range(1, 11)] * 2 and set(top["source"]) == {"model"}


def test_its_links_lead_to_files_and_its_picture_is_there():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text())
    assert "docs/images/loop.svg" in targets and "docs/quick-start.md" in targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []
