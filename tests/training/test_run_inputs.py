"""Inputs of a run: masks, photos, a style, and inputs that it refuses."""

import logging
import re

import pytest
from PIL import Image
from torch.utils.data import get_worker_info

from lookcast.checks import InputError
from lookcast.data.sources.folder import PhotoFolder
from lookcast.training.modules.single import LookModule
from lookcast.training.run import train
from tests.runs import GREEN, QUIET, break_photo, composed, losses, save_mask, save_masks, save_photos

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


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
        # The content is all green, the style all blue: the content takes the whole style photo.
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
        with pytest.raises(InputError, match=r"nowhere\.png: no such mask"):
            run(*photos, f"data.masks={folder / 'masks'}", f"style_mask={folder / 'nowhere.png'}")
        with pytest.raises(InputError, match=r"^data\.masks: .*nowhere is not a folder"):
            run(*photos, f"data.masks={folder / 'nowhere'}", f"style_mask={folder / 'style.png'}")


class TestPhotos:
    @pytest.mark.parametrize("workers", [0, 1])
    def test_broken_ones_are_skipped_and_named(self, run, tmp_path, caplog, workers):
        folder = save_photos(tmp_path / "photos", 12)
        broken = [break_photo(folder / f"photo{number:02d}.png") for number in (0, 5)]
        (folder / "notes.jpg").write_text("no photo")
        Image.new("RGB", (1, 1)).save(folder / "one.png")
        everything = ("data.batch_size=13", "trainer.max_steps=2", "callbacks.skipped.max_share=1")
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
        messages = [r.getMessage() for r in caplog.records if r.name == "lookcast.training.callbacks.skipped"]
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
        with pytest.raises(
            InputError, match=r"^data\.photos: none of the 3 photos can be read; first error: .*photo00\.png: "
        ):
            run("data=folder", f"data.photos={folder}")

    @pytest.mark.parametrize("workers", [0, 1])
    def test_rejects_photos_that_break_during_a_run(self, run, tmp_path, monkeypatch, workers):
        # They pass the look that the data module takes; a process that reads photos hands its error on in one line.
        folder = save_photos(tmp_path / "photos", 3)
        paths = list(folder.iterdir())
        monkeypatch.setattr(LookModule, "on_fit_start", lambda self: [path.unlink() for path in paths])
        with pytest.raises(
            InputError, match=r"^photos: none of the 3 photos can be read; first error: .*: no such photo$"
        ) as caught:
            run("data=folder", f"data.photos={folder}", f"data.num_workers={workers}")
        assert "\n" not in str(caught.value)

    def test_rejects_an_empty_folder(self, run, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"^data\.photos: no photo in .*empty or its subfolders; "):
            run("data=folder", f"data.photos={tmp_path / 'empty'}")

    def test_rejects_no_photos(self, encoder, tmp_path):
        with pytest.raises(InputError, match=r"^data\.photos: no photos to train on; say data\.photos=FOLDER$"):
            train(composed("style=sample:coffee", f"encoder.weights={encoder}", f"run_dir={tmp_path}"))


class TestStyle:
    def test_rejects_none(self, encoder, tmp_path):
        with pytest.raises(InputError, match=r"^style: no style photo; say style=PHOTO$"):
            train(composed("data=samples", f"encoder.weights={encoder}", f"run_dir={tmp_path}"))

    def test_rejects_what_does_not_exist(self, run, tmp_path):
        with pytest.raises(InputError, match=r"^style: .*nowhere\.jpg: no such photo$"):
            run(f"style={tmp_path / 'nowhere.jpg'}")

    def test_rejects_what_is_no_photo(self, run, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        with pytest.raises(InputError, match=r"^style: .*notes\.txt: not a photo, or of an unknown format$"):
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
        with pytest.raises(InputError, match=r"^loss\.style_weight: expected at least 0, got -1$"):
            run("loss.style_weight=-1")
        with pytest.raises(InputError, match=r"^encoder\.taps: 'relu9_1' is not a tap of this encoder"):
            run("encoder.taps=[relu9_1]")
        with pytest.raises(InputError, match=r"^callbacks\.samples\.every_n_steps: expected at least 1, got 0$"):
            run("callbacks.samples.every_n_steps=0")
        with pytest.raises(InputError, match=r"^scheduler\.total_steps: expected at least 1, got -1"):
            run("trainer.max_steps=-1")

    @pytest.mark.parametrize(
        ("overrides", "reason"),
        [
            (["optimizer.lr=-1"], "Invalid learning rate: -1"),
            (["scheduler=constant", "scheduler.factor=2"], "Constant multiplicative factor expected to be between 0"),
        ],
    )
    def test_rejects_what_torch_refuses(self, run, overrides, reason):
        with pytest.raises(InputError, match=rf"^optimizer, scheduler: {reason}"):
            run(*overrides)

    @pytest.mark.parametrize(
        ("override", "reason"),
        [
            # Built at the start of the fit: torch would stumble over it in the middle of a comparison.
            ("optimizer.lr=abc", r"optimizer\.lr: expected a number or an object with _target_, got 'abc'"),
            ("optimizer.lr=null", r"optimizer\.lr: expected a number or an object with _target_, got None"),
            ("+optimizer.betas=[0.9]", r"optimizer\.betas: expected more items.*, got \[0\.9\]"),
            ("scheduler.warmup=long", r"scheduler\.warmup: expected a number, got 'long'"),
            # Used in the middle of the run.
            ("callbacks.samples.num_photos=few", r"callbacks\.samples\.num_photos: expected an integer, got 'few'"),
            ("data.scale=[a,b]", r"data\.scale: expected a number, got \['a', 'b'\]"),
            ("data.batch_size=2.5", r"data\.batch_size: expected an integer, got 2\.5"),
            # Of an object in another, and of one argument that becomes two.
            ("loss.photorealism.eps=small", r"loss\.photorealism\.eps: expected a number, got 'small'"),
            ("trainer.max_steps=many", r"trainer\.max_steps: expected an integer, got 'many'"),
        ],
    )
    def test_rejects_an_argument_of_a_wrong_type(self, run, tmp_path, override, reason):
        with pytest.raises(InputError, match=rf"^{reason}$"):
            run(override)
        assert not (tmp_path / "run").exists()  # before anything is made

    def test_rejects_an_argument_that_a_constructor_lacks(self, run):
        with pytest.raises(InputError, match=r"^generator\.colour: BilateralGenerator has no such argument"):
            run("+generator.colour=blue")

    def test_rejects_taps_of_another_encoder(self, run):
        with pytest.raises(InputError, match=r"^loss\.content\.taps: relu4_2 is no tap of the encoder"):
            run("loss=paper")

    def test_rejects_crops_that_are_too_small(self, run):
        with pytest.raises(InputError, match=r"^data\.size: expected at least 16, got 8$"):
            run("data.size=8")

    def test_rejects_a_run_without_steps(self, run):
        with pytest.raises(InputError, match=r"^no step was trained"):
            run("trainer.max_steps=0", "scheduler=constant")

    def test_what_a_reader_refuses_is_one_line(self, run, monkeypatch):
        """A reader process adds its traceback to the text of the error."""
        original = PhotoFolder.read

        def read(self, number):
            if get_worker_info() is not None:
                raise InputError("shards: the server is gone")
            return original(self, number)

        monkeypatch.setattr(PhotoFolder, "read", read)
        with pytest.raises(InputError, match=r"^shards: the server is gone$"):
            run("data.num_workers=1")
