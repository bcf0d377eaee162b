"""Compare names and tables of README and CONTRIBUTING with the code. `test_docs.py` runs the code blocks."""

import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import lookcast
from lookcast import cli
from lookcast.paths import shipped
from tests.markdown import CONTRIBUTING, PAGES, README, ROOT, blocks, commands, rows, spans
from tests.page_commands import compose, run, save_workspace
from tests.runs import composed
from tests.test_architecture import ALLOWED, BOTTOM, EVERYTHING

TEXT = README.read_text(encoding="utf-8")
SETTINGS = rows("you want", PAGES["docs/own-photos.md"].partition("## Settings")[2])


class TestReadme:
    def test_length(self):
        assert len(TEXT.splitlines()) <= 180

    def test_pip_installs_this_package(self):
        assert ["pip", "install", "."] in commands(TEXT)
        assert 'name = "lookcast"' in (ROOT / "pyproject.toml").read_text()

    def test_five_lines_of_python(self):
        (block,) = blocks(TEXT, "python")
        assert len(block.splitlines()) <= 5

    def test_commands_of_the_table(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(save_workspace(tmp_path))
        shown = [shlex.split(span) for cell, _ in rows("command", TEXT) for span in spans(cell)]
        assert {words[1] for words in shown} == set(cli.COMMANDS)
        for words in shown:
            run(words, tmp_path)


def train_arguments():
    """Return the arguments in the table of settings: each code span with an override or a flag."""
    use = [span for _, cell in SETTINGS for span in spans(cell)]
    texts = [span.removeprefix("lookcast train ") for span in use]
    return [text for text in texts if "=" in text or text.startswith("-")]


class TestTraining:
    def test_overrides_are_found(self):
        assert len(train_arguments()) >= 12

    @pytest.mark.parametrize("text", train_arguments())
    def test_overrides_compose(self, text):
        compose(shlex.split(text))

    def test_options_of_the_penalty(self):
        row = next(use for _, use in SETTINGS if "photorealism" in use)
        for option in [span for span in spans(row) if span.isalpha()]:
            assert composed("style=x", "data.photos=x", f"loss/photorealism={option}").loss.photorealism

    def test_loss_table(self):
        cfg, table = composed("style=x", "data.photos=x"), rows("term", PAGES["docs/loss.md"])
        assert len(table) == 9
        for _, _, files, keys in table:
            assert all((Path(lookcast.__file__).parent / file).is_file() for file in spans(files))
            for key in spans(keys):
                assert (shipped("conf") / key).is_dir() or OmegaConf.select(cfg, key) is not None, key


class TestContributing:
    TEXT = CONTRIBUTING.read_text(encoding="utf-8")

    def test_import_table_matches_the_architecture_test(self):
        basic, *others = rows("package", self.TEXT)
        assert set(spans(basic[0])) == BOTTOM
        table = {spans(room)[0]: set(spans(imports)) or {imports} for room, _, imports in others}
        # The table leaves out the package itself and the modules with separate rules.
        rules = {room: rooms for room, rooms in ALLOWED.items() if room and "." not in room and room not in BOTTOM}
        allowed = {room: rooms if rooms is EVERYTHING else rooms - BOTTOM - {""} for room, rooms in rules.items()}
        assert {room: rooms - {""} for room, rooms in table.items()} == allowed

    def test_named_folders_exist(self):
        package = Path(lookcast.__file__).parent
        folders = {
            span for _, contents, _ in rows("package", self.TEXT) for span in spans(contents) if span.endswith("/")
        }
        assert len(folders) >= 5
        for folder in folders:
            assert (package / folder).is_dir(), folder
