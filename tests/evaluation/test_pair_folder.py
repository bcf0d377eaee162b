import numpy as np
import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.evaluation.pair_folder import find_pairs, photos_by_name, read_at, read_pair, to_compare
from lookcast.photos.read import PhotoError
from tests.pair_folders import save_mask, save_pairs
from tests.photo_files import save_photo


@pytest.fixture
def folder(tmp_path):
    return save_pairs(tmp_path / "pairs")


class TestFindPairs:
    def test_known_value(self, folder):
        cat, cup = find_pairs(folder)
        assert cat.name == "cat"
        assert cat.content == folder / "content" / "cat.png"
        assert cat.style == folder / "style" / "cat.jpg"
        assert cat.content_mask == folder / "content_mask" / "cat.png"
        assert cat.style_mask == folder / "style_mask" / "cat.png"
        assert cat.truth is None
        assert cat.references == {"dpst": folder / "dpst" / "cat.png"}
        assert cat.masked
        assert cup == ("cup & saucer", folder / "content" / "cup & saucer.jpg", folder / "style" / "cup & saucer.png",
                       None, None, None, {})  # fmt: skip
        assert not cup.masked

    def test_truth_and_limit(self, folder):
        truth = save_photo(folder / "truth" / "cat.png")
        assert [pair.truth for pair in find_pairs(folder, limit=1)] == [truth]
        assert len(find_pairs(folder, limit=9)) == 2

    def test_one_mask_alone_does_not_count(self, folder):
        (folder / "style_mask" / "cat.png").unlink()
        assert not find_pairs(folder)[0].masked

    def test_other_folders_are_no_references(self, folder):
        save_photo(folder / "unrelated" / "dog.png")
        save_photo(folder / ".hidden" / "cat.png")
        save_photo(folder / "mine" / "cat.png")
        (folder / "notes.txt").write_text("no folder")
        assert find_pairs(folder, ignore=[folder / "content" / ".." / "mine"])[0].references.keys() == {"dpst"}

    def test_rejects_a_missing_style_when_the_pair_is_read(self, folder):
        (folder / "style" / "cat.jpg").unlink()
        assert find_pairs(folder)[0].style is None
        with pytest.raises(PhotoError, match=r"cat\.png: no style photo is called 'cat'"):
            read_pair(find_pairs(folder)[0])

    @pytest.mark.parametrize("missing", ["content", "style"])
    def test_rejects_a_missing_folder(self, folder, missing):
        (folder / missing).rename(folder / "elsewhere")
        with pytest.raises(InputError, match=f"{missing}: can't be read"):
            find_pairs(folder)

    def test_rejects_an_empty_folder(self, folder):
        for file in (folder / "content").iterdir():
            file.unlink()
        with pytest.raises(InputError, match="content: no photos directly in this folder"):
            find_pairs(folder)

    def test_rejects_two_photos_of_one_name(self, folder):
        save_photo(folder / "content" / "cat.jpg")
        with pytest.raises(InputError, match=r"cat\.jpg and cat\.png are both called 'cat'"):
            find_pairs(folder)

    def test_rejects_references_called_like_the_output(self, folder):
        save_photo(folder / "output" / "cat.png")
        with pytest.raises(InputError, match="rename this folder of results, because 'output' is"):
            find_pairs(folder)
        assert find_pairs(folder, ignore=[folder / "output"])

    def test_rejects_a_limit_below_one(self, folder):
        for limit in (0, -1):
            with pytest.raises(InputError, match=f"limit: expected at least 1, got {limit}"):
                find_pairs(folder, limit=limit)


class TestPhotosByName:
    def test_photos_only(self, tmp_path):
        for name in ("b.PNG", "a.jpg", ".c.jpg"):
            save_photo(tmp_path / name)
        (tmp_path / "d.txt").write_text("no photo")
        assert list(photos_by_name(tmp_path).items()) == [("a", tmp_path / "a.jpg"), ("b", tmp_path / "b.PNG")]


class TestReadPair:
    def test_known_value(self, folder):
        images = read_pair(find_pairs(folder)[0])
        for path, image in (("content/cat.png", images.content), ("dpst/cat.png", images.references["dpst"])):
            expected = torch.from_numpy(np.asarray(Image.open(folder / path)) / 255).permute(2, 0, 1)[None]
            torch.testing.assert_close(image.double(), expected, rtol=0, atol=1e-6)
        assert images.content_mask.shape == images.style_mask.shape == (1, 9, 64, 96)
        assert images.content_mask.mean((2, 3)).tolist() == [[0.5, 0.5, 0, 0, 0, 0, 0, 0, 0]]
        assert images.style_mask[0, 0, :, :28].mean() == 1

    def test_an_unmasked_photo_is_one_region(self, folder):
        images = read_pair(find_pairs(folder)[1])
        assert torch.equal(images.content_mask, torch.ones(1, 1, 64, 96))
        assert torch.equal(images.style_mask, torch.ones(1, 1, 64, 96))

    def test_size_of_the_comparison(self, folder):
        # 1100 x 700 shrinks to 512 x 326, then to multiples of 8; the style keeps its own aspect ratio.
        Image.open(folder / "content" / "cat.png").resize((1100, 700)).save(folder / "content" / "cat.png")
        Image.open(folder / "style" / "cat.jpg").resize((600, 901)).save(folder / "style" / "cat.jpg")
        save_mask(folder / "content_mask" / "cat.png", size=(1100, 700))
        save_mask(folder / "style_mask" / "cat.png", size=(300, 450))
        save_photo(folder / "truth" / "cat.png")
        images = read_pair(find_pairs(folder)[0])
        for image in (images.content, images.content_mask, images.truth, images.references["dpst"]):
            assert image.shape[-2:] == (320, 512)
        assert images.style.shape[-2:] == images.style_mask.shape[-2:] == (512, 341)

    def test_rejects_a_mask_of_another_aspect_ratio(self, folder):
        save_mask(folder / "style_mask" / "cat.png", size=(64, 64))
        with pytest.raises(InputError, match="another aspect ratio"):
            read_pair(find_pairs(folder)[0])

    @pytest.mark.parametrize("file", ["content/cat.png", "style/cat.jpg"])
    def test_rejects_a_photo_too_small_to_compare(self, folder, file):
        Image.open(folder / file).resize((96, 15)).save(folder / file)
        (folder / "content_mask" / "cat.png").unlink()
        with pytest.raises(PhotoError, match=r"cat\.\w+: too small to compare"):
            read_pair(find_pairs(folder)[0])


class TestToCompare:
    @pytest.mark.parametrize("size", [(96, 64), (1100, 700), (513, 400)])
    def test_the_content_is_read_like_all_other_photos(self, folder, size):
        path = folder / "content" / "cup & saucer.jpg"
        Image.open(path).resize(size).save(path)
        content = read_pair(find_pairs(folder)[1]).content
        assert torch.equal(to_compare(np.asarray(Image.open(path)), tuple(content.shape[-2:])), content)
        assert torch.equal(read_at(path, tuple(content.shape[-2:])), content)

    def test_shrinks_with_the_filter_of_the_styles(self):
        # Both sides at 512 px are multiples of 8, so no second filter is needed.
        pixels = np.random.default_rng(0).integers(0, 256, (384 * 2, 512 * 2, 3), np.uint8)
        small = Image.fromarray(pixels).resize((512, 384), Image.Resampling.LANCZOS, reducing_gap=2.0)
        expected = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
        torch.testing.assert_close(to_compare(pixels, (384, 512)), expected, rtol=0, atol=1e-6)

    def test_known_value(self):
        pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
        expected = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        assert torch.equal(to_compare(pixels, (16, 24)), expected)


class TestReadAt:
    def test_shrinks_with_antialiasing(self, tmp_path):
        # A fine checkerboard becomes grey.
        board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
        Image.fromarray(np.repeat(board[..., None], 3, 2).astype(np.uint8)).save(tmp_path / "a.png")
        assert (read_at(tmp_path / "a.png", (8, 8)) - 0.5).abs().max() < 0.02
