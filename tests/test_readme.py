"""Run the code of the README; compare names and tables of README and CONTRIBUTING with the code."""

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
from lookcast.inference.export import onnx, pt2
from lookcast.paths import shipped
from tests.looks import save_look
from tests.runs import composed
from tests.test_architecture import ALLOWED, BOTTOM, EVERYTHING

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PLACEHOLDERS = {
    "PHOTO": "photo.jpg",
    "STYLE_PHOTO": "style.jpg",
    "FOLDER": "photos",
    "OUT_FOLDER": "out",
    "MASKS": "masks",
    "BEFORE": "photo.jpg",
    "AFTER": "photo.jpg",
    "runs/single_look/DATE/look.safetensors": "look.safetensors",
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    """Return the lines of the shell blocks as words, without comments."""
    return [shlex.split(line, comments=True) for block in blocks("bash") for line in block.splitlines()]


def prose():
    """Return the README without its code blocks."""
    return re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)


def rows(heading, page=README):
    """Return the rows of the table whose first column has this heading."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def spans(text):
    """Return the code spans of a text, without their backquotes."""
    return re.findall(r"`([^`]+)`", text)


def train_arguments():
    """Return the arguments of every `lookcast train` command and of every code span with an override or a flag."""
    texts = [" ".join(words[2:]) for words in commands() if words[:2] == ["lookcast", "train"]]
    for _, use in rows("you want"):
        texts += [span.removeprefix("lookcast train ") for span in spans(use)]
    return [text for text in texts if "=" in text or text.startswith("-")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a checkpoint and photos under the names that the README uses."""
    for name in ("look", "fitted"):
        save_look(tmp_path / f"{name}.safetensors")
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        Image.fromarray(skimage.data.chelsea()[60:124, 100:196]).save(tmp_path / name)
    for name in ("style.jpg", "A.jpg", "B.jpg"):
        Image.fromarray(skimage.data.rocket()[100:164, 300:396]).save(tmp_path / name)
    for name in ("CONTENT.png", "STYLE.png"):
        Image.new("RGB", (96, 64), (0, 0, 255)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_stylized(path, source):
    """Return whether a photo has the size of its source and other colours."""
    before, after = (np.array(Image.open(p)).astype(int) for p in (source, path))
    return before.shape == after.shape and np.abs(before - after).mean() > 5


class TestPython:
    def test_there_is_a_block(self):
        assert len(blocks("python")) >= 1

    def test_blocks_run(self, folder):
        names = {}
        for block in blocks("python"):  # in the order of the page: later blocks use the names of earlier ones
            (folder / "stylized.jpg").unlink(missing_ok=True)
            exec(compile(block, "README.md", "exec"), names)
            assert is_stylized(folder / "stylized.jpg", folder / "photo.jpg")


class TestShell:
    def test_commands_exist(self):
        for words in commands():
            assert words[0] in {"bash", "lookcast", "pip"}, words
            if words[0] == "lookcast":
                assert words[1] in cli.COMMANDS, words

    def test_flags_exist(self, capsys):
        for name in set(cli.COMMANDS) - {"train"}:  # Hydra has its own help
            with pytest.raises(SystemExit):
                cli.main([name, "--help"])
        known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
        flags = {word for span in spans(prose()) for word in span.split() if word.startswith("--")}
        assert len(flags) >= 12
        assert flags <= known | {"--cfg", "--logdir"}  # of Hydra and of TensorBoard

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
                    assert is_stylized(written, source), argv
                    written.unlink()
                ran += 1
        assert ran >= 5
        assert {path.name for path in (folder / "masks").iterdir()} == {"content", "style"}

    def test_export(self, folder, monkeypatch, capsys):
        calls = [words[2:] for words in commands() if words[:2] == ["lookcast", "export"]]
        assert {words[words.index("--format") + 1] for words in calls} == set(FORMATS)
        for module, name in ((onnx, "export_onnx"), (pt2, "export_pt2")):  # minutes; tests/inference/export runs them
            monkeypatch.setattr(module, name, lambda _, out, *__, **___: out.touch() or 0.0)
        for words in calls:
            assert cli.main(["export", *(PLACEHOLDERS.get(word, word) for word in words)]) == 0, words
            assert Path(words[words.index("-o") + 1]).is_file()

    def test_fit(self, folder, capsys):
        calls = [words[1:] for words in commands() if words[:2] == ["lookcast", "fit"]]
        assert calls
        for words in calls:
            assert cli.main([PLACEHOLDERS.get(word, word) for word in words] + ["--steps", "3"]) == 0, words
        assert (folder / "fitted.safetensors").is_file()
        assert is_stylized(folder / "fitted.jpg", folder / "photo.jpg")

    def test_match(self, folder, capsys):
        calls = [words[1:] for words in commands() if words[:2] == ["lookcast", "match"]]
        assert calls
        for words in calls:
            assert cli.main([PLACEHOLDERS.get(word, word) for word in words]) == 0, words
            assert Path(words[words.index("-o") + 1]).is_file()
        assert (folder / "errors.png").is_file()

    def test_pip_installs_this_package(self):
        assert ["pip", "install", "."] in commands()
        assert 'name = "lookcast"' in (ROOT / "pyproject.toml").read_text()


class TestTraining:
    def test_overrides_are_found(self):
        assert len(train_arguments()) >= 12
        assert "style=PHOTO data.photos=FOLDER" in train_arguments()

    @pytest.mark.parametrize("text", train_arguments())
    def test_overrides_compose(self, text):
        words = shlex.split(text)
        assert {word for word in words if word.startswith("-")} <= {"-m", "--cfg", "--help"}
        overrides = [word for word in words if "=" in word]
        # A sweep stands for one run for each of its values.
        choices = [[f"{key}={value}" for value in values.split(",")] for key, _, values in (o.partition("=") for o in overrides)]  # fmt: skip # noqa: E501
        for chosen in product(*choices):
            given = [f"{key}=x" for key in ("style", "data.photos") if not any(o.startswith(f"{key}=") for o in chosen)]
            cfg = composed(*given, "run_dir=run", *chosen)
            for override in chosen:
                key, _, value = override.partition("=")
                if not (shipped("conf") / key).is_dir():  # composing has already checked the option of a group
                    assert OmegaConf.select(cfg, key) == yaml.safe_load(value)

    def test_options_of_the_penalty(self):
        row = next(use for _, use in rows("you want") if "photorealism" in use)
        for option in [span for span in spans(row) if span.isalpha()]:
            assert composed("style=x", "data.photos=x", f"loss/photorealism={option}").loss.photorealism

    def test_loss_table(self):
        cfg, table = composed("style=x", "data.photos=x"), rows("term")
        assert len(table) == 9
        for _, _, files, keys in table:
            assert all((Path(lookcast.__file__).parent / file).is_file() for file in spans(files))
            for key in spans(keys):
                assert (shipped("conf") / key).is_dir() or OmegaConf.select(cfg, key) is not None, key

    @pytest.mark.parametrize("page", ["README.md", "docs/training.md", "docs/cluster.md"])
    def test_config_keys_exist(self, page):
        cfg = composed("style=x", "data.photos=x")
        words = [word.partition("=")[0] for span in spans((ROOT / page).read_text()) for word in span.split()]
        keys = {word for word in words if re.fullmatch(r"\w+(\.\w+)+", word) and word.partition(".")[0] in cfg}
        assert keys
        for key in keys:
            assert OmegaConf.select(cfg, key, default="missing") != "missing", key


class TestPaths:
    def test_links_have_targets(self):
        links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
        assert len(links) >= 2
        headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
        anchors = {"#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        for link in links:
            assert link in anchors or (ROOT / link).is_file(), link

    def test_named_files_exist(self):
        files = {span for span in spans(prose()) if re.fullmatch(r"[\w/]+/\w+\.(py|yaml|sh|md|safetensors)", span)}
        assert len(files) >= 6
        for file in files:
            assert (ROOT / file).is_file() or (Path(lookcast.__file__).parent / file).is_file(), file


class TestContributing:
    def test_import_table_matches_the_architecture_test(self):
        basic, *others = rows("package", CONTRIBUTING)
        assert set(spans(basic[0])) == BOTTOM
        table = {spans(room)[0]: set(spans(imports)) or {imports} for room, _, imports in others}
        # The table leaves out the package itself and the modules with separate rules.
        rules = {room: rooms for room, rooms in ALLOWED.items() if room and "." not in room and room not in BOTTOM}
        allowed = {room: rooms if rooms is EVERYTHING else rooms - BOTTOM - {""} for room, rooms in rules.items()}
        assert {room: rooms - {""} for room, rooms in table.items()} == allowed

    def test_named_folders_exist(self):
        package = Path(lookcast.__file__).parent
        folders = {span for _, contents, _ in rows("package", CONTRIBUTING) for span in spans(contents)}
        assert len(folders) >= 5
        for folder in folders:
            assert (package / folder).is_dir(), folder
