"""What a skill's sources give: three splits that share no text, and passages of documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.pipelines.growth.material import PASSAGE, Amounts, Skill, documents, material, skills_in

FEW = Amounts(12, 4, 4)


def rows(path: Path, count: int, **more: str) -> Path:
    path.write_text(
        "".join(
            json.dumps(
                {"question": f"What is {n} + 1?", "answer": str(n + 1), "solution": f"{n} + 1 = {n + 1}.", **more}
            )
            + "\n"
            for n in range(count)
        )
    )
    return path


def test_a_skill_names_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows(Path("a+b.jsonl"), 1)
    assert skills_in(["sums=arithmetic+dates"]) == [Skill("sums", ("arithmetic", "dates"))]
    assert skills_in(["odd=a+b.jsonl"]) == [Skill("odd", ("a+b.jsonl",))]
    assert len(skills_in(["all=mixed2"])[0].sources) == 12


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["arithmetic"], "'arithmetic' is not NAME=TASK"),
        (["../x=arithmetic"], "is not NAME=TASK"),
        (["a=arithmetic", "a=dates"], "'a' is named twice"),
        (["a=arithmetic+"], "a source is empty"),
        ([], "name at least one"),
    ],
)
def test_what_is_no_skill_is_refused(texts: list[str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        skills_in(texts)


def test_a_generated_task_brings_its_solutions_in_equal_shares() -> None:
    found = material(Skill("sums", ("arithmetic", "shopping")), FEW, 0, None)
    assert [one.task for one in found.train] == ["arithmetic"] * 6 + ["shopping"] * 6
    assert all(one.solution and one.answer for one in found.train)
    assert (len(found.validation), len(found.test)) == (4, 4)
    assert {one.split for one in found.test} == {"test"}


def test_a_file_without_splits_is_divided_by_the_questions_texts(tmp_path: Path) -> None:
    file = rows(tmp_path / "own.jsonl", 200)
    found = material(Skill("own", (str(file),)), FEW, 0, None)
    assert [len(found.train), len(found.validation), len(found.test)] == [12, 4, 4]
    texts = [{one.question for one in part} for part in (found.train, found.validation, found.test)]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]
    assert found.train[0].solution.endswith(f"= {found.train[0].answer}.")
    assert "no splits: eight tenths" in found.notes[0]
    again = material(Skill("own", (str(file),)), FEW, 0, None)
    assert again.train == found.train
    assert material(Skill("own", (str(file),)), FEW, 1, None).train != found.train


def test_splits_that_the_file_has_stay(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    parts = [rows(tmp_path / name, 40, split=name).read_text() for name in ("train", "test")]
    file.write_text(parts[0] + parts[1].replace("What is", "How much is"))
    found = material(Skill("own", (str(file),)), FEW, 0, None)
    assert all(one.question.startswith("How much") for one in found.test)
    assert all(one.question.startswith("What") for one in [*found.train, *found.validation])


def test_documents_become_passages_that_are_never_too_long(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.md").write_text("one\n\ntwo\n\n" + "word " * 1_000 + "\n\n" + "x" * 4_000)
    (tmp_path / "deep" / "b.txt").write_text("last")
    found = documents(tmp_path)
    assert found is not None
    assert max(map(len, found)) <= PASSAGE
    assert "".join(found).replace(" ", "").replace("\n", "") == "onetwo" + "word" * 1_000 + "x" * 4_000 + "last"
    assert found[0].startswith("one\n\ntwo")


def test_a_folder_of_questions_with_a_readme_is_no_folder_of_documents(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("About these questions.")
    rows(tmp_path / "train.jsonl", 3)
    assert documents(tmp_path) is None
    assert documents(tmp_path / "train.jsonl") is None


def test_a_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(BadInput, match=r"a\.txt: no text in UTF-8: .* at byte 3"):
        documents(tmp_path)
    (tmp_path / "a.txt").write_text("  \n\n ")
    with pytest.raises(BadInput, match="the documents hold no text"):
        documents(tmp_path)
