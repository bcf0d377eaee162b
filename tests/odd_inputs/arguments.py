"""Words on the command line that are no valid options, settings or paths. Each is refused with the words that name it.

The current folder holds `a.jpg`, `b.jpg`, `look.safetensors`, `universal.safetensors`, `folder/` with one photo,
`empty/`, `text` and `photos/a.jpg`.
"""

ONE = ("a.jpg", "-o", "out/o.png")
STYLIZE = (
    # words of the command line, then what the error names
    *((("--strength", value, *ONE), "strength") for value in ("nan", "inf", "-0.1", "1.01", "1e400", "full", "")),
    *((("--quality", value, *ONE[:2], "out/o.jpg"), "quality") for value in ("0", "101", "-3", "9.5", "best", "")),
    *((("--subsampling", value, *ONE[:2], "out/o.jpg"), "subsampling") for value in ("4:1:1", "none", "")),
    *((("--max-pixels", value, *ONE), "max-pixels") for value in ("0", "-1", "1e9", "many", "")),
    *((("--jobs", value, *ONE), "jobs") for value in ("0", "-1", "1.5", "all")),
    *((("--share", value, *ONE), "--share") for value in ("1/0", "2/2", "0", "a/b", "-1/2", "1/2/3", "")),
    *((("--device", value, *ONE), "device") for value in ("tpu", "cuda:99", "cpu:x", "cpu,", "")),
    *((("--refine", value, *ONE), "refine") for value in ("-1", "1.5", "ten")),
    (("--refine", "3", *ONE), "refine"),
    *((("--precision", value, *ONE), "precision") for value in ("float16", "")),
    (("--steady", "off", *ONE), "--steady"),
    *(((option, "5", *ONE), option) for option in ("--crf", "--codec", "--preset", "--rate")),
    *((("--rate", value, *ONE), "rate") for value in ("0", "-25", "1/0", "fast")),
    (("--strengh", "1", *ONE), "--strengh"),
    (("--weights", "1", *ONE), "--weights"),
    (("--content-mask", "b.jpg", *ONE), "--content-mask"),
    (("--style-mask", "b.jpg", *ONE), "--style-mask"),
    (("--auto-masks", "clusters", *ONE), "--auto-masks"),
    (("--save-masks", "out/masks", *ONE), "--save-masks"),
    (("--style", "b.jpg", *ONE), "style"),
    (("a.jpg", "b.jpg"), "-o"),
    (("folder",), "-o"),
    ((), "PHOTO"),
    (("-o", "out/o.png"), "PHOTO"),
    (("", "-o", "out/o.png"), "is empty"),
    (("a.jpg", "-o", ""), "is empty"),
    (("a.jpg", "b.jpg", "-o", "out/o.png"), "out/o.png"),
    (("folder", "-o", "out/o.png"), "out/o.png"),
    (("empty", "-o", "out"), "empty"),
    (("a.jpg", "photos/a.jpg", "-o", "out"), "out/a.jpg"),
    (("a.jpg", "a.jpg", "-o", "out"), "out/a.jpg"),
    (("a.jpg", "-o", "a.jpg"), "a.jpg"),
    (("a.jpg", "-o", "."), "a.jpg"),
    (("a.jpg", "-o", "text/o.png"), "text/o.png"),
    (("a.jpg", "-o", "/dev/null"), "/dev/null"),
    (("a.jpg", "-o", "/proc/o.png"), "/proc/o.png"),
    (("a.jpg", "-o", f"out/{'n' * 300}.png"), "nnn.png"),
    (("a.jpg", "-o", "out/o.gif"), "out/o.gif"),
    (("a.jpg", "-o", "out/o.avif"), "out/o.avif"),
    ((f"{'n' * 300}.jpg", "-o", "out/o.png"), "nnn.jpg"),
)  # fmt: skip
UNIVERSAL = ("--checkpoint", "universal.safetensors")
PAIR = (*UNIVERSAL, "--style", "b.jpg", *ONE)
MIXES = (
    *((("--weights", value, *PAIR), "weights") for value in ("0", "-1", "nan", "inf", "1,1", "a", "", ",")),
    (("--weights", "1e308,1e308", "--style", "b.jpg", *PAIR), "weights"),
    ((*UNIVERSAL, *ONE), "style"),
    ((*UNIVERSAL, "--style", "missing.jpg", *ONE), "missing.jpg"),
    ((*UNIVERSAL, "--style", "folder", *ONE), "folder"),
    ((*UNIVERSAL, "--style", "text", *ONE), "text"),
    (("--style-mask", "b.jpg", *PAIR), "--content-mask"),
    (("--auto-masks", "gan", *PAIR), "auto-masks"),
    (("--segmenter-weights", "text", *PAIR), "--segmenter-weights"),
    (("--checkpoint", "missing", *ONE), "missing"),
    (("--checkpoint", "", *ONE), "is empty"),
    (("--checkpoint", "../universal", *ONE), "../universal"),
)
FIT = (
    *(((*PAIR, f"fit.{setting}"), setting.split("=")[0])
      for setting in ("steps=0", "steps=-1", "steps=1.5", "steps=many", "stepz=3", "steps=null",
                      "max_side=-5", "optimizer=3")),
    ((*PAIR, "fit=none"), "none"),
    ((*PAIR, "fit="), "fit"),
    ((*PAIR, "fit.steps"), "fit.steps"),
    ((*PAIR, "fit.steps=["), "fit.steps"),
    (("--steps", "0", *PAIR), "steps"),
    (("--every", "0", *PAIR), "every"),
    (("--method", "magic", *PAIR), "method"),
    (("--strength", "0", *PAIR), "strength"),
    (("--from", "nowhere", *PAIR), "nowhere"),
    (("--save-look", "out/look.txt", *PAIR), "out/look.txt"),
    (("--method", "paper", "--save-look", "out/look.safetensors", *PAIR), "--save-look"),
    ((*UNIVERSAL, *ONE), "--style"),
    ((*UNIVERSAL, "--style", "b.jpg", "folder", "-o", "out/o.png"), "folder"),
)  # fmt: skip
LOOK = ("--checkpoint", "look.safetensors")
EXPORT = (
    (("--format", "gan", *LOOK, "-o", "out/a.gan"), "format"),
    (("--format", "cube", *LOOK, "-o", "out/a.cube"), "--photo"),
    (("--format", "cube", *LOOK, "--photo", "a.jpg", "-o", "out/a.txt"), "out/a.txt"),
    *((("--format", "cube", *LOOK, "--photo", "a.jpg", "--size", size, "-o", "out/a.cube"), "size")
      for size in ("0", "2", "64", "-17", "x", "1000000")),
    (("--format", "hald", *LOOK, "--photo", "a.jpg", "--size", "17", "-o", "out/a.png"), "size"),
    (("--format", "onnx", *LOOK, "--size", "17", "-o", "out/a.onnx"), "--size"),
    (("--format", "cube", *LOOK, "--photo", "text", "-o", "out/a.cube"), "text"),
    (("--format", "cube", *LOOK, "--photo", "a.jpg", "-o", "text/a.cube"), "text/a.cube"),
)  # fmt: skip
MATCH = (
    (("a.jpg", "missing.jpg", "-o", "out/a.cube"), "missing.jpg"),
    (("a.jpg", "text", "-o", "out/a.cube"), "text"),
    (("a.jpg", "folder", "-o", "out/a.cube"), "folder"),
    (("a.jpg", "b.jpg", "-o", "out/a.txt"), "out/a.txt"),
    (("a.jpg", "b.jpg", "--size", "5", "-o", "out/a.cube"), "size"),
    (("a.jpg", "b.jpg", "--heatmap", "out/h.jpg", "-o", "out/a.cube"), "out/h.jpg"),
    (("a.jpg", "b.jpg", "--heatmap", "out/a.png", "-o", "out/a.png"), "out/a.png"),
    (("a.jpg", "b.jpg", "--size", "17", "-o", "out/a.safetensors"), "--size"),
)
SHARD = (
    (("missing", "-o", "out/s"), "missing"),
    (("a.jpg", "-o", "out/s"), "a.jpg"),
    (("empty", "-o", "out/s"), "empty"),
    (("folder", "-o", "text"), "text"),
    *((("folder", "-o", "out/s", "--min-side", value), "min") for value in ("0", "-1", "x")),
    *((("folder", "-o", "out/s", "--format", value), "format") for value in ("gif", "")),
    *((("folder", "-o", "out/s", "--quality", value), "quality") for value in ("0", "101")),
    *((("folder", "-o", "out/s", "--shard-mb", value), "shard") for value in ("0", "-1", "1e3")),
    (("folder", "-o", "out/s", "--jobs", "0"), "jobs"),
    (("folder", "-o", "out/s", "--masks", "missing"), "missing"),
)
TRAIN = tuple(
    ((word,), name)
    for word, name in (
        ("lr=1", "lr"), ("optimizer.lrr=1", "lrr"), ("optimizer=sgd9", "sgd9"), ("data", "data"), ("data=", "data"),
        ("~module.nothing", "nothing"), ("+optimizer.lr=1", "optimizer.lr"), ("--verbose", "--verbose"),
        ("module=[", "module"), ("experiment=none", "none"),
        *((word, f"{word}: expected KEY=VALUE") for word in ("=3", "=", "+=3", "++=3", "~", "~=3", " =3", "@x=3", "x")),
        *((word, f"{word}: expected KEY=VALUE") for word in ("a b=3", "a..b=3", ".a=3", "é=3")),
        ("a=", "'a'"), ("~a=", "'a'"), ("a@=3", "a@=3"), ("a=3=4", "a=3=4"), ("~~a", "~~a"),
        ("optimizer=3", "optimizer=3"),
    )
)  # fmt: skip
COMMANDS = {
    "stylize": STYLIZE + MIXES, "fit": FIT, "export": EXPORT, "match": MATCH, "shard": SHARD, "train": TRAIN,
    "": ((("stile",), "stile"), ((), "COMMAND")),
}  # fmt: skip
