import pytest

from lookcast import cli
from lookcast.inference.export import onnx, pt2
from lookcast.photos.read import read_photo
from tests.looks import save_look
from tests.photo_files import save_photo


@pytest.fixture
def files(tmp_path):
    for name in ("in/a.png", "in/b.JPG", "style.png"):
        save_photo(tmp_path / name)
    save_look(tmp_path / "look.safetensors")
    return tmp_path


@pytest.fixture
def run(files, capsys, monkeypatch):
    """`lookcast export` in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(files)

    def export(*arguments):
        argv = ["export", "--checkpoint", "look.safetensors", "--device", "cpu", *map(str, arguments)]
        return cli.main(argv), *capsys.readouterr()

    return export


class TestExport:
    def test_cube(self, files, run):
        code, out, err = run("--format", "cube", "--photo", "in", "--photo", "style.png", "--size", 17, "-o", "a.cube")
        assert (code, err) == (0, "")
        assert out.startswith("a.cube: the table differs from the stylized photos by ")
        assert "\nLUT_3D_SIZE 17\n" in (files / "a.cube").read_text()

    def test_hald(self, files, run):
        code, out, err = run("--format", "hald", "--photo", "in", "--size", 36, "-o", "a.png")
        assert (code, err) == (0, "")
        assert out.startswith("a.png: the table differs from the stylized photos by ")
        assert read_photo(files / "a.png").pixels.shape == (216, 216, 3)

    @pytest.mark.parametrize("kind", ["onnx", "pt2"])
    def test_hands_over_what_was_given(self, run, monkeypatch, kind):
        seen = []
        module = {"onnx": onnx, "pt2": pt2}[kind]
        monkeypatch.setattr(module, f"export_{kind}", lambda *given: seen.append(given) or 3e-6)
        assert run("--format", kind, "--style", "style.png", "--weights", "2", "--photo", "in", "-o", f"a.{kind}") == (
            0, f"a.{kind}: differs from PyTorch by at most 3.0e-06\n", "",
        )  # fmt: skip
        (stylizer, out, styles, photos), = seen  # fmt: skip
        assert stylizer.device.type == "cpu"
        assert (str(out), [style.weight for style in styles], len(photos)) == (f"a.{kind}", [2.0], 2)

    def test_overwrites_an_input_only_when_asked(self, files, run, tmp_path):
        (files / "look.safetensors").rename(files / "look.cube")
        (files / "look.safetensors").symlink_to(files / "look.cube")
        before = (files / "look.cube").read_bytes()
        arguments = ("--format", "cube", "--photo", "in", "--size", 17, "-o", "look.cube")
        line = "lookcast: error: look.cube: is the checkpoint; --overwrite allows writing over it\n"
        assert run(*arguments) == (2, "", line)
        assert (files / "look.cube").read_bytes() == before
        assert run(*arguments, "--overwrite")[0] == 0
        assert (files / "look.cube").read_text().startswith("TITLE")

    def test_photos_are_kept(self, files, run):
        (files / "a.cube").hardlink_to(files / "in" / "a.png")
        code, _, err = run("--format", "cube", "--photo", "in", "-o", "a.cube")
        assert (code, err) == (
            2, "lookcast: error: a.cube: is one of the photos to read; --overwrite allows writing over it\n"
        )  # fmt: skip


class TestRefuses:
    """One line on stderr, exit code 2, nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ("--format onnx -o a.pt2", "a.pt2: --format onnx writes a file whose name ends with .onnx"),
            ("--format cube --photo in -o a", "a: --format cube writes a file whose name ends with .cube"),
            ("--format hald --photo in -o a.cube", "a.cube: --format hald writes a file whose name ends with .png"),
            ("--format hald --photo in --size 33 -o a.png", "size: expected one of 36, 64, 144 for .png, got 33"),
            ("--format hald -o a.png", "--photo: --format hald needs a photo or a folder of photos"),
            ("--format onnx --size 17 -o a.onnx", "--size: needs --format cube or hald"),
            ("--format onnx --weights 1,2 -o a.onnx", "--weights: needs --style"),
            ("--format cube -o a.cube", "--photo: --format cube needs a photo or a folder of photos"),
            ("--format cube --photo in --size 32 -o a.cube", "size: expected one of 17, 33, 65 for .cube, got 32"),
            ("--format cube --photo in --style style.png -o a.cube", "style: the bilateral generator has a"),
            ("--format onnx --style style.png -o a.onnx", "style: the bilateral generator has a"),
            ("--format cube --photo no.jpg -o a.cube", "no.jpg: no such photo"),
            ("--format cube --photo in -o a.cube", "look.safetensors"),
            ("--format cube --photo empty -o a.cube", "empty: no photos directly in this folder"),
            ("--format onnx --device cuda -o a.onnx", "device: "),
            ("--format onnx -o style.png/a.onnx", "style.png/a.onnx: can't be written, because style.png is no folder"),
        ],
    )
    def test_bad_input(self, files, run, arguments, reason):
        (files / "empty").mkdir()
        if reason == "look.safetensors":
            (files / "look.safetensors").write_bytes(b"broken")
        before = sorted(files.rglob("*"))
        code, out, err = run(*arguments.split())
        assert (code, out) == (2, "")
        assert err.startswith("lookcast: error: ")
        assert reason in err
        assert err.count("\n") == 1
        assert sorted(files.rglob("*")) == before

    @pytest.mark.parametrize("arguments", [["-o", "a.onnx"], ["--format", "onnx"], ["--format", "pdf", "-o", "a.pdf"]])
    def test_usage(self, run, capsys, arguments):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
        assert "lookcast export: error: " in capsys.readouterr().err
