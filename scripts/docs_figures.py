#!/usr/bin/env python3
"""Draw the figures of the docs from the bundled example photos.

    python scripts/docs_figures.py              # all figures
    python scripts/docs_figures.py grid fit     # some of them

The figures are WebP files in `docs/figures`. `looks` is the picture at the top of the README.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, ImageOps

import lookcast
from lookcast import examples
from lookcast.atomic import atomic_write
from lookcast.fitting.look_fit import FitState, LookFit
from lookcast.generators.stages import GridStages
from lookcast.generators.statistics import CELLS, cell_sums
from lookcast.generators.universal import UniversalGenerator
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.color import luma
from lookcast.ops.local_affine import matting_energy, num_windows, window_models
from lookcast.ops.lut import apply_lut, fit_lut
from lookcast.ops.masks import mask_to_colors
from lookcast.photos.read import read_srgb, to_pixels, to_tensor
from lookcast.segmenters import SceneSegmenter
from lookcast.segmenters.auto_masks import AutoMasks

OUT = Path(__file__).resolve().parents[1] / "docs" / "figures"
ROWS = (
    ("city", "sunset"), ("lake", "blue_hour"), ("people", "autumn"),
    ("city", "night"), ("room", "winter"), ("lake", "desert"),
)  # fmt: skip
"""Pairs (content, style) of `looks`, from above."""
PAIR = ("lake", "blue_hour")
"""The pair of the other figures."""
WIDTH = 11.0  # of a figure, in inches at 100 dpi
mpl.rcParams.update({"font.size": 10, "axes.titlesize": 10, "figure.facecolor": "white"})


def photo(name: str) -> np.ndarray:
    """Return the pixels of an example."""
    return read_srgb((examples.contents() | examples.styles())[name])


def masked(stylizer: Stylizer, content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Stylize with automatic masks."""
    return stylizer.stylize(content, **AutoMasks(SceneSegmenter(), [style])(content))


def panels(columns: int, ratio: float, rows: int = 1, title: float = 0.32) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes `(rows, columns)`, without ticks; `ratio` is the height of a panel by its width."""
    height = rows * (WIDTH / columns * ratio + title)
    figure = Figure((WIDTH, height), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def show(axes: Sequence[Axes], pictures: dict[str, np.ndarray]) -> None:
    """Show pictures, each with its title."""
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, interpolation="antialiased")
        axis.set_title(title)


def predict(stylizer: Stylizer, content: np.ndarray, style: np.ndarray) -> GridStages:
    """Return the stages of the prediction for a pair, without masks."""
    generator = stylizer.generator
    assert isinstance(generator, UniversalGenerator)
    with torch.inference_mode():
        return generator.predict_stages(*(generator.read(to_tensor(pixels)) for pixels in (content, style)))


def looks(stylizer: Stylizer) -> Image.Image:
    """Six rows: photo, style photo, result without masks, result with automatic masks."""
    tile, gap, head = (300, 176), 6, 30
    sheet = Image.new("RGB", (4 * tile[0] + 3 * gap, head + len(ROWS) * (tile[1] + gap) - gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for column, title in enumerate(("photo", "style photo", "one pass", "one pass, automatic masks")):
        draw.text((column * (tile[0] + gap) + tile[0] / 2, head / 2 - 2), title, "#222", font, anchor="mm")
    for row, names in enumerate(ROWS):
        content, style = (photo(name) for name in names)
        pictures = (content, style, stylizer.stylize(content, style), masked(stylizer, content, style))
        for column, pixels in enumerate(pictures):
            place = (column * (tile[0] + gap), head + row * (tile[1] + gap))
            sheet.paste(ImageOps.fit(Image.fromarray(pixels), tile, Image.Resampling.LANCZOS), place)
    return sheet


def grid(stylizer: Stylizer) -> Figure:
    """What each cell makes of a grey pixel with the luma of the cell. Cells that no pixel uses are pale."""
    content, style = (photo(name) for name in PAIR)
    cells = predict(stylizer, content, style).grid[0]
    depth = cells.shape[1]
    grey = (torch.arange(depth) + 0.5) / depth
    maps = cells.view(3, 4, *cells.shape[1:])
    shown = (maps[:, :3].sum(1) * grey.view(-1, 1, 1) + maps[:, 3]).clamp(0, 1)
    statistics = stylizer.generator.read(to_tensor(content))
    mass = cell_sums(statistics.shares, torch.ones_like(statistics.shares[:, :1]))[0, ..., 0] / 16  # (P, D)
    used = (mass.T.reshape(depth, 1, CELLS, CELLS).transpose(0, 1) / 0.02).clamp(0.12, 1)
    shown = (shown * used + 1 - used).permute(1, 2, 3, 0)
    figure, axes = panels(depth // 2, 9 / 16, 2)
    for step, axis in enumerate(axes.flat):
        axis.imshow(shown[step], aspect=9 / 16, interpolation="nearest")
        axis.set_title(f"luma {step / depth:.2f} to {(step + 1) / depth:.2f}")
    return figure


def guide(stylizer: Stylizer) -> Figure:
    """Photo, guide in the eight steps of the grid, result, and the change of luma."""
    content, style = (photo(name) for name in PAIR)
    output = stylizer.stylize(content, style)
    before = luma(to_tensor(content))[0, 0]
    figure, axes = panels(3, content.shape[0] / content.shape[1])
    show(axes[0], {"photo": content, "guide: the luma of each pixel": before.numpy(), "result of slicing": output})
    axes[0, 1].images[0].set(cmap="viridis", clim=(0, 1))
    figure.colorbar(axes[0, 1].images[0], ax=axes[0, 1], location="right", ticks=np.arange(0, 1.01, 0.25), pad=0.01)
    return figure


def attention(stylizer: Stylizer) -> Figure:
    """The parts of the style photo to which three cells of the content attend."""
    content, style = (photo(name) for name in PAIR)
    attended = predict(stylizer, content, style).attention()[0]
    figure, axes = panels(4, 0.68)
    show(axes[0], {"photo with three cells": content} | {f"attention of cell {n}": style for n in "ABC"})
    height, width = content.shape[:2]
    for axis, name, color, (row, column) in zip(
        axes[0, 1:], "ABC", ("#ff4d4d", "#ffd84d", "#4de1ff"), ((1, 8), (5, 2), (9, 6)), strict=True
    ):
        box = (column * width / CELLS, row * height / CELLS)
        patch = mpl.patches.Rectangle(box, width / CELLS, height / CELLS, fill=False, edgecolor=color, linewidth=2)
        axes[0, 0].add_patch(patch)
        axes[0, 0].text(box[0] + 1.4 * width / CELLS, box[1] + height / CELLS, name, color=color, weight="bold")
        weights = attended[row * CELLS + column].view(CELLS, CELLS)
        light = Image.fromarray((weights / weights.max()).sqrt().numpy())  # the root also shows small weights
        light = 0.85 * np.array(light.resize(style.shape[1::-1], Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
        grey = 0.2 + 0.65 * style.mean(-1, keepdims=True) / 255
        axis.images[0].set_data(grey * (1 - light) + light * np.array(mpl.colors.to_rgb(color)))
        for spine in axis.spines.values():
            spine.set(edgecolor=color, linewidth=2)
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
    return figure


def matting(stylizer: Stylizer) -> Figure:
    """The matting energy of each window, for a result of lookcast and for a result with foreign texture."""
    content, style = (photo(name) for name in PAIR)
    height, width = content.shape[:2]
    output = stylizer.stylize(content, style)
    texture = np.array(ImageOps.fit(Image.fromarray(photo("autumn")), (width, height))).astype(np.float32)
    painted = (0.85 * output + 0.15 * texture).round().astype(np.uint8)
    figure, axes = panels(4, height / width)
    show(axes[0, ::2], {"result": output, "result + 15 % of another photo": painted})
    for axis, pixels in zip(axes[0, 1::2], (output, painted), strict=True):
        before, after = (to_tensor(image).double() for image in (content, pixels))
        energy = float(matting_energy(before, after)) / (3 * num_windows(height, width))
        axis.imshow(residual(before, after), cmap="inferno", vmin=0, vmax=0.06)
        axis.set_title(f"matting energy, mean {energy:.1e}")
    return figure


def residual(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """Return the root mean square of what the affine map of each 3x3 window leaves unexplained."""
    maps = window_models(before, after).view(3, 4, *(side - 2 for side in before.shape[-2:]))
    windows = [image[0].unfold(1, 3, 1).unfold(2, 3, 1).flatten(3) for image in (before, after)]
    fitted = torch.einsum("ijhw,jhwn->ihwn", maps[:, :3], windows[0]) + maps[:, 3, ..., None]
    return (windows[1] - fitted).square().mean((0, 3)).sqrt().numpy()


def fit(stylizer: Stylizer) -> Figure:
    """One pass, steps of optimisation, and the loss."""
    content, style = (photo(name) for name in PAIR)
    states: list[FitState] = []
    outputs = {"one pass": stylizer.stylize(content, style), "10 steps": stylizer.stylize(content, style, refine=10)}
    outputs["60 steps"] = stylizer.stylize(content, style, refine=LookFit(steps=60, on_step=states.append))
    figure, axes = panels(5, content.shape[0] / content.shape[1])
    show(axes[0, :4], {"photo": content} | outputs)
    axis = axes[0, 4]
    axis.set_axis_on()
    axis.plot([state.step for state in states], [float(state.terms.total) for state in states], color="#b3452c")
    axis.set(title="loss by step", box_aspect=content.shape[0] / content.shape[1], ylim=(0, None))
    axis.tick_params(labelsize=7)
    return figure


def masks(stylizer: Stylizer) -> Figure:
    """Photos, their automatic masks, and the results without and with masks."""
    content, style = (photo(name) for name in ("city", "sunset"))
    found = AutoMasks(SceneSegmenter(), [style])(content)
    own, other = (to_pixels(mask_to_colors(m)) for m in (found["content_mask"][0], found["style"][0].mask))
    figure, axes = panels(3, 0.6, 2)
    show(axes[0], {"photo": content, "its mask": own, "result without masks": stylizer.stylize(content, style)})
    show(axes[1], {"style photo": style, "its mask ": other, "result with masks": stylizer.stylize(content, **found)})
    return figure


def strength(stylizer: Stylizer) -> Figure:
    """A look at five strengths."""
    content, style = (photo(name) for name in ("city", "sunset"))
    stylizer.set_style(style)
    figure, axes = panels(5, content.shape[0] / content.shape[1])
    show(axes[0], {f"strength {s:g}": stylizer.stylize(content, strength=s) for s in (0, 0.25, 0.5, 0.75, 1)})
    return figure


def table(stylizer: Stylizer) -> Figure:
    """A look, the colour table that is fitted to it, and their difference."""
    content, style = (photo(name) for name in ("people", "autumn"))
    output = stylizer.stylize(content, style)
    before = to_tensor(content)
    lut = fit_lut(*(image[0].flatten(1).T for image in (before, to_tensor(output))))
    graded = to_pixels(apply_lut(lut, before))
    off = np.abs(graded.astype(int) - output).mean(-1)
    figure, axes = panels(4, content.shape[0] / content.shape[1])
    error = f"error, mean {off.mean():.1f} of 255 levels"
    show(axes[0], {"photo": content, "the look": output, "one colour table": graded, error: off})
    axes[0, 3].images[0].set(cmap="inferno", clim=(0, 40))
    return figure


FIGURES: dict[str, Callable[[Stylizer], Figure | Image.Image]] = {
    f.__name__: f for f in (looks, grid, guide, attention, matting, fit, masks, strength, table)
}


def main() -> None:
    """Draw the figures that are named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)} (default: all)")
    parser.add_argument("-o", "--out", type=Path, default=OUT, metavar="FOLDER", help="default: docs/figures")
    args = parser.parse_args()
    if unknown := set(args.names) - set(FIGURES):
        parser.error(f"no figure is called {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    stylizer = lookcast.load(device="cpu", precision="float32")
    for name in args.names or FIGURES:
        with atomic_write(args.out / f"{name}.webp") as temporary:
            picture = FIGURES[name](stylizer)
            if isinstance(picture, Figure):
                picture.savefig(temporary, format="webp", dpi=120, pil_kwargs={"quality": 82})
            else:
                picture.save(temporary, format="webp", quality=84)
        print(args.out / f"{name}.webp")


if __name__ == "__main__":
    main()
