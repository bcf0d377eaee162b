"""Run or check the commands that the pages show, in a folder with small files under the names that the pages use."""

import re
import shutil
import subprocess
import sys
import tomllib
from itertools import product

import imageio_ffmpeg
import numpy as np
import skimage.data
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from PIL import Image

from lookcast import cli
from lookcast.paths import shipped
from tests.clips import save_clip
from tests.encoders.test_teacher import teacher_arrays
from tests.looks import save_look
from tests.markdown import ROOT
from tests.pair_folders import save_outputs, save_pairs
from tests.runs import composed, save_masks, save_photos

PLACEHOLDERS = {
    "PHOTO": "photo.jpg", "STYLE_PHOTO": "style.jpg", "FOLDER": "photos", "OUT_FOLDER": "out", "OUT": "out",
    "MASKS": "masks_out", "BEFORE": "photo.jpg", "AFTER": "after.jpg", "PAIRS": "pairs", "OUTPUTS": "outputs",
    "SHARDS": "shards", "FRAMES": "frames", "CLIPS": "clips", "NAME": "name",
    "runs/single_look/DATE/look.safetensors": "look.safetensors",
}  # fmt: skip
WRITES = {"-o", "--save-look", "--heatmap", "--save-masks"}
"""Options that name an output."""
FAST_SCRIPTS = {"scripts/global_transfer.py"}
"""Scripts that run; the others train, install or measure for minutes, and are checked only."""
SLOW = {"onnx", "pt2"}
"""Formats of `lookcast export` that take a minute; a nightly test runs them."""


def save_workspace(folder):
    """Write files under the names that the pages use."""
    for name in ("look", "fitted"):
        save_look(folder / f"{name}.safetensors")
    for name in ("photos", "clips", "frames"):
        (folder / name).mkdir()
    cat, rocket = skimage.data.chelsea()[60:124, 100:196], skimage.data.rocket()[100:164, 300:396]
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.png", *(f"frames/{n:05d}.png" for n in (1, 2, 3))):
        Image.fromarray(cat).save(folder / name)
    Image.fromarray((cat * (0.9, 0.7, 0.5)).astype(np.uint8)).save(folder / "after.jpg", quality=95)
    for name in ("style.jpg", "A.jpg", "B.jpg"):
        Image.fromarray(rocket).save(folder / name)
    for name in ("CONTENT.png", "STYLE.png", "A.png", "B.png"):
        Image.new("RGB", (96, 64), (0, 0, 255)).save(folder / name)
    for name in ("CLIP.mp4", "CLIP.mov", "clips/clip.mp4"):
        save_clip(folder / name)
    save_pairs(folder / "pairs")
    save_outputs(folder / "outputs")
    np.savez(folder / "vgg19_pca.npz", **teacher_arrays())
    save_photos(folder / "shard_photos", 3)
    save_masks(folder / "masks", 3)
    return folder


def state(folder):
    """Return the time of the last change of each file."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def run_lookcast(words, folder):
    """Run a command, and check that it writes its outputs. A training is composed, because it takes too long."""
    name, *argv = words
    assert name in cli.COMMANDS, words
    if name == "train":
        compose(argv)
        return
    if name == "web":  # runs until it is stopped; tests/web starts the server
        cli.COMMANDS[name].build_parser().parse_args(argv)
        return
    if name == "shard":
        argv = ["shard_photos" if word in {"photos", "photo.jpg"} else word for word in argv]
    if name == "fit":
        argv += ["--steps", "3"]
    outputs = [folder / argv[n + 1] for n, word in enumerate(argv[:-1]) if word in WRITES]
    for output in outputs:
        shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
    before = state(folder)
    assert cli.main([name, *argv]) == 0, words
    if name == "doctor":
        return
    after = state(folder)
    written = [path for path, time in after.items() if before.get(path) != time]
    assert written, words
    for output in outputs:
        parent = output.parent if "%" in output.name else output
        assert any(path == output or parent in path.parents for path in written), (words, output)
    if name == "stylize" or (name == "fit" and "--method" not in argv):  # three steps of pixels change little
        for path in written:
            if path.suffix in {".jpg", ".png"} and not {"masks_out", "lookcast-demo"} & set(path.parts):
                assert_stylized(path)


def assert_stylized(path):
    """Check that a photo, which is a stylized copy of the cat, has its size and other colours."""
    before = skimage.data.chelsea()[60:124, 100:196].astype(int)
    after = np.array(Image.open(path)).astype(int)
    assert after.shape == before.shape, path
    assert np.abs(before - after).mean() > 5, path


def compose(words):
    """Compose the config of a training with the overrides of a command; a sweep stands for all its values."""
    flags = {word for word in words if word.startswith("-")}
    assert flags <= {"-m", "--cfg", "--help"}, words
    overrides = [word for word in words if "=" in word and not word.startswith(("-", "hydra"))]
    choices = [
        [override] if "(" in value else [f"{key}={choice}" for choice in value.split(",")]
        for override in overrides
        for key, _, value in [override.partition("=")]
    ]
    for chosen in product(*choices):
        given = [f"{key}=x" for key in ("style", "data.photos") if not any(o.startswith(f"{key}=") for o in chosen)]
        # An expression such as tag(log,interval(1e-4,1e-2)) needs its sweeper, so only its key is checked.
        plain = [override for override in chosen if "(" not in override]
        cfg = composed(*given, *(["run_dir=run"] if not any(o.startswith("run_dir=") for o in chosen) else []), *plain)
        for override in chosen:
            key, _, value = override.partition("=")
            if "(" in value:
                assert OmegaConf.select(cfg, key) is not None, override
            elif not (shipped("conf") / key).is_dir():  # composing has already checked the option of a group
                assert OmegaConf.select(cfg, key) == OmegaConf.select(OmegaConf.from_dotlist([override]), key)


def check_install(words):
    """Check that `pip install` names this package and extras that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for target in words:
        requirement = Requirement(target.replace(".", "lookcast", 1) if target.startswith(".") else target)
        assert requirement.name == "lookcast", words
        assert requirement.extras <= project["optional-dependencies"].keys(), words


def check_script(words):
    """Check that a script exists, that bash can parse it, and that it has the flags of the command."""
    script = ROOT / words[0]
    assert script.is_file(), words
    text = script.read_text()
    if script.suffix == ".sh":
        subprocess.run([shutil.which("bash"), "-n", script], check=True)
    flags = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert all(re.search(rf"{flag}(?![\w-])", text) for flag in flags), (words, flags)


def run(words, folder):
    """Run or check one command of a page."""
    while "=" in words[0]:  # a variable before the command
        words = words[1:]
    program, *rest = words
    if program == "lookcast":
        run_lookcast([PLACEHOLDERS.get(word, word) for word in rest], folder)
    elif program == "pip":
        assert rest[0] == "install", words
        check_install(rest[1:])
    elif program in {"bash", "python"}:
        check_script(rest)
        if rest[0] in FAST_SCRIPTS:
            subprocess.run([sys.executable, ROOT / rest[0], *(PLACEHOLDERS.get(w, w) for w in rest[1:])], check=True)
    elif program == "sbatch":
        script = next(word for word in rest if not word.startswith("-"))
        assert (ROOT / script).is_file(), words
        compose(rest[rest.index(script) + 1 :])
    elif program == "torchrun":
        assert rest[rest.index("-m") + 1 :][:2] == ["lookcast.cli", "train"], words
        compose(rest[rest.index("train") + 1 :])
    elif program == "ffmpeg":
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *rest], check=True)
        assert (folder / rest[-1]).stat().st_size > 0
    elif program == "apt-get":
        text = (ROOT / "scripts/slurm/try_local.sh").read_text()
        assert rest[0] == "install", words
        assert all(package in text for package in rest[1:]), words
    else:
        raise AssertionError(f"no test runs the program {program}: {words}")


def is_slow(words):
    """Return whether a command exports a network, which takes a minute."""
    return words[:2] == ["lookcast", "export"] and words[words.index("--format") + 1] in SLOW
