"""The command line. Nothing heavy is imported before a command is chosen, so that `--help` comes at once."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        help: one line.
        run: takes the arguments behind the command's name, untouched; returns the exit code.
    """

    help: str
    run: Callable[[list[str]], int]


def train(argv: list[str]) -> int:
    """`lookcast train`: Hydra's own command line, `--help`, `-m` and `--cfg` included."""
    from lookcast.training.run import main as run_training

    return run_training(argv)


def stylize(argv: list[str]) -> int:
    """`lookcast stylize`."""
    args = _stylize_parser().parse_intermixed_args(argv)
    import logging
    import warnings

    from PIL import Image

    from lookcast.inference.batch import plan_jobs, set_up_styles, stylize_file, stylize_files
    from lookcast.inference.stylizer import check_strength, load

    logging.basicConfig(format="lookcast: %(message)s")
    # Warned of from 89 megapixels on, which cameras reach; from twice that on a photo is refused.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    check_strength(args.strength)
    jobs = plan_jobs(args.photos, args.out, args.overwrite, args.content_mask, args.save_masks)
    stylizer = load(args.checkpoint, args.device)
    auto_masks = set_up_styles(
        stylizer, args.style, args.style_mask, args.weights, args.content_mask, args.auto_masks, args.save_masks
    )
    if len(jobs) == 1:
        stylize_file(stylizer, jobs[0], args.strength, auto_masks)
        print(jobs[0].target)
        return 0
    failures = stylize_files(stylizer, jobs, args.strength, auto_masks)
    print(f"{len(jobs) - len(failures)} of {len(jobs)} photos written to {args.out}")
    return 1 if failures else 0


def evaluate(argv: list[str]) -> int:
    """`lookcast evaluate`."""
    args = _evaluate_parser().parse_args(argv)
    import logging

    from lookcast.evaluation.evaluate import evaluate_pairs, ready_outputs, stylized_outputs
    from lookcast.evaluation.pairs import find_pairs
    from lookcast.evaluation.report import PAGE, build_report, summary_table, write_report
    from lookcast.evaluation.scoring import open_encoder
    from lookcast.inference.stylizer import UNIVERSAL, load

    logging.basicConfig(format="lookcast: %(message)s")
    ready: list[Path] = [] if args.outputs is None else [args.outputs]
    pairs = find_pairs(args.pairs, args.limit, ignore=[args.out, *ready])
    config = {"pairs": str(args.pairs), "limit": args.limit}
    if ready:
        source, checkpoint = ready_outputs(args.outputs), None
        config |= {"outputs": str(args.outputs)}
    else:
        stylizer = load(args.checkpoint, args.device)
        source, checkpoint = stylized_outputs(stylizer, args.masks), stylizer.header
        config |= {"checkpoint": args.checkpoint or UNIVERSAL, "masks": args.masks, "device": str(stylizer.device)}
    encoder, description = open_encoder(args.pairs, args.teacher)
    results, skipped = evaluate_pairs(pairs, source, encoder, args.out)
    report = build_report(results, skipped, config, checkpoint, description)
    write_report(args.out, report)
    print(f"{summary_table(report)}\n\n{args.out / PAGE}")
    return 1 if skipped else 0


def export(argv: list[str]) -> int:
    """`lookcast export`."""
    from lookcast.inference.export.arguments import export_parser

    args = export_parser().parse_args(argv)
    import logging

    from lookcast.inference.export.command import export_file

    logging.basicConfig(format="lookcast: %(message)s")
    measured = export_file(
        args.format, args.out, args.checkpoint, args.style, args.weights, args.photo, args.size, args.device
    )
    print(f"{args.out}: {measured}")
    return 0


COMMANDS = {
    "train": Command("train a look; takes Hydra overrides, see `lookcast train --help`", train),
    "stylize": Command("give photos the look of a checkpoint", stylize),
    "evaluate": Command("score a checkpoint on content and style pairs", evaluate),
    "export": Command("write a look for other programs: ONNX, compiled, .cube", export),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what stands behind `lookcast`; None takes it from the shell.

    Returns:
        0; 1 when some photos or pairs of many failed; 2 for bad input, with one line on stderr; 130 when interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # Only the first word is parsed here: what follows belongs to the command, options included.
    command = COMMANDS[_parser().parse_args(argv[:1]).command]
    try:
        return command.run(argv[1:])
    except KeyboardInterrupt:
        print("lookcast: interrupted", file=sys.stderr)
        return 130
    except ValueError as error:
        from lookcast.checks import InputError  # here, because it brings torch along

        if not isinstance(error, InputError):
            raise
        print(f"lookcast: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<10}{command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="lookcast",
        usage="lookcast COMMAND ...",
        description="Give any photo the look of another, and keep it a photo.",
        epilog=f"commands:\n{commands}\n\n`lookcast COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from lookcast import __version__

        print(f"lookcast {__version__}")
        parser.exit()


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _stylize_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast stylize",
        description="Give photos the look of other photos, or the single look of a checkpoint; EXIF, colour profile "
        "and transparency are kept. Masks are PNGs in nine colours, one colour for one kind of region in both photos.",
        epilog="Exit code: 0; 1 when some photos of many could not be read and were skipped; 2 for bad input.",
    )
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO", help="photo, or folder of photos (that folder only)"
    )
    parser.add_argument(
        "--style",
        action="append",
        type=Path,
        default=[],
        metavar="PHOTO",
        help="photo with the look; several are mixed",
    )
    parser.add_argument("--weights", type=_numbers, metavar="W,W", help="shares of several --style photos, such as 2,1")
    parser.add_argument("--content-mask", type=Path, metavar="PNG", help="regions of the photo; for several, a folder")
    parser.add_argument(
        "--style-mask", action="append", type=Path, default=[], metavar="PNG", help="regions of the style, one for each"
    )
    parser.add_argument(
        "--auto-masks",
        choices=("clusters", "torchvision", "transformers"),
        help="find the regions of both photos: without labels, or by a segmentation network that is downloaded",
    )
    parser.add_argument(
        "--save-masks", type=Path, metavar="FOLDER", help="write the masks found, to look at or correct"
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", help=".safetensors file, or the name of a shipped one; default: universal"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="file for one photo, folder for several")
    parser.add_argument("--strength", type=float, default=1.0, metavar="0..1", help="1, the default, is the full look")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--overwrite", action="store_true", help="allow writing over a photo that is read")
    return parser


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast evaluate",
        description="Score a checkpoint, or ready-made images, on pairs of content and style; writes a report.",
        epilog="Exit code: 0; 1 when some pairs were broken and skipped; 2 for bad input.",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="with content/ and style/; optional content_mask/, style_mask/, truth/; further ones: results of others",
    )
    scored = parser.add_mutually_exclusive_group()
    scored.add_argument("--checkpoint", metavar="FILE", help=".safetensors file, or the name of a shipped checkpoint")
    scored.add_argument("--outputs", type=Path, metavar="FOLDER", help="score the images in it, named as the contents")
    parser.add_argument(
        "--no-masks", dest="masks", action="store_false", help="stylize without masks; figures stay by region"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N pairs only")
    parser.add_argument(
        "--teacher", type=Path, metavar="NPZ", help="vgg19_pca.npz (default: in teacher/ beside FOLDER, if there)"
    )
    parser.add_argument("--device", default="auto", help="stylizes on auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder of the report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
