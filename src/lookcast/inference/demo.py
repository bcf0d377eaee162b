"""The example photos in every example look: photos and sheets, to see what a universal checkpoint does."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from lookcast import examples
from lookcast.atomic import atomic_write
from lookcast.inference.batch import MAX_WORKERS
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.read import Photo, read_srgb, write_photo
from lookcast.processes import deferred_interrupt, usable_cores
from lookcast.segmenters import open_segmenter
from lookcast.segmenters.auto_masks import AutoMasks

TILE, GAP = (300, 200), 4
Pixels = npt.NDArray[np.uint8]


def stylize_examples(stylizer: Stylizer, folder: Path, with_masks: bool = False) -> Path:
    """Stylize every example content with every example style. Write the photos and a sheet that shows them.

    The photos are `FOLDER/KIND/CONTENT_STYLE.jpg`, and the sheet is `FOLDER/KIND.jpg`, where KIND is `without_masks` or
    `with_masks`. On a terminal, the function shows a progress bar.

    Args:
        stylizer: a stylizer whose checkpoint takes a style photo.
        folder: folder for the files.
        with_masks: if True, use automatic masks.

    Returns:
        The sheet. The first row shows the styles, and the first column shows the contents.

    Raises:
        InputError: a file can't be written, or the checkpoint has a single look.
    """
    kind = "with_masks" if with_masks else "without_masks"
    contents = {name: read_srgb(path) for name, path in examples.contents().items()}
    styles = {name: read_srgb(path) for name, path in examples.styles().items()}
    segmenter = open_segmenter("scenes") if with_masks else None

    def stylize(pair: tuple[str, str]) -> Pixels:
        content, style = contents[pair[0]], styles[pair[1]]
        masks = {"style": style} if segmenter is None else AutoMasks(segmenter, [style])(content)
        output = stylizer.stylize(content, **masks)
        write_photo(folder / kind / f"{'_'.join(pair)}.jpg", Photo(output))
        return output

    pairs = [(content, style) for content in contents for style in styles]
    outputs = dict(zip(pairs, _map_in_threads(stylize, pairs, kind.replace("_", " ")), strict=True))
    rows = [[contents[content], *(outputs[content, style] for style in styles)] for content in contents]
    sheet = folder / f"{kind}.jpg"
    write_sheet(sheet, [[None, *styles.values()], *rows])
    return sheet


def write_sheet(path: Path, rows: Sequence[Sequence[Pixels | None]]) -> None:
    """Write one picture that shows photos in rows and columns. Each photo is cropped to the same aspect ratio.

    Args:
        path: the file to write; its suffix determines the format.
        rows: rows of equal length. An element is the pixels `(H, W, 3)` of a photo, or None for an empty place.

    Raises:
        InputError: the file can't be written.
    """
    width, height = TILE[0] + GAP, TILE[1] + GAP
    sheet = Image.new("RGB", (width * len(rows[0]) - GAP, height * len(rows) - GAP), "white")
    for row, pictures in enumerate(rows):
        for column, pixels in enumerate(pictures):
            if pixels is not None:
                sheet.paste(ImageOps.fit(Image.fromarray(pixels), TILE), (column * width, row * height))
    with atomic_write(path) as temporary:
        sheet.save(temporary, quality=88)


def _map_in_threads(
    stylize: Callable[[tuple[str, str]], Pixels], pairs: Sequence[tuple[str, str]], title: str
) -> list[Pixels]:
    """Return the output of each pair, with one thread for each core. The photos are too small to use several cores."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(min(usable_cores(), MAX_WORKERS), initializer=torch.set_num_threads, initargs=(1,))
    with deferred_interrupt() as check_interrupt:

        def run(pair: tuple[str, str]) -> Pixels:
            check_interrupt()
            return stylize(pair)

        try:
            return list(tqdm(pool.map(run, pairs), title, len(pairs), unit="photo", disable=None))
        finally:
            pool.shutdown(cancel_futures=True)
            # Otherwise the setting of a worker would apply to all threads that start later.
            torch.set_num_threads(threads)
