"""What the README says can be done as it says it."""

import re
import shlex
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import yaml
from omegaconf import OmegaConf
from PIL import Image

import lookcast
from lookcast import cli
from lookcast.cli.export import FORMATS
from lookcast.inference.export import command
from lookcast.paths import shipped
from tests.looks import save_look
from tests.runs import composed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PLACEHOLDERS = {
    "PHOTO": "photo.jpg",
    "STYLE_PHOTO": "style.jpg",
    "FOLDER": "photos",
    "OUT_FOLDER": "out",
    "MASKS": "masks",
    "runs/single_look/DATE/look.safetensors": "look.safetensors",
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    """Lines of the shell blocks, without comments."""
    return [shlex.split(line, comments=True) for block in blocks("bash") for line in block.splitlines()]


def rows(heading):
    """Cells of the table whose first heading this is."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def spans(text):
    """What stands in `backquotes`."""
    return re.findall(r"`([^`]+)`", text)


def train_words():
    """Every override and flag of `lookcast train` that is named anywhere, by the code span it stands in."""
    said = [" ".join(words[2:]) for words in commands() if words[:2] == ["lookcast", "train"]]
    for _, say in rows("you want"):
        said += [span.removeprefix("lookcast train ") for span in spans(say)]
    return [text for text in said if "=" in text or text.startswith("-")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkpoint and photos under the names that the README uses."""
    save_look(tmp_path / "look.safetensors")
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        Image.fromarray(skimage.data.chelsea()[60:124, 100:196]).save(tmp_path / name)
    for name in ("style.jpg", "A.jpg", "B.jpg"):
        Image.fromarray(skimage.data.rocket()[100:164, 300:396]).save(tmp_path / name)
    for name in ("CONTENT.png", "STYLE.png"):
        Image.new("RGB", (96, 64), (0, 0, 255)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(path, source):
    """A photo of the same size whose colours have moved."""
    before, after = (np.array(Image.open(p)).astype(int) for p in (source, path))
    return before.shape == after.shape and np.abs(before - after).mean() > 5


class TestPython:
    def test_there_is_a_block(self):
        assert len(blocks("python")) >= 1

    def test_they_run(self, folder):
        names = {}
        for block in blocks("python"):  # in the order of the page: a later one goes on from an earlier
            (folder / "stylized.jpg").unlink(missing_ok=True)
            exec(compile(block, "README.md", "exec"), names)
            assert changed(folder / "stylized.jpg", folder / "photo.jpg")


class TestShell:
    def test_every_command_is_known(self):
        for words in commands():
            assert words[0] in {"bash", "lookcast", "pip"}, words
            if words[0] == "lookcast":
                assert words[1] in cli.COMMANDS, words

    def test_scripts_exist(self):
        scripts = [words[1] for words in commands() if words[0] == "bash"]
        assert {"scripts/quickstart.sh", "scripts/test.sh"} <= set(scripts)
        for script in scripts:
            subprocess.run([shutil.which("bash"), "-n", ROOT / script], check=True)

    def test_stylize(self, folder, capsys):
        ran = 0
        for words in commands():
            if words[:2] == ["lookcast", "stylize"]:
                argv = [PLACEHOLDERS.get(word, word) for word in words[1:]]
                assert cli.main(argv) == 0, argv
                out = Path(argv[argv.index("-o") + 1])
                pairs = [(out, folder / "photo.jpg")]
                if out.is_dir():
                    pairs = [(out / name, folder / "photos" / name) for name in ("a.jpg", "b.png")]
                for written, source in pairs:
                    assert changed(written, source), argv
                    written.unlink()
                ran += 1
        assert ran >= 5
        assert {path.name for path in (folder / "masks").iterdir()} == {"content", "style"}

    def test_export(self, folder, monkeypatch, capsys):
        said = [words[2:] for words in commands() if words[:2] == ["lookcast", "export"]]
        assert {words[words.index("--format") + 1] for words in said} == set(FORMATS)
        for kind in ("onnx", "pt2"):  # compiled for minutes; their own tests do that
            monkeypatch.setattr(command, f"export_{kind}", lambda _, out, *__: out.touch() or 0.0)
        for words in said:
            assert cli.main(["export", *(PLACEHOLDERS.get(word, word) for word in words)]) == 0, words
            assert Path(words[words.index("-o") + 1]).is_file()

    def test_pip_installs_this(self):
        assert ["pip", "install", "."] in commands()
        assert 'name = "lookcast"' in (ROOT / "pyproject.toml").read_text()


class TestTraining:
    def test_overrides_are_found(self):
        assert len(train_words()) >= 12
        assert "style=PHOTO data.photos=FOLDER" in train_words()

    @pytest.mark.parametrize("text", train_words())
    def test_overrides_compose(self, text):
        words = shlex.split(text)
        assert {word for word in words if word.startswith("-")} <= {"-m", "--cfg", "--help"}
        overrides = [word for word in words if "=" in word]
        # A sweep is each of its values.
        choices = [[f"{key}={value}" for value in values.split(",")] for key, _, values in (o.partition("=") for o in overrides)]  # fmt: skip # noqa: E501
        for chosen in product(*choices):
            given = [f"{key}=x" for key in ("style", "data.photos") if not any(o.startswith(f"{key}=") for o in chosen)]
            cfg = composed(*given, "run_dir=run", *chosen)
            for override in chosen:
                key, _, value = override.partition("=")
                if not (shipped("conf") / key).is_dir():  # an option of a group is known if it composes
                    assert OmegaConf.select(cfg, key) == yaml.safe_load(value)

    def test_options_of_the_penalty(self):
        row = next(say for _, say in rows("you want") if "photorealism" in say)
        for option in [span for span in spans(row) if span.isalpha()]:
            assert composed("style=x", "data.photos=x", f"loss/photorealism={option}").loss.photorealism

    def test_loss_table(self):
        cfg, table = composed("style=x", "data.photos=x"), rows("term")
        assert len(table) == 7
        for _, _, files, keys in table:
            assert all((Path(lookcast.__file__).parent / file).is_file() for file in spans(files))
            for key in spans(keys):
                assert (shipped("conf") / key).is_dir() or OmegaConf.select(cfg, key) is not None, key


class TestPaths:
    def test_links_lead_somewhere(self):
        links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
        assert len(links) >= 2
        for link in links:
            assert (ROOT / link).is_file(), link

    def test_files_that_are_named_exist(self):
        prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
        named = {span for span in spans(prose) if re.fullmatch(r"[\w/]+/\w+\.(py|yaml|sh|md|safetensors)", span)}
        assert len(named) >= 6
        for file in named:
            assert (ROOT / file).is_file() or (Path(lookcast.__file__).parent / file).is_file(), file
