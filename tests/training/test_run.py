import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from PIL import Image

import lookcast
from lookcast.checks import InputError, ShapeError
from lookcast.generators import BilateralGenerator
from lookcast.structures import LossTerms
from lookcast.training.module import LookModule
from lookcast.training.run import train
from lookcast.training.schedules import warmup_cosine
from tests.looks import SMALL
from tests.runs import (
    GREEN,
    QUIET,
    TINY,
    break_photo,
    composed,
    losses,
    read_metrics,
    save_encoder,
    save_mask,
    save_masks,
    save_photos,
)
from tests.samples import photo

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

CURVE = Path(__file__).with_name("loss_curve.json")
CURVE_TOLERANCE = 0.01
"""Relative. Two threads instead of one move a loss by 7e-6, AVX2 instead of AVX-512 by 5e-6, kernels without any vector
instructions, which resize photos in another way, by 2e-3: Adam amplifies the last bit."""
STEPS = (
    "data.photos=sample:astronaut", "data.val_photos=sample:chelsea", "data.scale=[0.8,1.0]", "data.jitter=0",
    "data.epoch_length=40", "trainer.max_steps=20", "trainer.val_check_interval=8", "optimizer.lr=5e-4",
    "loss.content_weight=0.01", "loss.style_weight=1", "loss.photorealism_weight=10", "loss.smoothness_weight=20",
    "loss.gamut_weight=10",
)  # fmt: skip
"""Twenty steps on PNG photos, which every decoder reads alike, in two epochs; validations after 8 and 16. The weights
are written out, so that another default does not look like another result."""
TERMS = {f"loss/{name}" for name in LossTerms._fields}
FIGURES = {"val/style_distance", "val/style_distance_untouched", "val/edge_ssim"}


def start(folder, *overrides):
    """A run into a folder that holds the tests' encoder beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    return composed(*TINY, f"encoder.weights={save_encoder(folder)}", f"run_dir={folder / 'run'}", *overrides)


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """The run that most tests look at, and its config."""
    cfg = start(tmp_path_factory.mktemp("curve"), *STEPS)
    return train(cfg), cfg


@pytest.fixture(scope="module")
def overshot(tmp_path_factory):
    """A run that gets worse and worse: much too fast, never slower, without clipping."""
    too_fast = ("optimizer.lr=0.1", "scheduler=constant", "trainer.gradient_clip_val=0")
    cfg = start(tmp_path_factory.mktemp("overshot"), *STEPS, *too_fast)
    return train(cfg)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def generator_of(path):
    """The generator that a training checkpoint holds."""
    generator = BilateralGenerator(**SMALL["bilateral"])
    generator.load_state_dict({k.removeprefix("generator."): v for k, v in load(path)["state_dict"].items()})
    return generator.eval()


def column(run_dir, key):
    """Values of a key of metrics.csv by step."""
    return {int(row["step"]): row[key] for row in read_metrics(run_dir) if key in row}


class TestRunFolder:
    def test_holds_what_is_promised_and_nothing_else(self, curve):
        files = {str(path.relative_to(curve[0].run_dir)) for path in curve[0].run_dir.rglob("*") if path.is_file()}
        pictures = {f"samples/step_{step:06d}.png" for step in (8, 16, 20)}
        assert files == {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "look.safetensors", "metrics.csv"} | pictures

    def test_metrics(self, curve):
        rows = read_metrics(curve[0].run_dir)
        keys = set().union(*rows)
        assert keys == {"epoch", "step", "lr-AdamW", *FIGURES, *(f"{s}/{t}" for s in ("train", "val") for t in TERMS)}
        for term in TERMS:
            assert list(column(curve[0].run_dir, f"train/{term}")) == list(range(20))
        for key in FIGURES:
            # After 8 and 16 steps, and the last weights after the training.
            assert list(column(curve[0].run_dir, key)) == [7, 15, 20]

    def test_learning_rate(self, curve):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 5e-4)
        schedule, expected = warmup_cosine(optimizer, 20), []
        for _ in range(20):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert list(column(curve[0].run_dir, "lr-AdamW").values()) == pytest.approx(expected)

    def test_pictures(self, curve):
        for path in (curve[0].run_dir / "samples").iterdir():
            # One photo: three cells of 360 x 240 with four pixels around each.
            assert Image.open(path).size == (3 * 364 + 4, 244 + 4)

    def test_checkpoints_load_without_pickle(self, curve):
        result, cfg = curve
        for name, step in (("last", 20), ("best", 16)):
            checkpoint = load(result.run_dir / "checkpoints" / f"{name}.ckpt")
            assert checkpoint["global_step"] == step
            assert checkpoint["config"] == OmegaConf.to_container(cfg, resolve=True)

    def test_checkpoints_hold_the_generator_alone(self, curve):
        expected = BilateralGenerator(**SMALL["bilateral"]).state_dict()
        size = sum(tensor.numel() for tensor in expected.values())
        for path in (curve[0].run_dir / "checkpoints").iterdir():
            checkpoint = load(path)
            assert set(checkpoint["state_dict"]) == {f"generator.{name}" for name in expected}
            # Adam keeps two values for each weight: no encoder, no style photo in it either.
            kept = [t for state in checkpoint["optimizer_states"] for s in state["state"].values() for t in s.values()]
            assert sum(t.numel() for t in kept if t.ndim) == 2 * size

    def test_look_is_the_trained_generator(self, curve):
        result, _ = curve
        stylizer, trained = lookcast.load(result.checkpoint), generator_of(result.run_dir / "checkpoints" / "last.ckpt")
        content = photo("coffee").float()
        with torch.no_grad():
            expected = trained(content).image.clamp(0, 1)
        assert torch.equal(stylizer.stylize(content), expected)
        assert (expected - content).abs().mean() > 0.01

    def test_header_of_the_look(self, curve):
        result, cfg = curve
        header = lookcast.load(result.checkpoint).header
        config = OmegaConf.to_container(cfg, resolve=True)
        assert header["generator"] == {"name": "bilateral", "arguments": SMALL["bilateral"]}
        assert header["training"] == config
        assert header["encoder"] == config["encoder"]
        assert header["licence"] == config["licence"]
        assert header["metrics"] == result.metrics
        assert header["steps"] == 20
        assert header["lookcast"] == lookcast.__version__

    def test_result(self, curve):
        result, cfg = curve
        assert (str(result.run_dir), result.held_out) == (cfg.run_dir, True)
        assert result.checkpoint == result.run_dir / "look.safetensors"
        assert result.metrics.keys() == {*FIGURES, *(f"val/{term}" for term in TERMS)}
        for key, value in result.metrics.items():
            assert column(result.run_dir, key)[20] == pytest.approx(value)


class TestLossCurve:
    def test_matches_the_stored_one(self, curve):
        actual = {key: list(column(curve[0].run_dir, key).values()) for key in ("train/loss/total", "val/loss/total")}
        expected = json.loads(CURVE.read_text())
        assert actual.keys() == expected.keys()
        for key in expected:
            assert actual[key] == pytest.approx(expected[key], rel=CURVE_TOLERANCE), (
                f"if this change is meant, {CURVE.name} is now {json.dumps(actual)}"
            )

    def test_falls(self, curve):
        training, judged = (list(column(curve[0].run_dir, f"{s}/loss/total").values()) for s in ("train", "val"))
        assert len(training) == 20
        assert np.mean(training[-5:]) < 0.75 * np.mean(training[:5])
        assert judged == sorted(judged, reverse=True)

    def test_look_is_closer_to_the_style(self, curve):
        figures = curve[0].metrics
        assert figures["val/style_distance"] < 0.8 * figures["val/style_distance_untouched"]
        assert figures["val/edge_ssim"] > 0.9

    def test_starts_from_the_identity(self, curve):
        # What is trained starts as the untouched photo: no cell differs, no value leaves the gamut, no feature moves.
        rows = [row for row in read_metrics(curve[0].run_dir) if "train/loss/total" in row]
        first, second = ({name: row[f"train/loss/{name}"] for name in LossTerms._fields} for row in rows[:2])
        assert first["smoothness"] == first["gamut"] == 0
        assert first["content"] < 1e-12
        assert second["smoothness"] > 1e-10
        assert second["content"] > 100 * first["content"]

    def test_same_seed_same_losses(self, curve, run):
        first = losses(curve[0].run_dir)
        assert losses(run(*STEPS, name="again").run_dir) == first
        other = losses(run(*STEPS, "seed=1", "trainer.max_steps=3", name="other").run_dir)
        assert all(abs(a - b) > 1e-4 for a, b in zip(first, other, strict=False))


class TestBestWeights:
    def test_are_those_of_the_look(self, overshot):
        judged = column(overshot.run_dir, "val/loss/total")
        assert 2 * judged[7] < judged[15]  # what this run is made for
        assert lookcast.load(overshot.checkpoint).header["steps"] == 8
        best, last = (generator_of(overshot.run_dir / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
        state = lookcast.load(overshot.checkpoint).generator.state_dict()
        assert all(torch.equal(tensor, best.state_dict()[name]) for name, tensor in state.items())
        assert not torch.equal(state["head.bias"], last.state_dict()["head.bias"])

    def test_are_those_judged(self, overshot):
        assert overshot.metrics["val/loss/total"] == pytest.approx(column(overshot.run_dir, "val/loss/total")[7])

    def test_last_checkpoint_is_the_last_all_the_same(self, overshot):
        # What a run goes on from is not bound to what was best.
        assert load(overshot.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 20
        assert load(overshot.run_dir / "checkpoints" / "best.ckpt")["global_step"] == 8

    def test_a_run_that_is_shorter_than_the_first_validation(self, run):
        result = run("trainer.max_steps=3", "trainer.val_check_interval=500")
        for name in ("best", "last"):
            assert load(result.run_dir / "checkpoints" / f"{name}.ckpt")["global_step"] == 3
        assert [path.name for path in (result.run_dir / "samples").iterdir()] == ["step_000003.png"]
        assert lookcast.load(result.checkpoint).header["steps"] == 3


class TestResume:
    def test_goes_on_at_its_step(self, curve, run, starts):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        result = run(*STEPS, "trainer.max_steps=24", f"resume={last}")
        (step, weights), checkpoint = starts[0], load(last)
        assert step == 20
        assert all(torch.equal(checkpoint["state_dict"][f"generator.{name}"], w) for name, w in weights.items())
        assert list(column(result.run_dir, "train/loss/total")) == [20, 21, 22, 23]
        assert load(result.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 24
        assert lookcast.load(result.checkpoint).header["steps"] == 24

    def test_optimiser_and_schedule_go_on(self, curve, run):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        result = run(*STEPS, "trainer.max_steps=40", f"resume={last}", "seed=5")
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 5e-4)
        factor = warmup_cosine(optimizer, 40).lr_lambdas[0]
        rates = column(result.run_dir, "lr-AdamW")
        # The first step still has the rate that the checkpoint holds for it; then the schedule is the longer run's.
        assert [rates[step] for step in range(21, 40)] == pytest.approx([5e-4 * factor(s) for s in range(21, 40)])
        state = load(result.run_dir / "checkpoints" / "last.ckpt")["optimizer_states"][0]["state"]
        assert {int(entry["step"]) for entry in state.values()} == {40}

    def test_rejects_a_missing_file(self, run, tmp_path):
        with pytest.raises(InputError, match=r"^resume: .*no\.ckpt: no such checkpoint$"):
            run(f"resume={tmp_path / 'no.ckpt'}")

    def test_rejects_what_is_no_training_checkpoint(self, curve, run, tmp_path):
        (tmp_path / "text.ckpt").write_text("no checkpoint")
        torch.save({"weight": torch.zeros(2)}, tmp_path / "other.ckpt")
        whole = (curve[0].run_dir / "checkpoints" / "last.ckpt").read_bytes()
        (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
        for path in (*tmp_path.glob("*.ckpt"), curve[0].checkpoint):
            with pytest.raises(InputError, match=r"^resume: .*: not a training checkpoint, such as") as caught:
                run(f"resume={path}")
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_rejects_another_generator(self, curve, run):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        with pytest.raises(InputError, match=r"^resume: .*last\.ckpt: weight 'head\.bias' has shape \(48,\), expected"):
            run(f"resume={last}", "generator.depth=5")


class TestInterrupt:
    def test_leaves_what_it_can_be_resumed_from(self, run, tmp_path, monkeypatch, interrupts, starts):
        step = LookModule.training_step

        def interrupted(self, batch, index):
            if self.trainer.global_step == 5 and self.trainer.ckpt_path is None:
                raise KeyboardInterrupt
            return step(self, batch, index)

        monkeypatch.setattr(LookModule, "training_step", interrupted)
        overrides = ["trainer.max_steps=6", "trainer.val_check_interval=2"]
        with pytest.raises(KeyboardInterrupt):
            run(*overrides, name="first")
        last = tmp_path / "first" / "checkpoints" / "last.ckpt"
        assert load(last)["global_step"] == 4
        assert not (tmp_path / "first" / "look.safetensors").exists()
        result = run(*overrides, f"resume={last}", name="second")
        assert [number for number, _ in starts] == [0, 4]
        assert list(column(result.run_dir, "train/loss/total")) == [4, 5]


class TestGradients:
    SGD = ("optimizer._target_=torch.optim.SGD", "optimizer.weight_decay=0", "optimizer.lr=1", "scheduler=constant")

    @staticmethod
    def change(before, path):
        after = load(path)["state_dict"]
        return torch.cat([(after[f"generator.{name}"] - tensor).flatten() for name, tensor in before.items()])

    def test_are_clipped(self, run, starts):
        # One step of plain gradient descent at a rate of 1 is as long as the gradient.
        lengths = []
        for clip in (1.0, 1e-3):
            result = run(*self.SGD, f"trainer.gradient_clip_val={clip}", "trainer.max_steps=1", name=str(clip))
            change = self.change(starts[-1][1], result.run_dir / "checkpoints" / "last.ckpt")
            lengths.append(float(change.norm()))
        assert 1e-3 < lengths[0] < 1
        assert lengths[1] == pytest.approx(1e-3, rel=1e-3)

    def test_are_accumulated(self, run, starts, capfd):
        # The same step from batches of 4 and, twice, of 2. The photo, whole and square, is the same in all of them but
        # for mirroring, so that they differ by little.
        same = (*self.SGD, "data.photos=sample:astronaut", "data.scale=[1.0,1.0]", "data.jitter=0")
        once = run(*same, "data.batch_size=4", "trainer.max_steps=1", name="once")
        twice = run(*same, "trainer.accumulate_grad_batches=2", "trainer.max_steps=1", name="twice")
        paths = [result.run_dir / "checkpoints" / "last.ckpt" for result in (once, twice)]
        changes = [self.change(weights, path) for (_, weights), path in zip(starts, paths, strict=True)]
        assert torch.cosine_similarity(*changes, dim=0) > 0.98
        assert float(changes[0].norm() / changes[1].norm()) == pytest.approx(1, abs=0.1)
        assert "train: 100%|██████████| 1/1" in capfd.readouterr().err

    def test_accumulation_counts_steps(self, run, capfd):
        result = run("trainer.accumulate_grad_batches=2", "trainer.max_steps=3", "data.epoch_length=20")
        assert load(result.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 3
        # Pictures by step, none of the step 0 that the first batch still belongs to; validations by batch, 2 and 4.
        assert sorted(path.name for path in (result.run_dir / "samples").iterdir()) == [
            "step_000002.png",
            "step_000003.png",
        ]
        assert "train: 100%|██████████| 3/3" in capfd.readouterr().err
        assert list(column(result.run_dir, "lr-AdamW")) == [0, 1, 2]


class TestMasks:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory):
        """Photos, masks of two regions for them, and one for the style photo."""
        folder = tmp_path_factory.mktemp("masks")
        save_photos(folder / "photos", 12)
        save_masks(folder / "masks", 12)
        save_masks(folder / "large", 12, (192, 128))
        save_masks(folder / "blue", 12, lower=(0, 0, 255))
        save_masks(folder / "green", 12, upper=GREEN)
        save_mask(folder / "style.png", (600, 400))
        save_mask(folder / "style_small.png", (60, 40))
        save_mask(folder / "style_blue.png", (600, 400), lower=(0, 0, 255))
        return folder

    @pytest.fixture
    def curves(self, folder, run):
        """Losses of a run with these masks."""

        def losses_with(masks=None, style=None):
            given = [] if masks is None else [f"data.masks={folder / masks}", f"style_mask={folder / style}"]
            result = run("data=folder", f"data.photos={folder / 'photos'}", *given, name=f"{masks}{style}")
            return [*losses(result.run_dir), result.metrics["val/loss/total"]]

        return losses_with

    def test_change_what_is_learned(self, curves):
        plain, segmented = curves(), curves("masks", "style.png")
        assert all(abs(a - b) > 1e-3 * a for a, b in zip(plain, segmented, strict=True))

    def test_another_size_of_the_same_ratio(self, curves):
        # Halves of a photo are halves of it whatever the mask's size: the very same run.
        assert curves("large", "style_small.png") == curves("masks", "style.png")

    def test_one_label_is_as_good_as_no_mask(self, curves):
        assert curves("blue", "style_blue.png") == pytest.approx(curves(), rel=1e-5)

    def test_a_label_that_the_style_lacks_takes_the_whole_style(self, curves):
        # Content all green, style all blue: what is left is the whole photo.
        assert curves("green", "style_blue.png") == pytest.approx(curves(), rel=1e-5)

    @pytest.mark.parametrize("given", ["data.masks={}/masks", "style_mask={}/style.png"])
    def test_rejects_one_without_the_other(self, folder, run, given):
        with pytest.raises(InputError, match=r"^style_mask and data\.masks: give both or neither"):
            run("data=folder", f"data.photos={folder / 'photos'}", given.format(folder))

    def test_rejects_another_aspect_ratio(self, folder, run, tmp_path):
        photos = ("data=folder", f"data.photos={folder / 'photos'}")
        square = save_mask(tmp_path / "square.png", (60, 60))
        with pytest.raises(InputError, match=r"square\.png: is 60x60 pixels, its photo 600x400: another aspect ratio"):
            run(*photos, f"data.masks={folder / 'masks'}", f"style_mask={square}")
        masks = save_masks(tmp_path / "masks", 12)
        save_mask(masks / "photo07.png", (64, 64))
        with pytest.raises(InputError, match=r"photo07\.png: is 64x64 pixels, its photo 96x64: another aspect ratio"):
            run(*photos, f"data.masks={masks}", f"style_mask={folder / 'style.png'}")

    def test_rejects_missing_masks(self, folder, run, tmp_path):
        photos = ("data=folder", f"data.photos={folder / 'photos'}")
        with pytest.raises(InputError, match=r"nowhere\.png: no such photo"):
            run(*photos, f"data.masks={folder / 'masks'}", f"style_mask={folder / 'nowhere.png'}")
        with pytest.raises(InputError, match=r"^masks: .*nowhere is not a folder"):
            run(*photos, f"data.masks={folder / 'nowhere'}", f"style_mask={folder / 'style.png'}")


class TestPhotos:
    @pytest.mark.parametrize("workers", [0, 1])
    def test_broken_ones_are_skipped_and_named(self, run, tmp_path, caplog, workers):
        folder = save_photos(tmp_path / "photos", 12)
        broken = [break_photo(folder / f"photo{number:02d}.png") for number in (0, 5)]
        (folder / "notes.jpg").write_text("no photo")
        Image.new("RGB", (1, 1)).save(folder / "one.png")
        everything = ("data.batch_size=13", "data.epoch_length=13", "trainer.max_steps=2")
        with caplog.at_level(logging.WARNING):
            result = run("data=folder", f"data.photos={folder}", *everything, f"data.num_workers={workers}")
        listed = (result.run_dir / "skipped_photos.txt").read_text().splitlines()
        expected = {
            str(broken[0]): "broken or truncated (image file is truncated)",
            str(broken[1]): "broken or truncated (image file is truncated)",
            str(folder / "notes.jpg"): "not a photo, or of an unknown format",
            str(folder / "one.png"): "1x1 pixels, too small to train on",
        }
        assert len(listed) == 4
        named = dict(line.split(": ", 1) for line in listed)
        assert named.keys() == expected.keys()
        assert all(re.match(re.escape(expected[path].rstrip(")")), reason) for path, reason in named.items())
        messages = [r.getMessage() for r in caplog.records if r.name == "lookcast.training.callbacks"]
        assert sorted(messages[:-1]) == sorted(f"skipped {line}" for line in listed)
        assert messages[-1] == (
            f"4 photos could not be read and were skipped; listed in {result.run_dir / 'skipped_photos.txt'}"
        )

    def test_broken_ones_among_those_to_judge_by(self, run, tmp_path):
        folder = save_photos(tmp_path / "photos", 4)
        broken = break_photo(folder / "photo01.png")
        # The validation after the training is the only one that reads it.
        result = run(f"data.val_photos={folder}", "trainer.val_check_interval=500", "trainer.max_steps=1")
        assert (result.run_dir / "skipped_photos.txt").read_text().startswith(f"{broken}: broken or truncated")

    def test_few_photos_are_judged_on_what_they_train_on(self, run, tmp_path):
        few = run("data=folder", f"data.photos={save_photos(tmp_path / 'few', 9)}", name="a")
        enough = run("data=folder", f"data.photos={save_photos(tmp_path / 'enough', 10)}", name="b")
        assert (few.held_out, enough.held_out) == (False, True)

    def test_rejects_only_broken_photos(self, run, tmp_path):
        folder = save_photos(tmp_path / "photos", 3)
        for path in folder.iterdir():
            break_photo(path)
        with pytest.raises(InputError, match=r"^photos: none of the 3 can be read, first .*photo00\.png: "):
            run("data=folder", f"data.photos={folder}")

    @pytest.mark.parametrize("workers", [0, 1])
    def test_rejects_photos_that_break_during_a_run(self, run, tmp_path, monkeypatch, workers):
        # They pass the look that the data module takes; a process that reads photos hands its error on in one line.
        folder = save_photos(tmp_path / "photos", 3)
        paths = list(folder.iterdir())
        monkeypatch.setattr(LookModule, "on_fit_start", lambda self: [path.unlink() for path in paths])
        with pytest.raises(InputError, match=r"^photos: none of the 3 can be read, first .*: no such photo$") as caught:
            run("data=folder", f"data.photos={folder}", f"data.num_workers={workers}")
        assert "\n" not in str(caught.value)

    def test_rejects_an_empty_folder(self, run, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"^photos: no photo in .*empty; looked in it and below it for .*\.jpg"):
            run("data=folder", f"data.photos={tmp_path / 'empty'}")

    def test_rejects_no_photos(self, encoder, tmp_path):
        with pytest.raises(InputError, match=r"^data\.photos: no photos to train on; say data\.photos=FOLDER$"):
            train(composed("style=sample:coffee", f"encoder.weights={encoder}", f"run_dir={tmp_path}"))


class TestStyle:
    def test_rejects_none(self, encoder, tmp_path):
        with pytest.raises(InputError, match=r"^style: no style photo; say style=PHOTO$"):
            train(composed("data=samples", f"encoder.weights={encoder}", f"run_dir={tmp_path}"))

    def test_rejects_what_does_not_exist(self, run, tmp_path):
        with pytest.raises(InputError, match=r"^style: .*nowhere\.jpg does not exist$"):
            run(f"style={tmp_path / 'nowhere.jpg'}")

    def test_rejects_what_is_no_photo(self, run, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        with pytest.raises(InputError, match=r"notes\.txt: not a photo, or of an unknown format$"):
            run(f"style={tmp_path / 'notes.txt'}")

    def test_rejects_several(self, run, tmp_path):
        with pytest.raises(InputError, match=r"^style: expected one photo, .*photos holds 3$"):
            run(f"style={save_photos(tmp_path / 'photos', 3)}")

    def test_rejects_a_tiny_one(self, run, tmp_path):
        path = save_photos(tmp_path / "photos", 1, (40, 12)) / "photo00.png"
        with pytest.raises(InputError, match=r"^style: .*photo00\.png has 40x12 pixels, needs 16 a side$"):
            run(f"style={path}")


class TestRejects:
    def test_rejects_a_folder_that_cannot_be_made(self, run, tmp_path):
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(InputError, match=r"^run_dir: .*below: can't be written \(Not a directory\)$"):
            run(name="file/below")

    def test_rejects_what_a_constructor_refuses(self, run):
        with pytest.raises(InputError, match=r"^style_weight: expected at least 0, got -1$"):
            run("loss.style_weight=-1")
        with pytest.raises(InputError, match=r"^taps: 'relu9_1' is not a tap of this encoder"):
            run("encoder.taps=[relu9_1]")
        with pytest.raises(InputError, match=r"^every_n_steps: expected at least 1, got 0$"):
            run("callbacks.samples.every_n_steps=0")
        with pytest.raises(InputError, match=r"^scheduler\.total_steps: expected at least 1, got -1"):
            run("trainer.max_steps=-1")

    def test_rejects_an_argument_that_a_constructor_lacks(self, run):
        with pytest.raises(InstantiationException, match="unexpected keyword argument 'colour'"):
            run("+generator.colour=blue")

    def test_rejects_taps_of_another_encoder(self, run):
        with pytest.raises(InputError, match=r"^loss\.content\.taps: relu4_2 is no tap of the encoder"):
            run("loss=paper")

    def test_rejects_crops_that_are_too_small(self, run):
        with pytest.raises(ShapeError, match="image: expected shape"):
            run("data.size=8")

    def test_rejects_a_run_without_steps(self, run):
        with pytest.raises(InputError, match=r"^no step was trained"):
            run("trainer.max_steps=0", "scheduler=constant")
