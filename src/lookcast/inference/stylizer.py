"""The `Stylizer`, which stylizes photos with the generator of a checkpoint."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from PIL.Image import Image

from lookcast.checkpoints import find_checkpoint, load_checkpoint
from lookcast.checks import InputError
from lookcast.inference.devices import pick_device, usual_torch
from lookcast.inference.masks import AnyMasks, read_masks
from lookcast.inference.pixel_stylizer import PixelStylizer
from lookcast.inference.styles import Style, check_strength, style_inputs
from lookcast.photos.adapters import AnyImage, ImageT, open_image

if TYPE_CHECKING:
    from lookcast.fitting.look_fit import LookFit


def load(
    path_or_name: str | Path | None = None, device: str | torch.device = "auto", precision: str = "auto"
) -> "Stylizer":
    """Load a checkpoint as a `Stylizer`.

    Args:
        path_or_name: path of a `.safetensors` file, or name of a checkpoint that ships with lookcast; None loads the
            shipped universal checkpoint.
        device: see `pick_device`.
        precision: see `Stylizer`.

    Raises:
        CheckpointError: the file or name does not exist, or the file is not a checkpoint that this version can load.
        InputError: this machine does not have the device, or the precision is unknown.
    """
    chosen = pick_device(device)
    # Outside of inference mode, because `refine` computes gradients through the encoder.
    with torch.inference_mode(False), usual_torch():
        generator, header = load_checkpoint(find_checkpoint(path_or_name))
        return Stylizer(generator, header, chosen, precision)


class Stylizer(PixelStylizer):
    """Stylization of photos with a trained generator.

    Stylizing does not change the state of a `Stylizer`, so several threads may use the same `Stylizer`.

    Args:
        generator: the trained network. The constructor moves the network to the device and sets evaluation mode.
        header: header of the checkpoint, which describes the generator.
        device: see `pick_device`.
        precision: `auto` or `float32`. With `auto`, the encoder of a universal generator computes in bfloat16 if
            bfloat16 is much faster on the device. bfloat16 changes pixels by a tenth of an 8-bit level on average, and
            by at most one or two levels. With `float32`, results on different machines differ by at most one level.

    Attributes:
        generator: the network, on the device and in evaluation mode.
        header: header of the checkpoint.
        device: device of the computation. Images are returned on their original device.
        styles: the encoded styles that `set_style` has set.
    """

    def set_style(
        self, style: Style, style_mask: AnyMasks | None = None, weights: Sequence[float] | None = None
    ) -> None:
        """Set the default style of `stylize`. Later calls of `stylize` then need not encode the style again.

        Args:
            style: see `stylize`.
            style_mask: see `stylize`.
            weights: see `stylize`.

        Raises:
            InputError: the checkpoint has a single look, or the styles, masks and weights do not match.
        """
        self.styles = self._encode(style_inputs(style, style_mask, weights))

    @overload
    def stylize(self, content: str | PathLike[str], *arguments: Any, **options: Any) -> Image: ...

    @overload
    def stylize(self, content: ImageT, *arguments: Any, **options: Any) -> ImageT: ...

    def stylize(
        self,
        content: AnyImage,
        style: Style | None = None,
        content_mask: AnyMasks | None = None,
        style_mask: AnyMasks | None = None,
        strength: float = 1.0,
        weights: Sequence[float] | None = None,
        refine: "int | LookFit" = 0,
    ) -> AnyImage:
        """Give a photo the look of a style.

        Args:
            content: path of a photo file; PIL image of any mode; numpy array `(H, W)`, `(H, W, 3)` or `(H, W, 4)` of
                uint8, uint16 or floating point in [0, 1]; torch tensor `(3, H, W)` or `(B, 3, H, W)` of uint8 or
                floating point in [0, 1].
            style: style photo for a universal checkpoint; the same types as for `content` are allowed. A list of style
                photos mixes their looks. A `StyleInput` combines a photo, its mask and its weight. None uses the style
                that `set_style` has set.
            content_mask: mask of the content: path of a PNG in nine colours, or such a PIL image; uint8 labels `(H, W)`
                or `(B, H, W)`, as `read_mask` returns them, as tensor or array; or a soft mask `(B, K, h, w)` in
                [0, 1], with one channel for each label. The mask needs the aspect ratio of the content. A single mask
                is used for all styles; a list has one mask for each style.
            style_mask: mask of the style photo, in the same forms as `content_mask`. The mask needs the aspect ratio of
                the style photo. For several styles, pass a list with one mask for each style. If a label of the content
                is absent from a style, the region of this label takes the look of the whole style photo, and the log
                warns about the label.
            strength: blend factor in [0, 1]. At 0, the result equals the content bit for bit; at 1, it has the full
                look. Values in between blend the two linearly in sRGB. The result is clamped to [0, 1].
            weights: positive weight of each style in the mix; the weights may have any sum. None mixes styles equally.
            refine: number of optimisation steps after the prediction, for a universal checkpoint. Ten steps take about
                a second on two cores, and bring the output closer to the style. The steps amplify rounding, so results
                on different machines differ more. A `LookFit` sets further options.

        Returns:
            The stylized image, with the type, size, bit depth and device of the content. Integers are rounded to the
            nearest level, and floating-point values lie in [0, 1]. A grey image becomes RGB, because a look adds
            colour. A PIL image becomes 8-bit RGB, or RGBA with its original alpha (PIL has no 16-bit colour). For a
            path, the result is such a PIL image, upright, and its `save` keeps the metadata of the file (`FileImage`).

        Raises:
            InputError: the type or range of an image is invalid, a file can't be read, the strength is outside [0, 1],
                a mask does not match its photo, only one of the two photos has a mask, a single-look checkpoint gets a
                style or `refine`, or a universal checkpoint gets no style.
        """
        strength = check_strength(strength)
        if not self.generator.takes_style:
            self.generator.check_style(style, content_mask, style_mask)
        if style is None and (style_mask is not None or weights is not None):
            name = "weights" if style_mask is None else "style_mask"
            raise InputError(f"{name}: given without a style photo")
        styles = self.styles if style is None else self._encode(style_inputs(style, style_mask, weights))
        image, masks = open_image("content", content), read_masks("content_mask", content_mask)
        result: AnyImage = image.restore(self.stylize_pixels(image.pixels, masks, strength, styles, refine))
        return result
