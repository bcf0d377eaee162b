"""A training run from its config: the only room, beside the command line, that knows Hydra."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import pytorch_lightning as pl
import torch
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torchvision.transforms import v2

import lookcast
from lookcast.checks import InputError
from lookcast.data.photo_folder import find_photos
from lookcast.data.transforms import validation_transform
from lookcast.files import shipped
from lookcast.inference.checkpoint import save_checkpoint
from lookcast.inference.photo_io import read_mask, read_photo
from lookcast.training.module import LookModule

log = logging.getLogger(__name__)


class TrainResult(NamedTuple):
    """What a run leaves.

    Attributes:
        run_dir: folder with config, checkpoints, pictures and metrics.
        checkpoint: the `.safetensors` file for inference.
        metrics: final figures on the held-out photos; empty where none are held out.
    """

    run_dir: Path
    checkpoint: Path
    metrics: dict[str, float]


def train(cfg: DictConfig) -> TrainResult:
    """Train a look from a composed config (`conf/train.yaml`).

    Raises:
        InputError: the config asks for something that does not exist or does not fit.
    """
    if OmegaConf.is_missing(cfg, "style"):
        raise InputError("style: no style photo; say style=PHOTO")
    if OmegaConf.is_missing(cfg.data, "photos"):
        raise InputError("data.photos: no photos to train on; say data.photos=FOLDER")
    if (cfg.style_mask is None) != (cfg.data.masks is None):
        raise InputError("style_mask and data.masks: give both or neither; regions are matched between them")
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    run_dir = Path(cfg.run_dir)
    config: Any = OmegaConf.to_container(cfg, resolve=True)

    style, style_mask = _read_style(cfg)
    datamodule = instantiate(cfg.data)
    module = LookModule(
        generator=instantiate(cfg.generator),
        encoder=instantiate(cfg.encoder),
        loss=instantiate(cfg.loss),
        style=style,
        style_mask=style_mask,
        optimizer=instantiate(cfg.optimizer),
        scheduler=instantiate(cfg.scheduler),
        config=config,
    )
    trainer: pl.Trainer = instantiate(
        cfg.trainer, callbacks=_instantiate_all(cfg.callbacks), logger=_instantiate_all(cfg.logger)
    )
    # The photos are read while the network computes; on two cores a worker process would take from the network.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.resume)
    return _finish(trainer, module, datamodule, run_dir, config)


def main(argv: list[str]) -> int:
    """`lookcast train`: Hydra's command line around `train`.

    Raises:
        InputError: an unknown key, a bad override, or what `train` refuses.
    """
    sys.argv = ["lookcast train", *argv]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets exceptions through to here instead of printing a page
    run = hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="train")(_job)
    try:
        run()
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(" ".join(str(error).split("\nSee https")[0].split())) from error
    return 0


def _job(cfg: DictConfig) -> float | None:
    """One run; gives a sweeper the figure to minimise."""
    result = train(cfg)
    print_summary(result, cfg)
    return result.metrics.get("val/style_distance")


def print_summary(result: TrainResult, cfg: DictConfig) -> None:
    """Say how good the look is and where everything is."""
    figures = result.metrics
    if figures:
        before, after = figures["val/style_distance_untouched"], figures["val/style_distance"]
        print("\non photos that were not trained on:")
        print(f"  style distance to the style photo  {after:.3f}, untouched {before:.3f} ({after / before:.0%})")
        print(f"  edge SSIM to the content           {figures['val/edge_ssim']:.3f}")
    samples = sorted((result.run_dir / "samples").glob("*.png"))
    print(f"\ncheckpoint    {result.checkpoint}")
    if samples:
        print(f"pictures      {samples[-1]}")
    print(f"run folder    {result.run_dir}")
    print(f"try next      lookcast stylize PHOTO --checkpoint {result.checkpoint} -o stylized.jpg")


def _finish(
    trainer: pl.Trainer, module: LookModule, datamodule: pl.LightningDataModule, run_dir: Path, config: dict[str, Any]
) -> TrainResult:
    """Judge the best weights on the held-out photos and write them for inference."""
    metrics: dict[str, float] = {}
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:
        state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
        metrics = dict(trainer.validate(module, datamodule=datamodule, verbose=False)[0])
    path = run_dir / "look.safetensors"
    if trainer.is_global_zero:
        header = {
            "lookcast": lookcast.__version__,
            "encoder": config["encoder"],
            "training": config,
            "steps": trainer.global_step,
            "metrics": metrics,
            "licence": config["licence"],
        }
        save_checkpoint(path, module.generator, header)
    return TrainResult(run_dir, path, metrics)


def _read_style(cfg: DictConfig) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The style photo `(1, 3, H, W)` and its mask `(1, K, H, W)`, at most `style_size` px on the longer side."""
    found = find_photos(cfg.style)
    if len(found) != 1:
        raise InputError(f"style: expected one photo, {cfg.style} holds {len(found)}")
    pixels = read_photo(found[0]).pixels
    image = v2.functional.to_image(pixels)
    mask = None if cfg.style_mask is None else read_mask(cfg.style_mask, pixels.shape[:2])[0]
    image, mask = validation_transform(cfg.style_size)(image, mask)
    return image[None].as_subclass(torch.Tensor), None if mask is None else mask[None]


def _instantiate_all(group: DictConfig | None) -> list[Any]:
    return [instantiate(entry) for entry in (group or {}).values() if entry is not None]
