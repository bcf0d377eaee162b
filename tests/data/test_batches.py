import pytest
import torch

from lookcast.data.batches import BatchTransform, PairBatch, SampleBatch, collate, collate_pairs
from lookcast.data.dataset import PairSample, PhotoSample
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import grade_some
from lookcast.ops.masks import NUM_LABELS
from lookcast.structures import PhotoBatch
from tests.samples import photo

CHELSEA, COFFEE, ASTRONAUT = ((photo(name)[0] * 255).round().byte() for name in ("chelsea", "coffee", "astronaut"))


def sample(pixels=CHELSEA, position=0, flip=False, labels=None, skipped=(), use="content"):
    return PhotoSample(pixels, labels, flip, position, seed_of(0, use, position), skipped)


def many(count, use="content"):
    """Return small grey photos at consecutive positions."""
    grey = torch.full((3, 4, 4), 102, dtype=torch.uint8)
    return [sample(grey, position, use=use) for position in range(count)]


class TestCollate:
    def test_known_value(self):
        labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
        batch = collate(
            [sample(CHELSEA, 4, True, labels, ("a: broken",)), sample(COFFEE, 5, False, labels, ("b", "c"))]
        )
        assert isinstance(batch, SampleBatch)
        assert batch.pixels[0] is CHELSEA  # windows keep their sizes
        assert batch.pixels[1] is COFFEE
        assert batch.labels == (labels, labels)
        assert (batch.flips, batch.positions, batch.skipped) == ((True, False), (4, 5), ("a: broken", "b", "c"))
        assert batch.seeds == (seed_of(0, "content", 4), seed_of(0, "content", 5))

    def test_unmasked(self):
        assert collate([sample(), sample()]).labels is None

    def test_pairs(self):
        pairs = [
            PairSample(sample(CHELSEA, n, skipped=(f"c{n}",)), sample(COFFEE, n, skipped=(f"s{n}",)), n == 4)
            for n in (3, 4)
        ]
        batch = collate_pairs(pairs)
        assert isinstance(batch, PairBatch)
        assert batch.content.positions == batch.style.positions == (3, 4)
        assert batch.content.pixels == (CHELSEA, CHELSEA)
        assert batch.style.pixels == (COFFEE, COFFEE)
        assert (batch.content.skipped, batch.style.skipped) == (("c3", "c4"), ("s3", "s4"))
        assert batch.same == (False, True)


class TestTrainBatch:
    def test_shape(self):
        batch = BatchTransform(24, 0.5, 1.0, 0).train_batch(collate([sample(CHELSEA), sample(COFFEE, 1)]), 0)
        assert isinstance(batch, PhotoBatch)
        assert batch.content.shape == (2, 3, 24, 24)
        assert batch.content.dtype == torch.float32
        assert 0 <= batch.content.min() < batch.content.max() <= 1
        assert (batch.content_mask, batch.style, batch.style_mask) == (None, None, None)

    def test_pairs(self):
        pairs = [PairSample(sample(CHELSEA, 6, skipped=("a",)), sample(COFFEE, 6, use="style", skipped=("b",)), False)]
        batch = BatchTransform(24, 0.0, 0.0, 0).train_batch(collate_pairs(pairs), 4)
        assert batch.content.shape == batch.style.shape == (1, 3, 24, 24)
        assert not torch.equal(batch.content, batch.style)
        assert batch.skipped == ("a", "b")
        assert batch.seed == seed_of(0, "step", 4)
        assert batch.seeds == (seed_of(0, "content", 6),)

    def test_known_value(self):
        square = ASTRONAUT[:, :40, :40]
        batch = BatchTransform(40, 0.0, 0.0, 0).train_batch(collate([sample(square), sample(square, 1, True)]), 0)
        torch.testing.assert_close(batch.content, torch.stack([square, square.flip(2)]) / 255, rtol=0, atol=1e-7)

    def test_masks(self):
        labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
        labels[..., 20:] = 8
        square = ASTRONAUT[:, :40, :40]
        samples = [sample(square, 0, False, labels), sample(square, 1, True, labels)]
        mask = BatchTransform(20, 1.0, 1.0, 0).train_batch(collate(samples), 0).content_mask
        assert mask.shape == (2, NUM_LABELS, 20, 20)
        assert mask.dtype == torch.float32
        assert torch.equal(mask.sum(1), torch.ones(2, 20, 20))
        assert torch.equal(mask[0, 0], torch.arange(20).lt(10).float().expand(20, -1))
        assert torch.equal(mask[0, 8], mask[0, 0].flip(-1))
        assert torch.equal(mask[1], mask[0].flip(-1))

    def test_seed_of_the_step(self):
        transform = BatchTransform(16, 0.0, 0.0, 3)
        batch = collate([sample(CHELSEA, 10)])
        # It depends on the first position over all processes: a step has the same draws in each of them.
        assert transform.train_batch(batch, 8).seed == transform.train_batch(collate([sample(CHELSEA, 8)]), 8).seed
        assert len({transform.train_batch(batch, first).seed for first in range(5)}) == 5
        assert transform.train_batch(batch, 8).seed != BatchTransform(16, 0.0, 0.0, 4).train_batch(batch, 8).seed


class TestUngraded:
    """The content before its grade: the truth needs it, if the style is a window of the same photo."""

    def batch(self, same, content_grade=0.0, style_grade=0.0):
        count = len(same)
        pairs = [PairSample(*pair) for pair in zip(many(count), many(count, "style"), same, strict=True)]
        return BatchTransform(4, content_grade, style_grade, 0).train_batch(collate_pairs(pairs), 0)

    def test_equals_the_content_without_grades(self):
        batch = self.batch([True, False])
        assert batch.same_photo == (True, False)
        assert torch.equal(batch.ungraded, batch.content)

    def test_equals_the_content_where_none_was_drawn(self):
        batch = self.batch([True] * 100, content_grade=0.5)
        assert torch.equal(batch.ungraded, self.batch([True] * 100).content)
        changed = (batch.content != batch.ungraded).flatten(1).any(1)
        assert 30 < changed.sum() < 70
        seeds = [seed_of(0, "content", position) for position in range(100)]
        assert torch.equal(batch.content, grade_some(batch.ungraded, 0.5, 0.5, seeds))

    def test_is_mirrored_like_the_content(self):
        pairs = [PairSample(sample(CHELSEA, 0, flip=True), sample(CHELSEA, 0, use="style"), True)]
        batch = BatchTransform(24, 0.0, 0.0, 0).train_batch(collate_pairs(pairs), 0)
        assert torch.equal(batch.ungraded, batch.content)
        assert not torch.equal(batch.ungraded, batch.style)

    def test_none_without_a_known_truth(self):
        assert self.batch([False, False], content_grade=0.5).ungraded is None
        # The grade of the style is unknown to a later step.
        graded = self.batch([True, True], style_grade=0.5)
        assert graded.ungraded is None
        assert graded.same_photo == (True, True)
        assert BatchTransform(4, 0.5, 0.0, 0).train_batch(collate(many(2)), 0).ungraded is None
        pair = PairSample(sample(), sample(COFFEE), True)
        assert BatchTransform(4, 0.5, 0.0, 0).val_batch(collate_pairs([pair])).ungraded is None


class TestGrades:
    def graded(self, content_grade, style_grade, count=400):
        pairs = [PairSample(*pair, same=False) for pair in zip(many(count), many(count, "style"), strict=True)]
        return BatchTransform(4, content_grade, style_grade, 0).train_batch(collate_pairs(pairs), 0)

    def test_share_of_graded_photos(self):
        batch = self.graded(0.5, 1.0)
        content, style = (
            float((photos - 0.4).abs().flatten(1).amax(1).gt(1e-6).float().mean())
            for photos in (batch.content, batch.style)
        )
        # Half of the contents and a quarter of the styles stay unchanged.
        assert content == pytest.approx(0.5, abs=0.08)
        assert style == pytest.approx(0.75, abs=0.08)

    def test_strength(self):
        plain = self.graded(0.0, 0.0, 100)
        torch.testing.assert_close(plain.content, torch.full((100, 3, 4, 4), 0.4))
        assert torch.equal(plain.content, plain.style)
        one = self.graded(0.0, 0.5, 100)
        assert torch.equal(one.content, plain.content)
        assert (one.style - plain.style).abs().mean() > 0.05

    def test_each_photo_has_its_own_grade(self):
        colors = self.graded(0.5, 1.0).style[:, :, 0, 0]
        assert len(torch.unique(colors, dim=0)) > 0.7 * len(colors)

    def test_module_equals_function(self):
        batch = self.graded(0.5, 1.0, 50)
        plain = self.graded(0.0, 0.0, 50).content
        assert torch.equal(batch.content, grade_some(plain, 0.5, 0.5, [seed_of(0, "content", n) for n in range(50)]))
        assert torch.equal(batch.style, grade_some(plain, 1.0, 0.75, [seed_of(0, "style", n) for n in range(50)]))

    def test_invariance_to_the_rest_of_the_batch(self):
        # Two processes with two photos each train on the same photos as one process with four.
        samples = [
            sample(pixels, n, n % 2 == 1) for n, pixels in enumerate([CHELSEA, COFFEE, ASTRONAUT, COFFEE[:, :20]])
        ]
        transform = BatchTransform(24, 1.0, 1.0, 0)
        whole = transform.train_batch(collate(samples), 0)
        for part in (slice(0, 2), slice(2, 4), slice(1, 2)):
            assert torch.equal(transform.train_batch(collate(samples[part]), 0).content, whole.content[part])

    def test_leaves_the_global_generator_unchanged(self):
        torch.manual_seed(1)
        state = torch.get_rng_state()
        self.graded(0.5, 1.0, 5)
        assert torch.equal(torch.get_rng_state(), state)


class TestValBatch:
    def test_known_value(self):
        batch = BatchTransform(24, 1.0, 1.0, 0).val_batch(collate([sample(CHELSEA, 3, skipped=("a",))]))
        # The whole photo at its own size, not graded.
        assert torch.equal(batch.content, CHELSEA[None] / 255)
        assert (batch.content_mask, batch.style, batch.skipped) == (None, None, ("a",))

    def test_pairs_and_masks(self):
        labels = torch.full((1, *CHELSEA.shape[1:]), 2, dtype=torch.uint8)
        pair = PairSample(sample(CHELSEA, labels=labels), sample(COFFEE), False)
        batch = BatchTransform(24, 1.0, 1.0, 0).val_batch(collate_pairs([pair]))
        assert torch.equal(batch.style, COFFEE[None] / 255)
        assert torch.equal(batch.content_mask[:, 2], torch.ones(1, *CHELSEA.shape[1:]))
        assert batch.content_mask.sum() == batch.content_mask[:, 2].sum()

    def test_seed_does_not_depend_on_the_run(self):
        # Otherwise the figures of two runs could not be compared.
        batch = collate([sample(CHELSEA, 3)])
        assert (
            BatchTransform(24, 1.0, 1.0, 0).val_batch(batch).seed
            == BatchTransform(32, 0.0, 0.0, 9).val_batch(batch).seed
        )
