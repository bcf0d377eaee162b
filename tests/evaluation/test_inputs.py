"""Bad and unusual input, from the command line to the report."""

import os
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.reports import linked, opened
from tests.looks import save_look, save_universal
from tests.pair_folders import save_mask, save_outputs
from tests.photo_files import save_photo


class TestBroken:
    @pytest.mark.parametrize(
        ("breaking", "reason"),
        [
            (lambda f, o: (f / "content" / "cat.png").write_bytes(b"cut"), "not a photo"),
            (lambda f, o: (f / "style" / "cat.jpg").unlink(), "no style photo is called 'cat'"),
            (lambda f, o: (f / "dpst" / "cat.png").write_bytes(b"cut"), "not a photo"),
            (lambda f, o: (o / "cat.png").unlink(), "no output is called 'cat'"),
            (lambda f, o: save_mask(f / "content_mask" / "cat.png", size=(64, 64)), "another aspect ratio"),
            (lambda f, o: save_photo(f / "content_mask" / "cat.png"), "are far from each of the nine colours"),
            (lambda f, o: Image.new("RGB", (900, 90)).save(f / "content" / "cat.png"), "another aspect ratio"),
        ],
    )
    def test_pair_is_skipped(self, tmp_path, folder, run, breaking, reason):
        outputs = save_outputs(tmp_path / "outputs")
        breaking(folder, outputs)
        code, _, err = run("--outputs", outputs)
        assert code == 1
        assert err.startswith("lookcast: skipped: cat: ")
        assert reason in err
        assert err.count("\n") == 1
        report, page = opened(tmp_path / "report")
        assert [pair["name"] for pair in report["pairs"]] == ["cup & saucer"]
        assert report["skipped"][0]["pair"] == "cat"
        assert reason in report["skipped"][0]["reason"]
        assert reason in unescape(page)

    @pytest.mark.parametrize("name", ["content/cat.png", "style/cat.jpg", "content_mask/cat.png", "style_mask/cat.png",
                                      "truth/cat.png", "dpst/cat.png"])  # fmt: skip
    @pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
    def test_pair_with_an_irregular_file_is_skipped(self, tmp_path, folder, run, name, kind):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        {"pipe": os.mkfifo, "folder": Path.mkdir, "device": lambda path: path.symlink_to("/dev/zero")}[kind](path)
        code, _, err = run("--outputs", save_outputs(tmp_path / "outputs"), "--limit", 1)
        said = "a folder" if kind == "folder" else "a pipe or a device"
        assert (code, err.count("\n")) == (2, 2)
        assert err.startswith(f"lookcast: skipped: cat: {path}: is {said}, expected a ")

    @pytest.mark.parametrize("kind", ["pipe", "folder"])
    def test_irregular_output_is_skipped(self, tmp_path, run, kind):
        path = save_outputs(tmp_path / "outputs") / "cat.png"
        path.unlink()
        {"pipe": os.mkfifo, "folder": Path.mkdir}[kind](path)
        code, _, err = run("--outputs", path.parent, "--limit", 1)
        assert (code, err.count("\n")) == (2, 2)
        assert f"{path}: is a " in err

    def test_irregular_masks_do_not_block_a_checkpoint(self, tmp_path, folder, run):
        for name in ("content", "style"):
            (folder / f"{name}_mask" / "cat.png").unlink()
            os.mkfifo(folder / f"{name}_mask" / "cat.png")
        checkpoint = save_universal(tmp_path / "u.safetensors")
        code, _, err = run("--checkpoint", checkpoint, "--device", "cpu", "--limit", 1)
        assert (code, err.count("\n")) == (2, 2)
        assert "is a pipe or a device, expected a " in err

    def test_rejects_a_pipe_as_the_teacher(self, tmp_path, run):
        os.mkfifo(tmp_path / "t.npz")
        code, out, err = run("--outputs", save_outputs(tmp_path / "outputs"), "--teacher", tmp_path / "t.npz")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(
            f"lookcast: error: {tmp_path / 't.npz'}: is a pipe or a device, expected a file of weights"
        )

    def test_rejects_pairs_of_which_none_can_be_scored(self, tmp_path, folder, run):
        for file in (folder / "content").iterdir():
            file.write_bytes(b"cut")
        code, out, err = run("--outputs", save_outputs(tmp_path / "outputs"))
        assert (code, out) == (2, "")
        assert err.splitlines()[-1].startswith("lookcast: error: cat: ")
        assert err.endswith("no pair could be scored\n")
        assert not (tmp_path / "report").exists()

    def test_rejects_missing_folders(self, tmp_path, folder, run):
        outputs = save_outputs(tmp_path / "outputs")
        for arguments, pairs, named in (
            (["--outputs", outputs], tmp_path / "no", tmp_path / "no" / "content"),
            (["--outputs", tmp_path / "none"], folder, tmp_path / "none"),
        ):
            code, out, err = run(*arguments, pairs=pairs)
            assert (code, out) == (2, "")
            assert err == f"lookcast: error: {named}: can't be read (No such file or directory)\n"

    @pytest.mark.parametrize("name", ["file", "file/below", 300 * "a", "missing/" + 300 * "a"])
    def test_rejects_a_report_that_can_not_be_written(self, tmp_path, run, name):
        (tmp_path / "file").write_text("")
        code, out, err = run("--outputs", save_outputs(tmp_path / "outputs"), out=tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"lookcast: error: {tmp_path / name}")
        assert "can't be written" in err

    @pytest.mark.parametrize("option", ["--pairs", "--outputs", "--teacher"])
    def test_rejects_names_that_are_too_long(self, tmp_path, run, option):
        outputs = [] if option == "--outputs" else ["--outputs", save_outputs(tmp_path / "outputs")]
        code, out, err = run(*outputs, option, 300 * "a")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"lookcast: error: {300 * 'a'}")


class TestOptions:
    @pytest.mark.parametrize("limit", [0, -1])
    def test_rejects_a_limit_below_one(self, tmp_path, run, limit):
        code, out, err = run("--outputs", save_outputs(tmp_path / "outputs"), "--limit", limit)
        assert (code, out, err) == (2, "", f"lookcast: error: limit: expected at least 1, got {limit}\n")

    @pytest.mark.parametrize("max_side", [0, -5])
    def test_rejects_a_side_below_one(self, tmp_path, run, max_side):
        checkpoint = save_look(tmp_path / "look.safetensors")
        code, out, err = run("--checkpoint", checkpoint, "--device", "cpu", "--max-side", max_side)
        said = f"lookcast: error: max_side: expected a positive number of pixels, got {max_side}\n"
        assert (code, out, err) == (2, "", said)

    @pytest.mark.parametrize(
        "option", [("--max-side", 0), ("--max-side", 100), ("--device", "cpu"), ("--no-masks",), ("--refine", 0)]
    )
    def test_rejects_options_that_do_not_count(self, tmp_path, run, option):
        code, out, err = run("--outputs", save_outputs(tmp_path / "outputs"), *option)
        said = f"lookcast: error: {option[0]}: sets how a checkpoint stylizes, but --outputs are scored unchanged\n"
        assert (code, out, err) == (2, "", said)


def snapshot(folder):
    """Return the content of every file of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestSources:
    """The report never writes over files that the evaluation reads."""

    @pytest.mark.parametrize("where", ["", "report", "content", "dpst", "pictures", "../outputs"])
    def test_report_among_the_sources(self, tmp_path, folder, run, where):
        outputs = save_outputs(tmp_path / "outputs")
        before = snapshot(tmp_path)
        for _ in range(2):  # the second run finds the report of the first
            assert run("--outputs", outputs, out=folder / where)[0] == 0
        assert before.items() <= snapshot(tmp_path).items()
        report, _ = opened(folder / where)
        assert report["columns"] == ["content", "dpst", "output"]
        assert len(report["pairs"]) == 2

    def test_rejects_the_pictures_of_the_report_as_sources(self, tmp_path, run):
        assert run("--outputs", save_outputs(tmp_path / "outputs"))[0] == 0
        report = tmp_path / "report"
        before = snapshot(tmp_path)
        for outputs, pairs in (
            (report / "pictures" / "output", tmp_path / "pairs"),
            (report / "pictures" / "output", report / "pictures"),
        ):
            code, out, err = run("--outputs", outputs, pairs=pairs)
            assert (code, out) == (2, "")
            assert f"{report}: the report would overwrite {report / 'pictures'}" in err
        assert snapshot(tmp_path) == before


ODD_NAMES = {
    **{name: name for name in ('<b>&amp;"' + "'", "a,b;c", "=1+1", "{{ report }}", "%41#?", "ü日")},
    "\x1b[31mred": "\\x1b[31mred",
    "b\udcff": "b\\udcff",
}
"""Stems of files and their names in the report."""


class TestNames:
    def test_odd_names(self, tmp_path, run):
        folder, outputs = tmp_path / "odd", tmp_path / "outputs"
        for name in (*ODD_NAMES, "two\nlines"):
            for path in (folder / "content", folder / "style", folder / "=c<i>", outputs):
                save_photo(path / f"{name}.png")
        (folder / "style" / "two\nlines.png").unlink()
        code, out, err = run("--outputs", outputs, pairs=folder)
        assert code == 1
        assert err.startswith("lookcast: skipped: two\\nlines: ")
        assert err.count("\n") == 1
        assert len(out.splitlines()) == 6
        report, page = opened(tmp_path / "report")
        assert sorted(pair["name"] for pair in report["pairs"]) == sorted(ODD_NAMES.values())
        links = linked(page)
        assert links == {path for pair in report["pairs"] for path in pair["pictures"].values()}
        assert all((tmp_path / "report" / link).is_file() for link in links)
        assert "<b>&amp;" not in page
        assert "=c<i>" not in page
