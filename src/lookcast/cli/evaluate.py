"""The command `lookcast evaluate`."""

import argparse
from pathlib import Path

from lookcast.cli.options import SEGMENTERS, steps
from lookcast.cli.streams import set_up_logging


def evaluate(argv: list[str]) -> int:
    """Run `lookcast evaluate`."""
    args = build_parser().parse_args(argv)
    from lookcast.checkpoints import DEFAULT_CHECKPOINT
    from lookcast.evaluation.evaluate_pairs import evaluate_pairs, ready_outputs, stylized_outputs
    from lookcast.evaluation.pair_folder import find_pairs, photos_by_name
    from lookcast.evaluation.report_files import PAGE, build_report, check_report_folder, summary_table, write_report
    from lookcast.evaluation.scoring import open_encoder
    from lookcast.inference.stylizer import load
    from lookcast.segmenters import open_segmenter

    set_up_logging()
    _check_options(args)
    pairs = find_pairs(args.pairs, args.limit, ignore=[] if args.outputs is None else [args.outputs])
    sources = [file for pair in pairs for file in pair.files]
    sources += [] if args.outputs is None else photos_by_name(args.outputs).values()
    check_report_folder(args.out, sources)
    config = {"pairs": str(args.pairs), "limit": args.limit}
    if args.outputs is not None:
        source, checkpoint = ready_outputs(args.outputs), None
        config |= {"outputs": str(args.outputs)}
    else:
        stylizer = load(args.checkpoint, "auto" if args.device is None else args.device)
        segmenter = None if args.auto_masks is None else open_segmenter(args.auto_masks)
        refine = 0 if args.refine is None else args.refine
        source = stylized_outputs(stylizer, args.masks, args.max_side, segmenter, refine)
        checkpoint = stylizer.header
        config |= {"checkpoint": args.checkpoint or DEFAULT_CHECKPOINT, "masks": args.masks}
        config |= {"auto_masks": args.auto_masks, "max_side": args.max_side, "device": str(stylizer.device)}
        config |= {"refine": refine}
    encoder, description = open_encoder(args.pairs, args.teacher)
    results, skipped = evaluate_pairs(pairs, source, encoder, args.out)
    report = build_report(results, skipped, config, checkpoint, description)
    write_report(args.out, report)
    print(f"{summary_table(report)}\n\n{args.out / PAGE}")
    return 1 if skipped else 0


def _check_options(args: argparse.Namespace) -> None:
    """Check that no option for stylizing is given together with `--outputs`, because it would have no effect.

    Raises:
        InputError: an option for stylizing is given together with `--outputs`; the message names the option.
    """
    from lookcast.checks import InputError

    if args.outputs is None:
        return
    given = {"--max-side": args.max_side, "--device": args.device, "--auto-masks": args.auto_masks}
    given |= {"--refine": args.refine, "--no-masks": None if args.masks else True}
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option}: sets how a checkpoint stylizes, but --outputs are scored unchanged")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast evaluate",
        description="Score a checkpoint or ready-made images on pairs of content and style, and write a report.",
        epilog="Exit code: 0; 1 if some pairs could not be read and were skipped; 2 for bad input.",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder with content/ and style/; content_mask/, style_mask/ and truth/ are optional; other folders hold "
        "results of other methods",
    )
    scored = parser.add_mutually_exclusive_group()
    scored.add_argument("--checkpoint", metavar="FILE", help=".safetensors file, or the name of a shipped checkpoint")
    scored.add_argument(
        "--outputs", type=Path, metavar="FOLDER", help="score the images in FOLDER, named like the contents"
    )
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument(
        "--no-masks", dest="masks", action="store_false", help="stylize without masks; the metrics still use the masks"
    )
    masks.add_argument(
        "--auto-masks",
        choices=SEGMENTERS,
        help="stylize with the masks that a segmenter finds; the metrics still use the masks of the pairs",
    )
    parser.add_argument(
        "--max-side",
        "--longest",
        type=int,
        metavar="PX",
        help="shrink contents to this longer side before stylizing (default: full size)",
    )
    parser.add_argument(
        "--refine",
        type=steps,
        metavar="N",
        help="make N optimisation steps on each pair after the prediction (default: 0)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score only the first N pairs")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="NPZ",
        help="vgg19_pca.npz (default: the file in teacher/ beside FOLDER, if present)",
    )
    parser.add_argument("--device", help="device for stylizing: auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder of the report")
    return parser
