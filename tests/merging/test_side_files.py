"""What lies beside the weights comes along; what a link shows from elsewhere does not."""

from __future__ import annotations

from pathlib import Path

from merging.side_files import carry


def test_a_link_out_of_the_model_is_named_and_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("secret")
    source, out = tmp_path / "models" / "deep" / "a", tmp_path / "out"
    source.mkdir(parents=True)
    out.mkdir()
    (source / "notes.txt").write_text("mine")
    (source / "again.txt").symlink_to(source / "notes.txt")
    (source / "stolen.txt").symlink_to(secret)
    (source / "dangling.txt").symlink_to(tmp_path / "nowhere")
    notes = carry(source, out, tokenizer=True)
    assert {file.name for file in out.iterdir()} == {"notes.txt", "again.txt"}
    assert notes == [f"stolen.txt of {source} is a link to a file elsewhere: not carried along"]


def test_a_hub_caches_links_are_followed(tmp_path: Path) -> None:
    snapshot, blobs, out = tmp_path / "snapshots" / "1", tmp_path / "blobs", tmp_path / "out"
    for folder in (snapshot, blobs, out):
        folder.mkdir(parents=True)
    (blobs / "f00").write_text("here")
    (snapshot / "vocab.txt").symlink_to("../../blobs/f00")
    assert carry(snapshot, out, tokenizer=True) == []
    assert (out / "vocab.txt").read_text() == "here"
