import csv
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookcast.checks import InputError
from lookcast.encoders.compact import CompactEncoder
from lookcast.evaluation.evaluate_pairs import evaluate_pairs, ready_outputs, stylized_outputs
from lookcast.evaluation.pair_folder import find_pairs, read_pair
from lookcast.evaluation.scoring import Scorer, show
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_photo, to_tensor
from lookcast.segmenters import ClusterSegmenter
from lookcast.segmenters.auto_masks import AutoMasks
from tests.encoders.test_teacher import teacher_arrays
from tests.evaluation.reports import linked, opened
from tests.looks import MeanColor, look, save_look, universal_look
from tests.pair_folders import save_outputs
from tests.photo_files import save_photo


def finite(figures):
    """Replace NaN with None, as the report does: crops without flat areas have no spread."""
    return {key: value if np.isfinite(value) else None for key, value in figures.items()}


class TestOutputs:
    def test_figures(self, tmp_path, folder, run):
        outputs = save_outputs(tmp_path / "outputs")
        code, out, err = run("--outputs", outputs)
        assert (code, err) == (0, "")
        report, _ = opened(tmp_path / "report")
        encoder = CompactEncoder()
        for files, pair in zip(find_pairs(folder), report["pairs"], strict=True):
            images = read_pair(files)
            output = to_tensor(read_photo(outputs / f"{files.name}.png").pixels)
            expected = {"content": images.content, **images.references, "output": output}
            assert pair["figures"] == {name: finite(Scorer(images, encoder).score(i)) for name, i in expected.items()}
            assert pair["name"] == files.name
            assert pair["masked"] is files.masked
            assert pair["seconds"] is None
            assert pair["megapixels"] == 96 * 64 / 1e6
        for key in ("gram", "edge_ssim"):
            mean = np.mean([pair["figures"]["output"][key] for pair in report["pairs"]])
            assert abs(report["means"]["output"][key] - mean) < 1e-12
        only = {key: value for key, value in report["pairs"][0]["figures"]["dpst"].items() if value is not None}
        assert report["means"]["dpst"] == {"num_pairs": 1, **only}
        assert report["columns"] == ["content", "dpst", "output"]
        assert "compact encoder" in report["encoder"]
        assert report["checkpoint"] is None
        assert report["config"] == {"pairs": str(folder), "limit": None, "outputs": str(outputs)}
        lines = out.splitlines()
        assert lines[0].split()[:3] == ["pairs", "Edge", "SSIM"]
        assert [line.split()[:3] for line in lines[1:4]] == [
            [name, str(means["num_pairs"]), show("edge_ssim", means["edge_ssim"])]
            for name, means in report["means"].items()
        ]
        assert lines[-1] == str(tmp_path / "report" / "report.html")

    def test_page_holds_the_figures_and_its_pictures_exist(self, tmp_path, run):
        run("--outputs", save_outputs(tmp_path / "outputs"))
        report, page = opened(tmp_path / "report")
        links = linked(page)
        assert links == {path for pair in report["pairs"] for path in pair["pictures"].values()}
        assert {
            "pictures/content_mask/cat.jpg",
            "pictures/style_mask/cat.jpg",
            "pictures/dpst/cat.jpg",
            "pictures/output/cup & saucer.jpg",
        } <= links
        for link in links:
            assert Image.open(tmp_path / "report" / link).size == (96, 64)
        for figures in [*report["means"].values(), *(f for pair in report["pairs"] for f in pair["figures"].values())]:
            for key, value in figures.items():
                if key != "num_pairs":
                    assert show(key, value) in page
        for pair in report["pairs"]:
            assert f'data-gram="{pair["figures"]["output"]["gram"]}"' in page

    def test_table(self, tmp_path, run):
        run("--outputs", save_outputs(tmp_path / "outputs"))
        report, _ = opened(tmp_path / "report")
        with (tmp_path / "report" / "report.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        expected = {"cat": ["content", "dpst", "output"], "cup & saucer": ["content", "output"]}
        assert [(row["pair"], row["image"]) for row in rows] == [(p, c) for p, cs in expected.items() for c in cs]
        assert float(rows[1]["swd"]) == report["pairs"][0]["figures"]["dpst"]["swd"]
        assert rows[1]["psnr"] == rows[1]["seconds"] == ""

    def test_truth(self, tmp_path, folder, run):
        save_photo(folder / "truth" / "cat.png")
        outputs = save_outputs(tmp_path / "outputs")
        run("--outputs", outputs)
        report, page = opened(tmp_path / "report")
        first, second = (pair["figures"]["output"] for pair in report["pairs"])
        error = (
            np.asarray(Image.open(outputs / "cat.png")) / 255 - read_photo(folder / "truth" / "cat.png").pixels / 255
        )
        assert abs(first["psnr"] + 10 * np.log10((error**2).mean())) < 1e-4
        assert "psnr" not in second
        assert report["pairs"][0]["figures"]["content"]["psnr"] is None  # infinite: truth and content are equal
        assert "pictures/truth/cat.jpg" in linked(page)

    @pytest.mark.parametrize("size", [(1100, 700), (700, 1333)])
    def test_an_unchanged_large_photo_scores_as_the_content(self, folder, size):
        # One filter shrinks both photos, and two of these sizes are no multiples of 8 at 512 px.
        path = folder / "content" / "cat.png"
        Image.open(path).resize(size).save(path)
        for name in ("content_mask", "style_mask"):
            (folder / name / "cat.png").unlink()
        for name in ("truth", "dpst"):
            save_photo(folder / name / "cat.png")
            Image.open(path).save(folder / name / "cat.png")
        results, _ = evaluate_pairs(find_pairs(folder, 1), ready_outputs(folder / "content"), CompactEncoder(), folder)
        figures = results[0].figures
        assert figures.keys() == {"content", "dpst", "output"}
        for column in ("dpst", "output"):
            assert figures[column] == pytest.approx(figures["content"], rel=0, abs=0, nan_ok=True)
        # kornia adds 1e-12 to the denominator, which is 9e-8 at pixels without an edge.
        assert figures["output"]["edge_ssim"] == pytest.approx(1, abs=1.2e-5)
        assert figures["output"]["feature_distance"] == figures["output"]["delta_e"] == 0
        assert figures["output"]["psnr"] == float("inf")

    def test_teacher(self, tmp_path, run):
        np.savez(tmp_path / "t.npz", **teacher_arrays())
        outputs = save_outputs(tmp_path / "outputs")
        values = []
        for arguments in ([], ["--teacher", tmp_path / "t.npz"]):
            assert run("--outputs", outputs, "--limit", 1, *arguments)[0] == 0
            values.append(opened(tmp_path / "report")[0])
        assert "t.npz" in values[1]["encoder"]
        assert values[0]["pairs"][0]["figures"]["output"]["gram"] != values[1]["pairs"][0]["figures"]["output"]["gram"]
        assert values[0]["pairs"][0]["figures"]["output"]["swd"] == values[1]["pairs"][0]["figures"]["output"]["swd"]

    def test_outputs_inside_the_pairs_are_no_reference(self, folder, run, tmp_path):
        assert run("--outputs", save_outputs(folder / "output"))[0] == 0
        assert opened(tmp_path / "report")[0]["columns"] == ["content", "dpst", "output"]


class TestCheckpoint:
    def test_fixed_style(self, tmp_path, folder, run):
        checkpoint = save_look(tmp_path / "look.safetensors")
        code, _, err = run("--checkpoint", checkpoint, "--device", "cpu")
        assert (code, err) == (0, "")
        report, page = opened(tmp_path / "report")
        stylizer = Stylizer(look(), {}, "cpu")
        for files, pair in zip(find_pairs(folder), report["pairs"], strict=True):
            output = to_tensor(stylizer.stylize(read_photo(files.content).pixels))
            expected = Scorer(read_pair(files), CompactEncoder()).score(output)
            assert pair["figures"]["output"] == pytest.approx(finite(expected), abs=1e-6)
            assert pair["seconds"] > 0
        assert report["seconds_per_photo"] == np.mean([pair["seconds"] for pair in report["pairs"]])
        assert report["checkpoint"]["licence"] == "test"
        assert report["config"]["checkpoint"] == str(checkpoint)
        assert f"{checkpoint} (bilateral generator)" in unescape(page)

    def test_rejects_a_missing_checkpoint(self, tmp_path, run):
        code, out, err = run("--checkpoint", tmp_path / "no.safetensors")
        assert (code, out) == (2, "")
        assert err == f"lookcast: error: {tmp_path / 'no.safetensors'}: no such checkpoint\n"

    def test_rejects_outputs_together_with_a_checkpoint(self, run, capsys):
        with pytest.raises(SystemExit) as caught:
            run("--outputs", "out", "--checkpoint", "look.safetensors")
        assert caught.value.code == 2
        assert "not allowed with argument" in capsys.readouterr().err


class Recorder(Stylizer):
    """Records its arguments: content, style and their masks."""

    def __init__(self):
        super().__init__(MeanColor(), {}, "cpu")
        self.given = []

    def stylize(self, content, style, content_mask, style_mask, refine):
        self.given.append((content, style, content_mask, style_mask))
        return content // 2


class TestStylizedOutputs:
    @staticmethod
    def enlarge(folder):
        for path in (folder / "content" / "cat.png", folder / "content_mask" / "cat.png"):
            Image.open(path).resize((1200, 800), Image.Resampling.NEAREST).save(path)

    def test_gives_the_style_and_both_masks_at_full_size(self, folder):
        self.enlarge(folder)
        recorder = Recorder()
        source = stylized_outputs(recorder)
        cat, cup = find_pairs(folder)
        output = source(cat)
        assert output.pixels.shape == (800, 1200, 3)
        assert output.seconds > 0
        source(cup)
        (content, style, *masks), (_, _, *no_masks) = recorder.given
        assert np.array_equal(content, read_photo(cat.content).pixels)
        assert np.array_equal(style, read_photo(cat.style).pixels)
        assert [tuple(mask.shape) for mask in masks] == [(800, 1200), (64, 96)]
        assert no_masks == [None, None]

    def test_shrinks_contents_before_stylizing(self, folder):
        self.enlarge(folder)
        recorder = Recorder()
        source = stylized_outputs(recorder, max_side=300)
        output = source(find_pairs(folder)[0])
        assert output.pixels.shape == (200, 300, 3)
        (_, style, *masks) = recorder.given[0]
        assert style.shape == (64, 96, 3)
        assert [tuple(mask.shape) for mask in masks] == [(200, 300), (64, 96)]
        small = stylized_outputs(recorder, max_side=4000)(find_pairs(folder)[1])
        assert np.array_equal(small.pixels, read_photo(find_pairs(folder)[1].content).pixels // 2)

    @pytest.mark.parametrize("max_side", [0, -5])
    def test_rejects_a_side_below_one(self, max_side):
        with pytest.raises(InputError, match=rf"^max_side: expected a positive number of pixels, got {max_side}$"):
            stylized_outputs(Recorder(), max_side=max_side)

    def test_unmasked(self, folder):
        recorder = Recorder()
        stylized_outputs(recorder, use_masks=False)(find_pairs(folder)[0])
        assert recorder.given[0][1] is not None
        assert recorder.given[0][2:] == (None, None)

    def test_automatic_masks(self, folder):
        stylizer, files = Stylizer(universal_look(), {}, "cpu"), find_pairs(folder)[0]
        segmenter = ClusterSegmenter()
        output = stylized_outputs(stylizer, segmenter=segmenter)(files)
        content, style = read_photo(files.content).pixels, read_photo(files.style).pixels
        expected = stylizer.stylize(content, **AutoMasks(segmenter, [style])(content))
        assert np.array_equal(output.pixels, expected)
        assert not np.array_equal(expected, stylizer.stylize(content, style))

    @pytest.mark.parametrize("segmenter", [None, ClusterSegmenter()])
    def test_refine(self, folder, segmenter):
        stylizer, files = Stylizer(universal_look(), {}, "cpu"), find_pairs(folder)[0]
        plain, refined = (
            stylized_outputs(stylizer, segmenter=segmenter, refine=steps)(files).pixels for steps in (0, 2)
        )
        content, style = read_photo(files.content).pixels, read_photo(files.style).pixels
        if segmenter is None:
            masks = [
                read_mask(path, photo.shape[:2])
                for path, photo in ((files.content_mask, content), (files.style_mask, style))
            ]
            expected = stylizer.stylize(content, style, *masks, refine=2)
        else:
            expected = stylizer.stylize(content, **AutoMasks(segmenter, [style])(content), refine=2)
        assert np.array_equal(refined, expected)
        assert not np.array_equal(refined, plain)

    def test_rejects_refine_for_a_fixed_style(self):
        with pytest.raises(InputError, match=r"^refine: the .* generator has a fixed style$"):
            stylized_outputs(Stylizer(look(), {}, "cpu"), refine=1)

    def test_rejects_automatic_masks_for_a_fixed_style(self):
        with pytest.raises(
            InputError, match=r"^segmenter \(--auto-masks\): the .* generator has a fixed style and takes no masks$"
        ):
            stylized_outputs(Stylizer(look(), {}, "cpu"), segmenter=ClusterSegmenter())


class TestEvaluatePairs:
    def test_other_errors_are_raised(self, folder, tmp_path):
        def fault(files):
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            evaluate_pairs(find_pairs(folder), fault, CompactEncoder(), tmp_path)

    def test_rejects_a_folder_that_can_not_be_written(self, folder, tmp_path):
        (tmp_path / "file").write_text("")
        source = ready_outputs(save_outputs(tmp_path / "outputs"))
        with pytest.raises(InputError, match="can't be written"):
            evaluate_pairs(find_pairs(folder), source, CompactEncoder(), tmp_path / "file")

    def test_leaves_no_temporary_files(self, folder, tmp_path):
        source = ready_outputs(save_outputs(tmp_path / "outputs"))
        results, skipped = evaluate_pairs(find_pairs(folder), source, CompactEncoder(), tmp_path / "report")
        written = {str(p.relative_to(tmp_path / "report")) for p in (tmp_path / "report").rglob("*") if p.is_file()}
        assert written == {path for result in results for path in result.pictures.values()}
        assert skipped == []
        assert all(Path(path).parts[0] == "pictures" for path in written)
