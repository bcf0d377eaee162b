"""`lookcast stylize` without `-o`, and `lookcast stylize --demo`."""

import numpy as np
import pytest
from PIL import Image

from lookcast import cli, examples
from lookcast.photos.read import read_srgb
from tests.looks import save_look, save_universal
from tests.photo_files import save_photo


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_universal(tmp_path_factory.mktemp("checkpoint") / "all.safetensors")


@pytest.fixture
def style(tmp_path):
    return save_photo(tmp_path / "styles" / "warm.light.png", "coffee")


class TestWithoutOut:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("photo.jpg", "photo_warm.light.jpg"),
            ("photo.PNG", "photo_warm.light.PNG"),
            ("a.b.webp", "a.b_warm.light.webp"),
            ("photo.bmp", "photo_warm.light.jpg"),
        ],
    )
    def test_known_value(self, tmp_path, run, style, name, expected):
        photo = save_photo(tmp_path / "in" / name)
        before = photo.read_bytes()
        written = tmp_path / "in" / expected
        assert run(photo, "--style", style) == (0, f"{written}\n", "")
        assert sorted(path.name for path in written.parent.iterdir()) == sorted([name, expected])
        assert photo.read_bytes() == before
        run(photo, "--style", style, "-o", tmp_path / f"out{written.suffix}")
        assert written.read_bytes() == (tmp_path / f"out{written.suffix}").read_bytes()

    def test_a_number_is_added_to_a_name_that_is_taken(self, tmp_path, run, style):
        photo = save_photo(tmp_path / "photo.png")
        (tmp_path / "photo_warm.light.png").write_bytes(b"mine")
        for number in (2, 3):
            written = tmp_path / f"photo_warm.light-{number}.png"
            assert run(photo, "--style", style) == (0, f"{written}\n", "")
            assert Image.open(written).size == (96, 64)
        assert (tmp_path / "photo_warm.light.png").read_bytes() == b"mine"

    def test_a_file_that_appears_meanwhile_is_kept(self, tmp_path, run, style, monkeypatch):
        from lookcast.inference import photo_files

        photo, taken = save_photo(tmp_path / "photo.png"), tmp_path / "photo_warm.light.png"
        to_srgb = photo_files.to_srgb

        def while_it_runs(*arguments):
            taken.write_bytes(b"mine")
            return to_srgb(*arguments)

        monkeypatch.setattr(photo_files, "to_srgb", while_it_runs)
        assert run(photo, "--style", style) == (2, "", f"lookcast: error: {taken}: can't be written (File exists)\n")
        assert taken.read_bytes() == b"mine"

    def test_several_styles(self, tmp_path, run, style):
        photo, other = save_photo(tmp_path / "photo.png"), save_photo(tmp_path / "cat.png")
        assert run(photo, "--style", style, "--style", other)[1] == f"{tmp_path / 'photo_warm.light_cat.png'}\n"

    def test_a_single_look_gives_the_name_of_its_checkpoint(self, tmp_path, capsys):
        photo, look = save_photo(tmp_path / "photo.png"), save_look(tmp_path / "sepia.safetensors")
        assert cli.main(["stylize", str(photo), "--checkpoint", str(look)]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'photo_sepia.png'}\n"

    def test_rejects_several_photos_and_resume(self, tmp_path, run, style):
        photos = [save_photo(tmp_path / "in" / name) for name in ("a.png", "b.png")]
        for given in (photos, [tmp_path / "in"], [tmp_path / "%03d.png"]):
            code, out, err = run(*given, "--style", style)
            reason = "-o: several photos, a folder or a sequence of images need -o OUT"
            assert (code, out, err) == (2, "", f"lookcast: error: {reason}\n")
        assert run(photos[0], "--style", style, "--resume")[2].startswith("lookcast: error: --resume: needs -o")
        assert len(list((tmp_path / "in").iterdir())) == 2


class TestDemo:
    def test_known_value(self, tmp_path, run, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "lookcast-demo").mkdir()
        code, out, _ = run("--demo")
        folder = tmp_path / "lookcast-demo-2"
        names = sorted(f"{content}_{style}.jpg" for content in examples.contents() for style in examples.styles())
        assert code == 0
        assert out.startswith("open lookcast-demo-2/without_masks.jpg: ")
        assert str(examples.styles()["sunset"]) in out
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lookcast-demo", "lookcast-demo-2"]
        for kind in ("without_masks", "with_masks"):
            assert sorted(path.name for path in (folder / kind).iterdir()) == names
            assert Image.open(folder / f"{kind}.jpg").size == (7 * 304 - 4, 5 * 204 - 4)
        plain, masked = (read_srgb(folder / kind / "city_desert.jpg") for kind in ("without_masks", "with_masks"))
        assert not np.array_equal(plain, masked)
        content, style = examples.contents()["city"], examples.styles()["desert"]
        for kind, options in (("without_masks", ()), ("with_masks", ("--auto-masks", "scenes"))):
            assert run(content, "--style", style, "-o", tmp_path / "one.jpg", *options)[0] == 0
            # The threads of the demo may sum in another order: one level before JPEG, a few levels after it.
            difference = read_srgb(tmp_path / "one.jpg").astype(int) - read_srgb(folder / kind / "city_desert.jpg")
            assert np.abs(difference).max() <= 8
            assert np.abs(difference).mean() < 0.5

    def test_rejects_what_does_not_suit_it(self, tmp_path, run, style, capsys):
        assert run("--demo", style)[2].endswith("so it excludes PHOTO\n")
        assert run("--demo", "--style", style)[2].endswith("so it excludes --style\n")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "a.txt").touch()
        assert run("--demo", "-o", tmp_path / "full")[0] == 2
        assert run("--demo", "-o", style)[:2] == (2, "")
        look = save_look(tmp_path / "look.safetensors")
        assert cli.main(["stylize", "--demo", "-o", str(tmp_path / "new"), "--checkpoint", str(look)]) == 2
        assert capsys.readouterr().err == "lookcast: error: --demo: needs a checkpoint that takes a style photo\n"
        assert not (tmp_path / "new").exists()
