import subprocess

import colour
import imageio_ffmpeg
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.inference.export.cube import export_cube
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.lut import apply_lut
from lookcast.structures import StyleInput
from tests.looks import Negative, look, negative, universal_look

PHOTO = skimage.data.coffee()[::2, ::2]
STYLE = skimage.data.rocket()[::2, ::2]


@pytest.fixture
def stylizer():
    return Stylizer(look(), {"licence": "tests “only”"}, "cpu")


def read(path):
    return colour.io.read_LUT_IridasCube(str(path))


def table(path):
    """Read a `.cube` file independently of other readers, as `apply_lut` takes it."""
    lines = [line for line in path.read_text().splitlines() if line[0].isdigit()]
    size = round(len(lines) ** (1 / 3))
    return torch.tensor([[float(v) for v in line.split()] for line in lines]).view(size, size, size, 3)


def applied(path, pixels):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return apply_lut(table(path), image)[0].permute(1, 2, 0).numpy()


class TestFile:
    def test_header(self, tmp_path, stylizer):
        export_cube(stylizer, tmp_path / "a look.cube", [PHOTO], size=17)
        lines = (tmp_path / "a look.cube").read_bytes().decode("ascii").splitlines()
        assert lines[:6] == [
            'TITLE "a look"',
            "# made by lookcast for colours encoded as sRGB",
            "# terms: tests ?only?",
            "LUT_3D_SIZE 17",
            "DOMAIN_MIN 0.0 0.0 0.0",
            "DOMAIN_MAX 1.0 1.0 1.0",
        ]
        assert len(lines) == 6 + 17**3

    def test_title(self, tmp_path, stylizer):
        export_cube(stylizer, tmp_path / "a.cube", [PHOTO], size=17, title='"Sunset"\nfrom Düsseldorf')
        assert (tmp_path / "a.cube").read_text().startswith("TITLE \"'Sunset' from D?sseldorf\"\n#")

    @pytest.mark.parametrize("size", [17, pytest.param(65, marks=pytest.mark.nightly)])
    def test_colour_science_reads_it(self, tmp_path, stylizer, size):
        export_cube(stylizer, tmp_path / "a.cube", [PHOTO], size=size)
        lut = read(tmp_path / "a.cube")
        assert lut.name == "a"
        assert lut.size == size
        assert lut.domain.tolist() == [[0, 0, 0], [1, 1, 1]]
        output = lut.apply(PHOTO / 255, interpolator=colour.algebra.table_interpolation_trilinear)
        assert np.abs(output - applied(tmp_path / "a.cube", PHOTO)).max() < 1e-5

    def test_ffmpeg_reads_it(self, tmp_path, stylizer):
        export_cube(stylizer, tmp_path / "a.cube", [PHOTO])
        Image.fromarray(PHOTO).save(tmp_path / "in.png")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "in.png"]
        command += ["-vf", "lut3d=file=a.cube:interp=trilinear", "out.png"]
        subprocess.run(command, cwd=tmp_path, check=True)
        output = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
        assert np.abs(output - PHOTO).mean() > 10
        assert np.abs(output - 255 * applied(tmp_path / "a.cube", PHOTO)).max() < 1.5

    def test_red_runs_fastest(self, tmp_path):
        red_only = PHOTO * np.array([1, 0, 0], np.uint8)
        export_cube(Stylizer(Negative(), {}, "cpu"), tmp_path / "a.cube", [red_only], size=17)
        first = table(tmp_path / "a.cube").numpy()[0, 0]
        assert np.abs(first[:, 0] - negative(np.linspace(0, 1, 17))).max() < 0.03


class TestFit:
    def test_loss_is_what_the_file_loses(self, tmp_path, stylizer):
        loss = export_cube(stylizer, tmp_path / "a.cube", [PHOTO])
        stylized = stylizer.stylize(PHOTO / 255)
        levels = np.abs(applied(tmp_path / "a.cube", PHOTO) - stylized).mean() * 255
        assert loss.levels == pytest.approx(levels, rel=1e-3)
        assert loss.look == pytest.approx(np.abs(stylized - PHOTO / 255).mean() * 255, rel=1e-3)
        lab = [colour.XYZ_to_Lab(colour.sRGB_to_XYZ(x)) for x in (applied(tmp_path / "a.cube", PHOTO), stylized)]
        assert loss.lab == pytest.approx(np.linalg.norm(lab[0] - lab[1], axis=-1).mean(), rel=0.02)
        assert loss.levels < loss.look / 3

    def test_photos_count_alike(self, tmp_path, stylizer):
        small = STYLE[:40, :50]
        export_cube(stylizer, tmp_path / "both.cube", [PHOTO, small], size=17)
        export_cube(stylizer, tmp_path / "one.cube", [PHOTO], size=17)
        stylized = stylizer.stylize(small / 255)
        both, one = (np.abs(applied(tmp_path / f"{n}.cube", small) - stylized).mean() for n in ("both", "one"))
        assert both < one

    def test_style_through_a_universal_checkpoint(self, tmp_path):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        loss = export_cube(stylizer, tmp_path / "a.cube", [PHOTO], [StyleInput(STYLE, weight=3), PHOTO], size=17)
        stylized = stylizer.stylize(PHOTO / 255, [STYLE, PHOTO], weights=[3, 1])
        assert loss.look == pytest.approx(np.abs(stylized - PHOTO / 255).mean() * 255, rel=1e-3)
        assert loss.levels < loss.look


class TestRefuses:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"photos": []}, "^photos: a table is fitted to photos, expected at least one"),
            ({"size": 32}, "^size: expected one of 17, 33, 65 for .cube, got 32"),
            ({"style": STYLE}, "^style: the bilateral generator has a fixed style"),
        ],
    )
    def test_bad_input(self, tmp_path, stylizer, given, message):
        with pytest.raises(InputError, match=message):
            export_cube(stylizer, tmp_path / "a.cube", **{"photos": [PHOTO], **given})
        assert list(tmp_path.iterdir()) == []

    def test_no_style_for_a_universal_checkpoint(self, tmp_path):
        with pytest.raises(InputError, match=r"^style: the universal generator needs a style photo"):
            export_cube(Stylizer(universal_look(), {}, "cpu"), tmp_path / "a.cube", [PHOTO])
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_is_a_file(self, tmp_path, stylizer):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="can't be written"):
            export_cube(stylizer, tmp_path / "file" / "a.cube", [PHOTO])
