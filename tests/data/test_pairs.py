import pytest
import torch

from lookcast.checks import InputError
from lookcast.data.batches import PairBatch
from lookcast.data.pairs import PairDataModule
from lookcast.data.sources.folder import find_photos
from tests.data.fits import IGNORED, fit, names, positions
from tests.data.fits import contents as content_of
from tests.runs import break_photo, save_photos

pytestmark = pytest.mark.filterwarnings(*IGNORED)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("contents"), 20)


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("styles"), 30, (64, 48))


def val_names(split):
    return names(split.val, split.val_numbers)


def style_of(seen):
    return torch.cat([batch.style for batch in seen.trained])


class TestHeldOut:
    def test_one_source_is_held_out_of_both(self, contents):
        data = PairDataModule(contents, contents, num_val=2)
        assert val_names(data.photos) == val_names(data.styles) == ["photo00", "photo10"]
        assert names(data.photos.train) == [f"photo{n:02d}" for n in range(20) if n not in (0, 10)]
        assert data.num_photos == 18
        assert data.train_set.styles.source is data.train_set.contents.source  # decoded and cached once

    def test_two_sources_hold_out_photos_separately(self, contents, styles):
        data = PairDataModule(contents, styles, num_val=3)
        assert val_names(data.photos) == ["photo00", "photo10"]
        assert val_names(data.styles) == ["photo00", "photo10", "photo20"]
        assert (len(data.photos.train), len(data.styles.train)) == (18, 27)
        assert data.num_photos == 18 + 27
        assert data.held_out

    def test_validation_photos(self, contents, styles):
        data = PairDataModule(
            contents, styles, val_photos="sample:chelsea", val_styles=["sample:coffee", "sample:rocket"]
        )
        assert [data.photos.val.name(0).rpartition("/")[2]] == ["chelsea.png"]
        assert [data.styles.val.name(n).rpartition("/")[2] for n in range(2)] == ["coffee.png", "rocket.jpg"]
        assert (len(data.photos.train), len(data.styles.train)) == (20, 30)

    def test_styles_are_shrunk_like_contents(self, contents, styles):
        data = PairDataModule(contents, styles, min_side=32)
        assert data.photos.train.read(0).pixels.shape == (32, 48, 3)
        assert data.styles.train.read(0).pixels.shape == (32, 43, 3)

    def test_styles_have_a_cache_of_the_same_size(self, contents, styles):
        data = PairDataModule(contents, styles, cache_mb=3)
        assert data.train_set.contents.source.free_bytes == data.train_set.styles.source.free_bytes == 3 * 2**20


class TestTraining:
    def test_batches(self, contents, styles):
        data = PairDataModule(contents, styles, size=24, batch_size=3, val_size=48)
        seen = fit(data, 8, limit_val_batches=1.0, val_check_interval=8)
        for batch in seen.trained:
            assert batch.content.shape == batch.style.shape == (3, 3, 24, 24)
            assert (batch.content_mask, batch.style_mask) == (None, None)
        assert positions(seen)[7] == [21, 22, 23]
        assert [tuple(batch.content.shape) for batch in seen.val] == [(1, 3, 32, 48)] * 2
        assert [tuple(batch.style.shape) for batch in seen.val] == [(1, 3, 36, 48)] * 2

    def test_depends_only_on_the_seed(self, contents, styles):
        def trained(seed):
            torch.manual_seed(seed + 7)
            return style_of(fit(PairDataModule(contents, styles, size=24, seed=seed), 3))

        assert torch.equal(trained(1), trained(1))
        assert not torch.equal(trained(1), trained(2))

    def test_worker_processes(self, contents, styles):
        none, two = (fit(PairDataModule(contents, styles, size=24, num_workers=n), 4) for n in (0, 2))
        assert torch.equal(content_of(none), content_of(two))
        assert torch.equal(style_of(none), style_of(two))

    def test_grades(self, contents):
        # Half of the contents and a quarter of the styles stay unchanged.
        options = {"size": 16, "batch_size": 10, "cache_mb": 64}
        plain = fit(PairDataModule(contents, contents, content_grade=0.0, style_grade=0.0, **options), 12)
        graded = fit(PairDataModule(contents, contents, **options), 12)
        for photos, share in ((content_of, 0.5), (style_of, 0.75)):
            changed = (photos(plain) != photos(graded)).flatten(1).any(1).float().mean()
            assert float(changed) == pytest.approx(share, abs=0.13)

    def test_validation_photos_are_not_graded(self, contents):
        data = PairDataModule(contents, contents, content_grade=1.0, style_grade=1.0, val_size=96)
        seen = fit(data, 1, limit_val_batches=1.0, val_check_interval=1)
        expected = [torch.from_numpy(data.photos.val.read(number).pixels).permute(2, 0, 1) / 255 for number in (0, 10)]
        for index, batch in enumerate(seen.val):
            assert torch.equal(batch.content[0], expected[index])
            assert torch.equal(batch.style[0], expected[1 - index])

    def test_share_of_pairs_of_one_photo(self, contents, styles):
        assert PairDataModule(contents, contents, same_share=0.4).train_set.same_share == 0.4
        # Two sources share no photo.
        assert PairDataModule(contents, styles, same_share=0.4).train_set.same_share == 0
        data = PairDataModule(contents, contents, same_share=1.0, content_grade=0.0, style_grade=0.0, size=24)
        other = PairDataModule(contents, contents, content_grade=0.0, style_grade=0.0, size=24)
        near, far = (
            float((content_of(seen) - style_of(seen)).mean((2, 3)).abs().mean())
            for seen in (fit(module, 10) for module in (data, other))
        )
        assert near < 0.7 * far  # two windows of one photo are more similar than two photos

    def test_skipped_photos_of_both_are_named(self, tmp_path):
        found = find_photos(save_photos(tmp_path, 4))
        break_photo(found[2])
        seen = fit(PairDataModule(tmp_path, tmp_path, size=24, batch_size=4), 4)
        lines = [line for batch in seen.trained for line in batch.skipped]
        assert {line.split(": ")[0] for line in lines} == {str(found[2])}
        assert len(lines) > 4  # one in four contents, and some styles


class TestValBatch:
    def test_known_value(self, contents, styles):
        data = PairDataModule(contents, styles, num_val=3, val_size=48)
        seen = fit(data, 1, limit_val_batches=1.0, val_check_interval=1)
        assert len(seen.val) == len(data.val_set) == 2
        for index, expected in enumerate(seen.val):
            batch = data.val_batch(index, torch.device("cpu"))
            assert torch.equal(batch.content, expected.content)
            assert torch.equal(batch.style, expected.style)
            assert batch.seed == expected.seed

    def test_loaders_give_pairs(self, contents, styles):
        data = PairDataModule(contents, styles)
        for loader in (data.train_dataloader(), data.val_dataloader()):
            assert isinstance(next(iter(loader)), PairBatch)


class TestState:
    def test_resumed_run_equals_an_uninterrupted_one(self, contents, styles, tmp_path):
        def data():
            return PairDataModule(contents, styles, size=24, batch_size=4)

        straight = fit(data(), 5)
        first = fit(data(), 2, save=tmp_path / "last.ckpt")
        second = fit(data(), 5, resume=tmp_path / "last.ckpt")
        for photos in (content_of, style_of):
            assert torch.equal(torch.cat([photos(first), photos(second)]), photos(straight))

    def test_rejects_other_photos(self, contents, styles, tmp_path):
        data = PairDataModule(contents, styles)
        assert len(data.fingerprints()) == 2
        PairDataModule(contents, styles).load_state_dict(data.state_dict())
        fewer = save_photos(tmp_path, 25, (64, 48))
        for other in (
            PairDataModule(contents, fewer),
            PairDataModule(fewer, styles),
            PairDataModule(contents, contents),
        ):
            with pytest.raises(InputError, match=r"^photos: the number or the names of the photos differ"):
                other.load_state_dict(data.state_dict())


class TestRejects:
    def test_rejects_masks(self, contents, tmp_path):
        # The module finds regions on its own; these would be decoded and ignored.
        with pytest.raises(InputError, match=r"^masks: expected none, because pairs are trained unmasked, got X$"):
            PairDataModule(contents, contents, masks="X")

    def test_rejections_name_the_styles(self, contents, tmp_path):
        with pytest.raises(InputError, match=r"^styles: .*nowhere does not exist$"):
            PairDataModule(contents, tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^val_styles: .*nowhere does not exist$"):
            PairDataModule(contents, contents, val_styles=tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"^styles: the list is empty$"):
            PairDataModule(contents, [])
        for path in find_photos(save_photos(tmp_path / "broken", 2)):
            break_photo(path)
        with pytest.raises(InputError, match=r"^styles: none of the 2 photos can be read; first error: .*photo00"):
            PairDataModule(contents, tmp_path / "broken")

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("batch_size", 0, "at least 1"),
            ("size", 0, "at least 16"),
            ("style_grade", float("nan"), "a finite number"),
            ("style_grade", 5, "at most 4.0"),
            ("content_grade", -0.5, "at least 0.0"),
            ("same_share", 1.5, "at most 1.0"),
            ("same_share", -1, "at least 0.0"),
        ],
    )
    def test_rejects_arguments_out_of_range(self, contents, name, value, expected):
        with pytest.raises(InputError, match=rf"^{name}: expected {expected}, got {value}$"):
            PairDataModule(contents, contents, **{name: value})
