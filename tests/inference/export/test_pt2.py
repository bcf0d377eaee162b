import json

import pytest
import skimage.data
import torch
from torch._inductor import aoti_load_package, config

from lookcast.checks import InputError
from lookcast.inference.export.pt2 import export_pt2
from lookcast.inference.stylizer import Stylizer
from tests.looks import look


class TestExportPt2:
    @pytest.mark.nightly
    def test_matches_the_generator(self, tmp_path):
        generator, photo = look(), skimage.data.coffee()
        difference = export_pt2(Stylizer(generator, {"licence": "test"}, "cpu"), tmp_path / "a.pt2", photos=[photo])
        assert difference < 1e-5
        package = aoti_load_package(str(tmp_path / "a.pt2"))
        image = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            for crop in (image, image[..., :64, :64], torch.cat([image, image.flip(1)])[..., :100, :130]):
                content = crop.contiguous()
                expected = generator(content).image.clamp(0, 1)
                assert (package(content) - expected).abs().max() < 1e-5
                assert (expected - content).abs().mean() > 0.02
        assert json.loads(package.get_metadata()["lookcast"]) == {"licence": "test"}

    @config.patch({"cpp.cxx": ("no-such-compiler",)})
    def test_no_compiler(self, tmp_path):
        with pytest.raises(InputError, match=r"^pt2: needs a C\+\+ compiler, g\+\+ or clang\+\+; install one"):
            export_pt2(Stylizer(look(), {}, "cpu", "float32"), tmp_path / "a.pt2")
        assert list(tmp_path.iterdir()) == []

    def test_style_for_a_single_look(self, tmp_path):
        with pytest.raises(InputError, match=r"^style: the bilateral generator has a fixed style"):
            export_pt2(Stylizer(look(), {}, "cpu", "float32"), tmp_path / "a.pt2", skimage.data.rocket())
        assert list(tmp_path.iterdir()) == []
