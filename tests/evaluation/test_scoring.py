import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lookcast.encoders.compact import CompactEncoder
from lookcast.encoders.teacher import TeacherEncoder
from lookcast.evaluation.pair_folder import find_pairs, read_pair
from lookcast.evaluation.scoring import MEASURES, Scorer, mean_figures, open_encoder, show
from lookcast.metrics.photo import color_difference, edge_ssim, psnr
from lookcast.metrics.style import gram_distance, sliced_wasserstein
from lookcast.weights import CheckpointError
from tests.encoders.test_teacher import teacher_arrays
from tests.pair_folders import save_pairs
from tests.photo_files import save_photo

# Metrics of published results, by the independent script that measured the metrics of the README.
REFERENCE = {
    "07": {"edge_ssim": 0.64607, "gram": 0.26395, "swd": 2.90265, "affine": 0.010030, "invented": 17.92228},
    "09": {"edge_ssim": 0.56968, "gram": 0.11806, "swd": 2.23840, "affine": 0.012353, "invented": 14.13165},
    "33": {
        "edge_ssim": 0.57908,
        "gram": 1.45471,
        "swd": 9.93525,
        "affine": 0.05234,
        "invented": 24.5950,
        "flat": 10.4730,
    },
}


@pytest.fixture
def folder(tmp_path):
    return save_pairs(tmp_path / "pairs")


class TestScorer:
    def test_module_equals_functions(self, folder):
        save_photo(folder / "truth" / "cat.png", "coffee")
        pair, encoder = read_pair(find_pairs(folder)[0]), CompactEncoder()
        output = pair.references["dpst"]
        figures = Scorer(pair, encoder).score(output)
        assert list(figures) == list(MEASURES)
        masks = pair.content_mask, pair.style_mask
        assert figures["edge_ssim"] == float(edge_ssim(pair.content, output))
        assert figures["gram"] == float(gram_distance(encoder(output), encoder(pair.style), *masks))
        assert figures["swd"] == float(sliced_wasserstein(output, pair.style, *masks))
        assert figures["psnr"] == float(psnr(output, pair.truth))
        assert figures["delta_e"] == float(color_difference(output, pair.truth))

    def test_the_content_itself(self, folder):
        pair = read_pair(find_pairs(folder)[1])
        figures = Scorer(pair, CompactEncoder()).score(pair.content)
        assert figures.keys() == MEASURES.keys() - {"psnr", "ssim", "delta_e"}
        assert figures["edge_ssim"] > 1 - 1e-4
        assert figures["feature_distance"] == 0
        assert figures["affine"] < 0.01

    @pytest.mark.skipif("LOOKCAST_DATA" not in os.environ, reason="LOOKCAST_DATA names no folder with pairs/, teacher/")
    @pytest.mark.parametrize("name", REFERENCE)
    def test_matches_reference(self, name):
        folder = Path(os.environ["LOOKCAST_DATA"]) / "pairs"
        pair = read_pair(next(pair for pair in find_pairs(folder) if pair.name == name))
        figures = Scorer(pair, open_encoder(folder)[0]).score(pair.references["dpst"])
        for key, expected in REFERENCE[name].items():
            assert abs(figures[key] - expected) < 1e-3, key


class TestOpenEncoder:
    def test_compact_without_a_teacher(self, folder):
        encoder, name = open_encoder(folder)
        assert isinstance(encoder, CompactEncoder)
        assert "compact encoder" in name

    def test_teacher_beside_the_pairs(self, folder, monkeypatch):
        path = folder.parent / "teacher" / "vgg19_pca.npz"
        path.parent.mkdir()
        np.savez(path, **teacher_arrays())
        monkeypatch.chdir(folder)
        for pairs in (folder, Path()):
            encoder, name = open_encoder(pairs)
            assert isinstance(encoder, TeacherEncoder)
            assert str(path) in name

    def test_teacher_from_a_given_file(self, folder, tmp_path):
        np.savez(tmp_path / "t.npz", **teacher_arrays())
        image = torch.rand(1, 3, 16, 16)
        expected = TeacherEncoder(tmp_path / "t.npz")(image)
        assert torch.equal(open_encoder(folder, tmp_path / "t.npz")[0](image)["relu1_1"], expected["relu1_1"])

    def test_rejects_a_missing_file(self, folder, tmp_path):
        with pytest.raises(CheckpointError, match=r"no\.npz: no such file of weights"):
            open_encoder(folder, tmp_path / "no.npz")


class TestMeanFigures:
    def test_known_value(self):
        nan, inf = float("nan"), float("inf")
        rows = [{"gram": 1.0, "edge_ssim": 0.5, "psnr": inf}, {"gram": nan, "edge_ssim": 0.25}, {"edge_ssim": 0.75}]
        assert mean_figures(rows) == {"edge_ssim": 0.5, "gram": 1.0}
        assert list(mean_figures(rows)) == ["edge_ssim", "gram"]


class TestShow:
    def test_known_value(self):
        assert [show("gram", 0.12345), show("swd", 12.345), show("affine", 0.00123)] == ["0.123", "12.3", "0.0012"]
        assert show("gram", None) == show("gram", float("nan")) == "–"  # noqa: RUF001
