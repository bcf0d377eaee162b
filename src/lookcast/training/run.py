"""A training run from its config."""

import errno
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

import lookcast
from lookcast import checkpoints
from lookcast.checkpoints import save_checkpoint
from lookcast.checks import InputError
from lookcast.data.datamodule import PhotoDataModule
from lookcast.data.sources.folder import MIN_SIDE, find_photos
from lookcast.data.transforms import shrink_to
from lookcast.generators import FixedStyleGenerator, Generator, UniversalGenerator
from lookcast.photos.read import read_mask, read_srgb
from lookcast.training.arguments import check_arguments
from lookcast.training.callbacks import run_stats
from lookcast.training.loggers import run_loggers
from lookcast.training.modules.single import LookModule
from lookcast.training.report import TrainResult
from lookcast.training.resume import check_checkpoint, find_checkpoint


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
    if ("styles" in cfg.data) != ("pseudo_masks" in cfg.module):
        raise InputError("module=universal and data=pairs: give both or neither; pairs bring their own style photos")
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    check_arguments(config)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    run_dir = _make_folder(cfg.run_dir)
    style = {} if "styles" in cfg.data else _read_style(cfg)  # one for all
    datamodule = _build(cfg.data)
    module: LookModule = _build(cfg.module, _partial_=True)(
        generator=_build(cfg.generator) if cfg.init_from is None else _start_from(cfg.init_from, style.get("style")),
        encoder=_build(cfg.encoder),
        loss=_build(cfg.loss),
        optimizer=_build(cfg.optimizer),
        scheduler=_build(cfg.scheduler),
        config=config,
        **style,
    )
    resume = find_checkpoint(cfg.resume, run_dir)
    if resume is not None:
        check_checkpoint(resume, module.generator, config)
    trainer: pl.Trainer = _build(
        cfg.trainer,
        callbacks=_build_all(cfg.callbacks),
        logger=_build_all(cfg.logger),
        val_check_interval=_check_interval(cfg.trainer),
        **_environment(),
    )
    for logger in trainer.loggers:
        logger.log_hyperparams(config)
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        return _finish(trainer, module, datamodule, run_dir, config)
    except InputError as error:
        lines = str(error).strip().splitlines()
        if len(lines) == 1:
            raise
        # A process that reads photos hands an error on with its whole traceback; the last line is `name: message`.
        raise InputError(lines[-1].partition(": ")[2]) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InputError(f"run_dir: {run_dir}: can't be written ({error.strerror}); what is there stays") from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits by itself then; leave that to the caller
            raise error.__context__ from None
        raise
    finally:
        for logger in run_loggers(trainer):
            logger.close()


def _environment() -> dict[str, Any]:
    """Lightning's own answer to SLURM's signal writes a checkpoint in the middle of a step; LastCheckpoint has one."""
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return {"plugins": [SLURMEnvironment(auto_requeue=False)]}
    return {}


def _make_folder(path: str) -> Path:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"run_dir: {path}: can't be written ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"run_dir: {path}: can't be written")
    return Path(path)


def _finish(
    trainer: pl.Trainer, module: LookModule, datamodule: PhotoDataModule, run_dir: Path, config: dict[str, Any]
) -> TrainResult:
    """Judge the best weights and write them for inference."""
    if trainer.global_step == 0:
        raise InputError("no step was trained: trainer.max_steps is 0")
    steps, metrics = trainer.global_step, _judge(trainer, module, datamodule)
    keeper = trainer.checkpoint_callback
    # The last steps may lie behind the last validation; a resumed run has the path of the former best, but no score.
    if isinstance(keeper, ModelCheckpoint) and keeper.best_model_score is not None:
        score = torch.tensor(metrics[keeper.monitor or "val/loss/total"])
        if not keeper.check_monitor_top_k(trainer, score):
            best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
            module.load_state_dict(best["state_dict"])
            steps, metrics = best["global_step"], _judge(trainer, module, datamodule)
    path = run_dir / "look.safetensors"
    if trainer.is_global_zero:
        header = {"lookcast": lookcast.__version__, "encoder": config["encoder"], "training": config, "steps": steps}
        header |= {"metrics": metrics, "licence": config["licence"]}
        save_checkpoint(path, module.generator, header)
    result = TrainResult(run_dir, path, metrics, datamodule.held_out, run_stats(trainer))
    for logger in run_loggers(trainer):
        logger.log_result(result)
    return result


def _judge(trainer: pl.Trainer, module: LookModule, datamodule: PhotoDataModule) -> dict[str, float]:
    return dict(trainer.validate(module, datamodule=datamodule, verbose=False)[0])


def _check_interval(trainer: DictConfig) -> Any:
    """`val_check_interval`, no longer than the run: a short run is judged, and has a best, at its end."""
    batches, interval = trainer.max_steps * trainer.accumulate_grad_batches, trainer.val_check_interval
    if not (isinstance(batches, int) and isinstance(interval, int) and batches > 0):
        return interval
    return min(interval, batches)


def _start_from(checkpoint: str, style: torch.Tensor | None) -> Generator:
    """The generator of a checkpoint instead of a new one; with a style photo a universal one becomes a single look."""
    generator, _ = checkpoints.load_checkpoint(checkpoints.find_checkpoint(checkpoint))
    if style is not None and isinstance(generator, UniversalGenerator):
        return FixedStyleGenerator.from_universal(generator, style)
    return generator


def _read_style(cfg: DictConfig) -> dict[str, torch.Tensor | None]:
    """The style photo `(1, 3, H, W)` and its mask `(1, K, H, W)`, at most `style_size` px on the longer side."""
    found = find_photos(cfg.style, "style")
    if len(found) != 1:
        raise InputError(f"style: expected one photo, {cfg.style} holds {len(found)}")
    pixels = read_srgb(found[0])
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputError(f"style: {found[0]} has {pixels.shape[1]}x{pixels.shape[0]} pixels, needs {MIN_SIDE} a side")
    style = shrink_to(torch.from_numpy(pixels).permute(2, 0, 1), cfg.style_size)[None].float() / 255
    if cfg.style_mask is None:
        return {"style": style, "style_mask": None}
    mask = read_mask(cfg.style_mask, pixels.shape[:2])[0]
    return {"style": style, "style_mask": shrink_to(mask, cfg.style_size, labels=True)[None]}


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
