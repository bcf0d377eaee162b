import os

import pytest
import torch
from omegaconf import OmegaConf

from lookcast.checks import InputError
from lookcast.training.config import check_config
from tests.runs import composed, save_mask

SINGLE = ("data=samples", "style=sample:coffee", "run_dir=somewhere")
PAIRS = ("experiment=universal", "style=photos", "data.photos=photos", "run_dir=somewhere", "trainer=cpu")


def check(*overrides):
    check_config(OmegaConf.to_container(composed(*overrides), resolve=True))


def refused(*overrides):
    with pytest.raises(InputError) as error:
        check(*overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


class TestSettings:
    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("style=", "style: expected 1 or more characters or a list, got ''"),
            ("style=null", "style: expected a string or a list, got None"),
            ("style=5", "style: expected a string or a list, got 5"),
            ("style=[]", "style: expected a string or 1 or more items, got []"),
            ("style_size=0", "style_size: expected at least 16, got 0"),
            ("style_size=-1", "style_size: expected at least 16, got -1"),
            ("style_size=64.5", "style_size: expected an integer, got 64.5"),
            ("seed=-1", "seed: expected at least 0, got -1"),
            ("seed=4294967296", "seed: expected less than 4294967296, got 4294967296"),
            ("seed=12345678901234567890", "seed: expected less than 4294967296, got 12345678901234567890"),
            ("seed=null", "seed: expected an integer, got None"),
            ("resume=", "resume: expected 1 or more characters, got ''"),
            ("init_from=", "init_from: expected 1 or more characters, got ''"),
            ("compile=maybe", "compile: expected true or false, got 'maybe'"),
            ("name=", "name: expected 1 or more characters, got ''"),
            ("trainer.max_steps=-5", "trainer.max_steps: expected at least -1, got -5"),
            ("trainer.num_nodes=0", "trainer.num_nodes: expected at least 1, got 0"),
            ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches: expected at least 1, got 0"),
            ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val: expected at least 0.0, got -1"),
            ("trainer.val_check_interval=0", "trainer.val_check_interval: expected at least 1 or more than 0.0, got 0"),
            ("optimizer.lr=nan", "optimizer.lr: expected a finite number or an object with _target_, got nan"),
        ],
    )
    def test_rejects(self, override, line):
        assert refused(*SINGLE, override) == line

    def test_names_them_all(self):
        assert refused(*SINGLE, "seed=-1", "style_size=0") == (
            "style_size: expected at least 16, got 0; seed: expected at least 0, got -1"
        )

    @pytest.mark.parametrize("override", ["seed=4294967295", "style_size=16", "trainer.max_steps=-1", "resume=null"])
    def test_accepts_the_ends(self, override):
        check(*SINGLE, override)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    @pytest.mark.parametrize("override", ["trainer=gpu", "trainer.accelerator=cuda"])
    def test_rejects_a_missing_gpu(self, override):
        assert refused(*SINGLE, override).endswith("but torch finds no GPU; say trainer=cpu")


class TestPairs:
    def test_accepts_pairs(self):
        check(*PAIRS)

    @pytest.mark.parametrize("given", [("data.masks=X",), ("style_mask=/nope.png",), ("data.masks=X", "style_mask=Y")])
    def test_rejects_masks(self, given):
        # Pairs would ignore them.
        assert "but data=pairs takes no masks: module.pseudo_masks finds the regions" in refused(*PAIRS, *given)

    def test_rejects_two_folders_of_styles(self):
        # Only data.styles would count.
        line = refused(*PAIRS, "data.styles=other")
        assert line == "style and data.styles: expected the same photos, got 'photos' and 'other'"

    @pytest.mark.parametrize("given", [("module=universal",), ("data=pairs", "data.photos=x")])
    def test_rejects_one_of_the_two(self, given):
        assert refused(*SINGLE, *given).startswith("module=universal and data=pairs: give both or neither")

    @pytest.mark.parametrize("given", ["data.masks=X", "style_mask=Y"])
    def test_rejects_one_mask_without_the_other(self, given):
        assert refused(*SINGLE, given).startswith("style_mask and data.masks: give both or neither")


class TestFiles:
    @pytest.mark.parametrize(
        ("key", "what"),
        [("style", "photo"), ("style_mask", "mask"), ("init_from", "checkpoint"), ("resume", "checkpoint")],
    )
    @pytest.mark.parametrize("kind", ["fifo", "device", "link"])
    def test_rejects_what_is_no_regular_file(self, tmp_path, key, what, kind):
        path = tmp_path / "file"
        if kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
            path = path if kind == "link" else "/dev/zero"
        masks = ("data.masks=masks",) if key == "style_mask" else ()
        line = refused(*SINGLE, f"{key}={path}", *masks)
        assert line == f"{key}: {path}: is a pipe or a device, expected a {what} in a regular file"

    @pytest.mark.parametrize(("key", "what"), [("style", "photo"), ("resume", "checkpoint")])
    def test_rejects_missing_files(self, tmp_path, key, what):
        assert refused(*SINGLE, f"{key}={tmp_path / 'no'}") == f"{key}: {tmp_path / 'no'}: no such {what}"

    @pytest.mark.parametrize("key", ["style", "resume"])
    def test_rejects_names_that_are_too_long(self, key):
        name = "a" * 300
        assert refused(*SINGLE, f"{key}={name}") == f"{key}: {name}: can't be read (File name too long)"

    def test_accepts_files(self, tmp_path):
        path = save_mask(tmp_path / "mask.png", (8, 8))
        for key in ("style", "init_from", "resume"):
            check(*SINGLE, f"{key}={path}")
        check(*SINGLE, f"style_mask={path}", "data.masks=masks")
        check(*SINGLE, "init_from=universal")
