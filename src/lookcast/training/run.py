"""Training from a composed config."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

import lookcast
from lookcast import checkpoints
from lookcast.checks import InputError
from lookcast.data.datamodule import PhotoDataModule
from lookcast.generators import OPTIONAL_PARTS, FixedStyleGenerator, Generator, UniversalGenerator
from lookcast.training.callbacks import run_stats
from lookcast.training.config import check_config
from lookcast.training.loggers import run_loggers
from lookcast.training.modules.single import LookModule
from lookcast.training.renamed import rename_config
from lookcast.training.run_folder import RunFolder
from lookcast.training.style_photo import read_style
from lookcast.training.summary import TrainResult
from lookcast.training.training_checkpoint import check_training_checkpoint, checkpoint_to_resume

log = logging.getLogger(__name__)

NEEDED = {
    "style": "no style photo; say style=PHOTO",
    "data.photos": "no photos to train on; say data.photos=FOLDER",
    "init_from": "no checkpoint to start from; say init_from=CHECKPOINT",
}
"""A mapping from each setting without a default value to the error message for a missing value."""


def train(cfg: DictConfig) -> TrainResult:
    """Train a look from a composed config (`conf/train.yaml`).

    Raises:
        InputError: the config has a wrong value, or names a file that does not exist or does not fit.
    """
    cfg = _in_new_names(cfg)
    with RunFolder(str(cfg.run_dir)) as folder:
        config = _resolve(cfg)
        check_config(config)
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
        trainer: pl.Trainer = _build(
            cfg.trainer,
            callbacks=_build_all(cfg.callbacks),
            logger=_build_all(cfg.logger),
            val_check_interval=_check_interval(cfg.trainer),
            **_plugins(),
        )
        folder.open(first=trainer.is_global_zero)
        try:
            return _run(trainer, cfg, config, folder.path)
        except InputError as error:
            lines = str(error).strip().splitlines()
            if len(lines) == 1:
                raise
            # An error from a worker process contains the traceback as text; the last line is `name: message`.
            raise InputError(lines[-1].partition(": ")[2]) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            reason = f"can't be written ({error.strerror}); earlier files stay"
            raise InputError(f"run_dir: {folder.path}: {reason}") from error
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits; here the caller decides
                raise error.__context__ from None
            raise
        finally:
            folder.started = trainer.fit_loop.epoch_loop.batch_progress.total.ready > 0
            for logger in run_loggers(trainer):
                logger.close()


def _run(trainer: pl.Trainer, cfg: DictConfig, config: dict[str, Any], run_dir: Path) -> TrainResult:
    """Build the data module, the networks and the loss. Then train, write the result, and return the result."""
    if trainer.is_global_zero:
        _save_hydra_config(cfg, run_dir)
    # A run on pairs gets its style photos from the data module. Every other run has one style photo for all contents.
    style = {} if "styles" in cfg.data else read_style(cfg.style, cfg.style_mask, cfg.style_size)
    datamodule = _build(cfg.data)
    module: LookModule = _build(cfg.module, _partial_=True)(
        generator=_build(cfg.generator) if cfg.init_from is None else _start_from(cfg, style.get("style")),
        encoder=_build(cfg.encoder),
        loss=_build(cfg.loss),
        optimizer=_build(cfg.optimizer),
        scheduler=_build(cfg.scheduler),
        config=config,
        **style,
    )
    resume = checkpoint_to_resume(cfg.resume, run_dir)
    if resume is not None:
        check_training_checkpoint(resume, module.generator, config)
    for logger in trainer.loggers:
        logger.log_hyperparams(config)
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    return _finish(trainer, module, datamodule, run_dir, config)


def _in_new_names(cfg: DictConfig) -> DictConfig:
    """Replace old names in a config of an earlier version, and log each replacement."""
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    renamed, renames = rename_config(plain)
    if not renames:
        return cfg
    for old, new in renames.items():
        log.warning("%s is now %s", old, new)
    result = OmegaConf.create(renamed)
    OmegaConf.set_struct(result, True)
    return result


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    """Return the config as plain values.

    Raises:
        InputError: a setting without a default is missing.
    """
    missing = OmegaConf.missing_keys(cfg)
    for key in (*NEEDED, *sorted(missing)):
        if key in missing:
            raise InputError(f"{key}: {NEEDED.get(key, 'no value')}")
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return dict(config)


def _save_hydra_config(cfg: DictConfig, run_dir: Path) -> None:
    """Write the `.hydra` folder of a run that Hydra has started.

    Hydra itself can write this folder (`hydra.output_subdir`), but too early: before the config is checked and the run
    folder is locked.
    """
    if not HydraConfig.initialized():
        return
    hydra = HydraConfig.get()
    folder = run_dir / ".hydra"
    folder.mkdir(exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml")
    OmegaConf.save({"hydra": hydra}, folder / "hydra.yaml")
    OmegaConf.save(hydra.overrides.task, folder / "overrides.yaml")


def _plugins() -> dict[str, Any]:
    """Return the trainer arguments that switch off Lightning's handler for SLURM signals.

    Lightning's handler writes a checkpoint in the middle of a step. `LastCheckpoint` writes a checkpoint at the end of
    the step.
    """
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return {"plugins": [SLURMEnvironment(auto_requeue=False)]}
    return {}


def _finish(
    trainer: pl.Trainer, module: LookModule, datamodule: PhotoDataModule, run_dir: Path, config: dict[str, Any]
) -> TrainResult:
    """Validate the best weights, write the checkpoint for inference, and return the result."""
    if trainer.global_step == 0:
        raise InputError("no step was trained: trainer.max_steps is 0")
    steps, metrics = trainer.global_step, _validate(trainer, module, datamodule)
    keeper = trainer.checkpoint_callback
    # The weights of the last step may be better than the best validated weights, so compare both scores. A resumed run
    # without a new best has the path of the old best checkpoint, but no score.
    if isinstance(keeper, ModelCheckpoint) and keeper.best_model_score is not None:
        score = torch.tensor(metrics[keeper.monitor or "val/loss/total"])
        if not keeper.check_monitor_top_k(trainer, score):
            best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
            module.load_state_dict(best["state_dict"])
            steps, metrics = best["global_step"], _validate(trainer, module, datamodule)
    path = run_dir / "look.safetensors"
    if trainer.is_global_zero:
        header = {"lookcast": lookcast.__version__, "encoder": config["encoder"], "training": config, "steps": steps}
        header |= {"metrics": metrics, "licence": config["licence"]}
        checkpoints.save_checkpoint(path, module.generator, header)
    result = TrainResult(run_dir, path, metrics, datamodule.held_out, run_stats(trainer))
    for logger in run_loggers(trainer):
        logger.log_result(result)
    return result


def _validate(trainer: pl.Trainer, module: LookModule, datamodule: PhotoDataModule) -> dict[str, float]:
    return dict(trainer.validate(module, datamodule=datamodule, verbose=False)[0])


def _check_interval(trainer: DictConfig) -> Any:
    """Return the interval between two validations, `val_check_interval`.

    If a run has fewer batches than that, the interval is the length of the run, so that the last step is validated.
    """
    batches, interval = trainer.max_steps * trainer.accumulate_grad_batches, trainer.val_check_interval
    if not (isinstance(batches, int) and isinstance(interval, int) and batches > 0):
        return interval
    return min(interval, batches)


def _start_from(cfg: DictConfig, style: torch.Tensor | None) -> Generator:
    """Load the generator of the checkpoint `init_from`.

    With a style photo, a universal generator becomes a `FixedStyleGenerator` for this photo. Without a style photo, it
    gets the parts that it lacks and the config sets (`OPTIONAL_PARTS`). `scenes` replaces its trained head.

    Raises:
        CheckpointError: the checkpoint does not exist, or the file is no checkpoint.
    """
    try:
        generator, _ = checkpoints.load_checkpoint(checkpoints.find_checkpoint(cfg.init_from))
    except checkpoints.CheckpointError as error:
        raise checkpoints.CheckpointError(f"init_from: {error}") from error
    if not isinstance(generator, UniversalGenerator):
        return generator
    if style is not None:
        return FixedStyleGenerator.from_universal(generator, style)
    added = {n: value for n in OPTIONAL_PARTS if not generator.arguments[n] and (value := cfg.generator.get(n))}
    wider = UniversalGenerator(generator.encoder, **{**generator.arguments, **added})
    weights = {k: v for k, v in generator.state_dict().items() if "scenes" not in added or not k.startswith("regions.")}
    unused = wider.load_state_dict(weights, strict=False).unexpected_keys  # the new parts have no weights to load
    assert not unused, unused
    return wider


def _build(config: DictConfig, **kwargs: Any) -> Any:
    """Instantiate an object from its config.

    Raises:
        InputError: the constructor refuses a value; the message names the key in the config.
    """
    try:
        return instantiate(config, **kwargs)
    except InstantiationException as error:
        cause = error.__cause__
        if not isinstance(cause, InputError):
            raise
        group, message = str(error).rpartition("full_key: ")[2].strip(), str(cause)
        known = message.partition(":")[0] in OmegaConf.select(config._get_root(), group)
        raise InputError(f"{group}{'.' if known else ': '}{message}") from cause


def _build_all(group: DictConfig | None) -> list[Any]:
    return [_build(entry) for entry in (group or {}).values() if entry is not None]
