"""The command `lookcast fit`."""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookcast.cli.options import add_look, add_overwrite, add_precision, count, parse_intermixed, path, word
from lookcast.cli.pairing import add_files, add_masks, check_files, check_masks, open_auto_masks
from lookcast.cli.streams import say, set_up_logging

if TYPE_CHECKING:
    from lookcast.fitting.look_fit import FitState, LookFit

METHODS = ("grid", "pixels", "paper")
"""The files of conf/fit/."""
PICTURE = "step_{:04d}.png"
"""Name of the picture after a number of steps."""


def fit(argv: list[str]) -> int:
    """Run `lookcast fit`."""
    args = parse_intermixed(build_parser(), argv, "content", word)
    from tqdm.contrib.logging import logging_redirect_tqdm

    from lookcast.checks import InputError
    from lookcast.inference.jobs import plan_jobs
    from lookcast.inference.photo_files import FileOptions, read_styles, stylize_file
    from lookcast.inference.styles import check_strength
    from lookcast.inference.stylizer import load

    set_up_logging()
    if check_strength(args.strength) == 0:
        raise InputError("--strength: expected a number above 0, because 0 changes nothing")
    check_masks(args)
    if args.method != "grid":
        for option, value in (("--from", args.start), ("--save-look", args.save_look)):
            if value is not None:
                raise InputError(f"{option}: needs --method grid")
    if not args.style:
        raise InputError("--style: a fit needs a style photo")
    content = Path(args.content[0])
    if content.is_dir():
        raise InputError(f"{content}: is a folder; a fit takes one photo")
    jobs = plan_jobs([content], args.out, args.content_mask)
    (job,) = jobs
    pictures = job.target.with_name(f"{job.target.stem}_steps")
    further = _further_files(args.save_look, None if args.every is None else pictures, args.overwrite)
    check_files(args, jobs, further)
    files = FileOptions(args.quality, args.subsampling, args.max_pixels, args.lenient)
    look_fit = _look_fit(args.content[1:], args.method, args.steps, args.start)
    stylizer = load(args.checkpoint, args.device, args.precision)
    styles = read_styles(args.style, args.style_mask, args.weights, args.max_pixels)
    stylizer.set_style(styles)
    auto_masks = open_auto_masks(args, styles)
    look_fit.on_step = progress = _Progress(args.every, pictures)
    with logging_redirect_tqdm(), progress:
        code = int(stylize_file(stylizer, job, args.strength, auto_masks, files, look_fit))
    if args.save_look is not None:
        assert progress.last is not None
        _save_look(args.save_look, progress.last, stylizer.header)
        say(str(args.save_look))
    print(f"lookcast: {progress.summary()}", file=sys.stderr)
    say(str(job.target))
    return 130 if progress.stopped else code


def _further_files(look: Path | None, pictures: Path | None, overwrite: bool) -> list[tuple[Path, Path]]:
    """Return the files that a fit writes beside the photo, as pairs (what the file is, the file).

    Raises:
        InputError: the look has the wrong suffix, or the folder of the pictures is not empty.
    """
    from lookcast.checks import InputError

    further = []
    if look is not None:
        if look.suffix.lower() != ".safetensors":
            raise InputError(f"{look}: --save-look writes a file whose name ends with .safetensors")
        further.append((Path("the fitted look"), look))
    if pictures is not None:
        if pictures.is_dir() and any(pictures.iterdir()) and not overwrite:
            raise InputError(f"{pictures}: is not empty; --overwrite allows writing pictures of the steps into it")
        further.append((Path("a picture of a step"), pictures / PICTURE.format(0)))
    return further


def _look_fit(settings: list[str], method: str, steps: int | None, start: str | None) -> "LookFit":
    """Compose `conf/fit.yaml` with the overrides of the command line, and return the fit.

    Raises:
        InputError: an override is unknown or has an invalid value.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from hydra.utils import instantiate
    from omegaconf.errors import OmegaConfBaseException

    from lookcast.checks import InputError
    from lookcast.fitting.look_fit import LookFit
    from lookcast.paths import shipped
    from lookcast.training.hydra_errors import one_line

    for setting in settings:
        if "=" not in setting:
            raise InputError(f"{setting}: expected one photo, then settings KEY=VALUE such as fit.steps=100")
        if steps is not None and setting.startswith("fit.steps="):
            raise InputError(f"{setting}: given together with --steps")
    overrides = [f"fit={method}", *settings, *([] if steps is None else [f"fit.steps={steps}"])]
    overrides += [] if start is None else [f"fit.start={start}"]
    try:
        with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            config = compose("fit", overrides)
        made = instantiate(config.fit)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: a group is null
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise InputError(one_line(error)) from error
    if not isinstance(made, LookFit):
        raise InputError(f"fit: expected the settings of a fit, got {config.fit!r}")
    return made


class _Progress:
    """Function for `LookFit.on_step`: shows a progress bar, keeps pictures, and ends the fit at Ctrl-C.

    Attributes:
        last: the last state of the fit; None before the fit.
        stopped: True if Ctrl-C has ended the fit.

    Args:
        every: number of steps between two pictures; None for no pictures.
        folder: folder of the pictures. They have the reduced size at which the losses are computed.
    """

    def __init__(self, every: int | None, folder: Path) -> None:
        self.every, self.folder = every, folder
        self.stopped = False
        self.first: FitState | None = None
        self.last: FitState | None = None
        self.bar: Any = None
        self.handler: Any = None

    def __call__(self, state: "FitState") -> bool:
        """Show a state; return True if the fit should end."""
        if self.bar is None:
            self._begin(state)
        self.first, self.last = self.first or state, state
        values = {name: float(term) for name, term in state.terms._asdict().items()}
        self.bar.set_postfix({name: f"{value:.3g}" for name, value in values.items() if value != 0}, refresh=False)
        self.bar.update(state.step - self.bar.n)
        if self.every is not None and state.step % self.every == 0:
            self._keep_picture(state)
        return self.stopped

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)
        if self.bar is not None:
            self.bar.close()

    def summary(self) -> str:
        """Return a line with the number of steps, and the loss before and after."""
        first, last = self.first, self.last
        assert first is not None
        assert last is not None
        end = "stopped by Ctrl-C" if self.stopped else "settled" if last.step < last.steps else "all steps made"
        losses = " to ".join(f"{float(state.terms.total):.4g}" for state in (first, last))
        return f"{last.step} of {last.steps} steps ({end}), loss {losses}"

    def _begin(self, state: "FitState") -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=state.steps, unit="step", disable=None)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job ignores SIGINT
            self.handler = signal.signal(signal.SIGINT, self._stop)

    def _stop(self, *_: Any) -> None:
        self.stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends the command at once

    def _keep_picture(self, state: "FitState") -> None:
        from lookcast.ops.bilateral.dispatch import apply_grid
        from lookcast.photos.read import Photo, to_pixels, write_photo

        output = apply_grid(state.grid, state.content).clamp(0, 1)
        write_photo(self.folder / PICTURE.format(state.step), Photo(to_pixels(output)))


def _save_look(file: Path, state: "FitState", header: dict[str, Any]) -> None:
    """Write the fitted grid, at full strength, as a checkpoint. Its header keeps the licence of the universal look."""
    from lookcast.checkpoints import save_checkpoint
    from lookcast.generators.fitted import FittedGenerator

    kept: dict[str, Any] = {key: header[key] for key in ("lookcast", "licence") if key in header}
    kept["fit"] = {"steps": state.step, "loss": float(state.terms.total)}
    save_checkpoint(file, FittedGenerator.from_grid(state.grid), kept)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast fit",
        usage="%(prog)s CONTENT --style PHOTO [OPTION ...] -o OUT [KEY=VALUE ...]",
        description="Give one photo the look of another by optimisation, as Deep Photo Style Transfer does: from the "
        "prediction of the universal look, with the losses of the training. Takes seconds instead of a fraction of a "
        "second, and comes closer to the style. --method pixels is the paper's own method. Ctrl-C writes the result so "
        "far.",
        epilog="KEY=VALUE sets any setting of conf/fit.yaml, such as fit.loss.style_weight=3. Exit code: 0; 1 when the "
        "photo is damaged; 2 for bad input; 130 after Ctrl-C, with the result so far.",
    )
    parser.add_argument(
        "content", nargs="*", type=word, metavar="CONTENT", help="the photo to change, then settings KEY=VALUE"
    )
    add_look(parser)
    add_masks(parser)
    parser.add_argument("-o", "--out", type=path, required=True, help="file to write, or a folder")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="grid",
        help="grid (default): optimise a bilateral grid; pixels: optimise the pixels, as the paper does, in minutes; "
        "paper: pixels with VGG-19 and the weights of the paper",
    )
    parser.add_argument(
        "--steps", type=count, metavar="N", help="largest number of steps; with pixels, of each of the two stages"
    )
    parser.add_argument(
        "--from",
        dest="start",
        choices=("prediction", "identity"),
        help="start from the prediction of the universal look (default), or from the unchanged photo",
    )
    parser.add_argument("--every", type=count, metavar="N", help="keep a small picture of each N-th step in OUT_steps/")
    parser.add_argument(
        "--save-look", type=path, metavar="FILE", help="write the fitted look as a .safetensors checkpoint"
    )
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="0..1", help="strength of the look, above 0 (default: 1, full)"
    )
    parser.add_argument("--device", default="auto", type=word, help="auto (default: a GPU, else the CPU), cpu, cuda:1")
    add_files(parser)
    add_precision(parser)
    add_overwrite(parser)
    return parser
