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
from pytorch_lightning.utilities import rank_zero_only
from torchvision.transforms import v2

import lookcast
from lookcast.checks import InputError
from lookcast.data.datamodule import PhotoDataModule
from lookcast.data.photo_folder import find_photos
from lookcast.data.transforms import MIN_SIDE, validation_transform
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
        metrics: figures of the best weights on the photos to judge by.
        held_out: whether those photos were kept out of the training.
    """

    run_dir: Path
    checkpoint: Path
    metrics: dict[str, float]
    held_out: bool


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
    datamodule = _build(cfg.data)
    module = LookModule(
        generator=_build(cfg.generator),
        encoder=_build(cfg.encoder),
        loss=_build(cfg.loss),
        style=style,
        style_mask=style_mask,
        optimizer=_build(cfg.optimizer),
        scheduler=_build(cfg.scheduler),
        config=config,
    )
    trainer: pl.Trainer = _build(cfg.trainer, callbacks=_build_all(cfg.callbacks), logger=_build_all(cfg.logger))
    trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.resume)
    return _finish(trainer, module, datamodule, run_dir, config)


def main(argv: list[str]) -> int:
    """`lookcast train`: Hydra's command line around `train`.

    Raises:
        InputError: an unknown key, a bad override, or what `train` refuses.
    """
    # Hydra reads sys.argv; Lightning starts the other processes of a machine with it, so its first word is this file.
    sys.argv = [__file__, *argv]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets exceptions through to here instead of printing a page
    _quieten_lightning()
    refused: list[InputError] = []

    def job(cfg: DictConfig) -> float:
        """One run; gives a sweeper the figure to minimise."""
        try:
            result = train(cfg)
        except InputError as error:  # Hydra would print a page about it; a sweep goes on with its next job
            refused.append(error)
            return float("inf")
        print_summary(result)
        return result.metrics["val/style_distance"]

    try:
        hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="train")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(" ".join(str(error).split("\nSee https")[0].split())) from error
    if refused:
        raise refused[0]
    return 0


@rank_zero_only
def print_summary(result: TrainResult) -> None:
    """Say how good the look is and where everything is."""
    figures = result.metrics
    before, after = figures["val/style_distance_untouched"], figures["val/style_distance"]
    print(f"\non photos that were {'not ' if result.held_out else ''}trained on:")
    print(f"  style distance to the style photo  {after:.3f}, untouched {before:.3f} ({after / before:.0%})")
    print(f"  edge SSIM to the content           {figures['val/edge_ssim']:.3f}")
    run_dir, checkpoint = (os.path.relpath(path) for path in (result.run_dir, result.checkpoint))
    samples = sorted((result.run_dir / "samples").glob("*.png"))
    print(f"\ncheckpoint  {checkpoint}")
    if samples:
        print(f"picture     {os.path.relpath(samples[-1])}  (content | style | output)")
    print(f"run folder  {run_dir}")
    print(f"try next    lookcast stylize PHOTO --checkpoint {checkpoint} -o stylized.jpg")


def _finish(
    trainer: pl.Trainer, module: LookModule, datamodule: PhotoDataModule, run_dir: Path, config: dict[str, Any]
) -> TrainResult:
    """Judge the best weights and write them for inference."""
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if best:  # a run shorter than its first validation, or without the callback, has its last weights only
        module.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
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
    return TrainResult(run_dir, path, metrics, datamodule.held_out)


def _read_style(cfg: DictConfig) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The style photo `(1, 3, H, W)` and its mask `(1, K, H, W)`, at most `style_size` px on the longer side."""
    found = find_photos(cfg.style)
    if len(found) != 1:
        raise InputError(f"style: expected one photo, {cfg.style} holds {len(found)}")
    pixels = read_photo(found[0]).pixels
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputError(f"style: {found[0]} has {pixels.shape[1]}x{pixels.shape[0]} pixels, needs {MIN_SIDE} a side")
    image = v2.functional.to_image(pixels)
    mask = None if cfg.style_mask is None else read_mask(cfg.style_mask, pixels.shape[:2])[0]
    image, mask = validation_transform(cfg.style_size)(image, mask)
    return image[None].as_subclass(torch.Tensor), None if mask is None else mask[None]


def _quieten_lightning() -> None:
    """Keep back what Lightning says on every run and what needs no action."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # on two cores a worker process takes from the network what it gives
        ".*module.* in eval mode at the start of training.*",  # the encoder is frozen
        ".*exists and is not empty.*",  # the run folder: Hydra's config lies in it before metrics.csv does
        ".*LeafSpec.*is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _build(config: DictConfig, **kwargs: Any) -> Any:
    """Instantiate an object of the config; what its constructor refuses comes through as it is."""
    try:
        return instantiate(config, **kwargs)
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


def _build_all(group: DictConfig | None) -> list[Any]:
    return [_build(entry) for entry in (group or {}).values() if entry is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
