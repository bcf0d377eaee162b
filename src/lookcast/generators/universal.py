"""A generator for any style photo: colour transfer between matching regions, plus a learned correction."""

import math

import torch
from torch import nn

from lookcast.checks import InputError, check_integer
from lookcast.generators.base import PairGenerator
from lookcast.generators.bilateral import ResidualBlock
from lookcast.generators.grounds import GroundSharing
from lookcast.generators.groups import carried_colors, color_maps, group_of, split_heads
from lookcast.generators.least_squares import LeastSquaresStep
from lookcast.generators.regions import RegionHead, SceneRegions, common_classes, region_shares, region_sizes
from lookcast.generators.robust_map import RobustMap
from lookcast.generators.stages import GridStages
from lookcast.generators.statistics import (
    CELLS,
    NUM_FEATURES,
    PLACES,
    TAP_CHANNELS,
    PhotoStatistics,
    cell_sums,
    group_summary,
    photo_statistics,
    to_plane,
    with_position,
)
from lookcast.generators.tones import ToneTransfer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid
from lookcast.ops.precision import full_precision, no_autocast
from lookcast.ops.regions import absent_labels, check_mask_pair, label_shares
from lookcast.ops.resize import thumbnail_of
from lookcast.ops.transport import NUM_MOMENTS
from lookcast.structures import Features

MAX_STRENGTH = 1.25
"""Maximum strength of the colour transfer. A strength of 1 reaches the colour statistics of the style."""
START = math.log(4)
"""Logit that gives the untrained generator a strength of 1. A strength of .9 raises the colour distance by a third."""
OPTIONAL_PARTS = ("ground_channels", "tone_steps", "solver_steps", "robust_steps", "mask_blur", "scenes")
"""Arguments that may be 0, which switches a part off, or takes the trained head. Old checkpoints lack them."""
LIMITS = {"depth": 64, "channels": 1024, "blocks": 64, "heads": 64, "head_width": 256, "regions": 64}
LIMITS |= dict.fromkeys(OPTIONAL_PARTS, 64) | {"scenes": 1}
"""Maximum of each argument. The limits keep a checkpoint from allocating more memory than a machine has."""


class UniversalGenerator(PairGenerator):
    """Generator that predicts a bilateral grid from a content photo and any style photo, in one pass.

    In each cell, the grid is `identity + strength * carried colours + correction + tones + solution + agreement`:

    * *carried colours*: an affine colour map minus the identity, averaged over the regions in the cell. For each
      region, the map (`knothe_rosenblatt`) carries the colours of a group in the content to the colours of a group in
      the style. A group contains the cells of a photo that resemble the cell. Attention finds both groups, with the
      same query and key layer. A mask restricts both groups to one label. Without masks, a network finds the regions.
    * *strength*: a factor that residual blocks over the cells predict. They also predict the mix of the heads.
    * *correction*: the difference of two outputs of the residual blocks: the output for the statistics of the style
      minus the output for the statistics of a draft. The draft is the content's thumbnail with carried colours.
    * Cells that show one surface, such as a wall, share carried colours and correction (`GroundSharing`).
    * *tones*: each region moves towards the tones of its region in the style (`ToneTransfer`).
    * *solution*: the grid moves towards locally affine changes and towards the style's colours (`LeastSquaresStep`).
    * *agreement*: the grid moves towards one map for all cells, the further the more groups agree on it (`RobustMap`).

    A photo as its own style stays unchanged by construction. A label absent from the style uses the whole style photo,
    as in the losses. The network sees only thumbnails, while slicing uses the full resolution.

    Attributes:
        thumbnail: side of the thumbnail of a photo with a mask, in pixels.
        unmasked_thumbnail: the same without a mask; the metrics equal those of 256 px.

    Args:
        encoder: the frozen compact encoder.
        depth: D, depth of the grid.
        channels, blocks: number of channels of the residual blocks, and number of these blocks.
        heads, head_width: number of attention heads, and number of channels of each head's queries and keys.
        regions: K, number of regions that a trained head predicts without masks.
        ground_channels: number of channels of the features of `GroundSharing`. 0 switches off `GroundSharing` and the
            colour maps of the whole photo, which old checkpoints lack.
        tone_steps: number of luma steps by which `ToneTransfer` compares tones. 0 switches it off.
        solver_steps, robust_steps: number of steps of `LeastSquaresStep` and of `RobustMap`. 0 switches a part off.
        mask_blur: see `photo_statistics`. 0 keeps the masks as they are.
        scenes: 1: a frozen network finds the regions without masks (`SceneRegions`). 0: the trained head does.

    Raises:
        InputError: an argument is outside its range (`LIMITS`), or the encoder is not the compact encoder.

    Reference:
        Luan et al. 2017 (regions); Gharbi et al. 2017 (the grid); Xia et al., ECCV 2020 (a grid from two photos).
    """

    name = "universal"
    needs_encoder = True
    thumbnail = 256
    unmasked_thumbnail = 128
    mask_side = PLACES

    def __init__(
        self,
        encoder: nn.Module,
        depth: int = 8,
        channels: int = 96,
        blocks: int = 3,
        heads: int = 4,
        head_width: int = 24,
        regions: int = 8,
        ground_channels: int = 0,
        tone_steps: int = 0,
        solver_steps: int = 0,
        robust_steps: int = 0,
        mask_blur: int = 0,
        scenes: int = 0,
    ) -> None:
        super().__init__()
        self.arguments = {name: value for name, value in locals().items() if name in LIMITS}
        for name, value in self.arguments.items():
            check_integer(name, value, 0 if name in OPTIONAL_PARTS else 1, LIMITS[name])
        taps = tuple(getattr(encoder, "channels", {}).values())
        if taps != TAP_CHANNELS:
            raise InputError(f"encoder: expected the compact encoder, with taps of {TAP_CHANNELS} channels, got {taps}")
        self.encoder = encoder
        self.depth, self.heads, self.tone_steps, self.mask_blur = depth, heads, tone_steps, mask_blur
        self.regions: nn.Module = SceneRegions() if scenes else RegionHead(regions)
        inputs = 2 * NUM_FEATURES + 2
        self.query = nn.Conv2d(inputs, heads * head_width, 1, bias=False)
        self.key = nn.Conv2d(inputs, heads * head_width, 1, bias=False)
        self.query.load_state_dict(self.key.state_dict())  # before training, cells attend to similar cells
        # Factors of the queries: row 0 with masks, row 1 without. Before training, a group is most of the region, or
        # only similar cells without masks. On the meta device, where checkpoints start, `linspace` would import sympy.
        unmasked, masked = torch.linspace(0.4, 1.2, heads, device="cpu"), torch.linspace(0, 0.5, heads, device="cpu")
        self.sharpness = nn.Parameter(torch.stack([masked, unmasked]))
        self.floor = nn.Parameter(torch.full((3,), math.log(1e-4)))
        statistics = 2 * NUM_FEATURES + depth + 6
        self.context = nn.Conv2d(inputs + NUM_MOMENTS, channels, 1)
        self.group = nn.Conv2d(statistics, channels, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.residual = nn.Conv2d(channels, COEFFICIENTS * depth, 1, bias=False)  # the difference cancels a bias
        self.gates = nn.Conv2d(channels, heads + 1, 1)
        assert self.gates.bias is not None
        for parameter in (self.residual.weight, self.gates.weight, self.gates.bias):
            nn.init.zeros_(parameter)
        self.grounds = GroundSharing(inputs, ground_channels) if ground_channels else None
        if ground_channels:
            # Two logits of the last two maps of `color_maps` in the mix, then a logit of openness for each depth.
            self.sharing = nn.Conv2d(channels, 2 + depth, 1)
            nn.init.zeros_(self.sharing.weight)
            assert self.sharing.bias is not None
            self.sharing.bias.data.zero_()[:2] = -1.5
        self.tones = ToneTransfer(channels) if tone_steps else None
        self.solver = LeastSquaresStep(channels, solver_steps) if solver_steps else None
        self.robust = RobustMap(channels, heads, robust_steps) if robust_steps else None

    def thumbnail_side(self, masked: bool) -> int:
        """Return the side of the thumbnail that the encoder reads, for a photo with or without a mask."""
        return self.thumbnail if masked else self.unmasked_thumbnail

    def read(
        self, photo: torch.Tensor, mask: torch.Tensor | None = None, features: Features | None = None
    ) -> PhotoStatistics:
        """Return the statistics of a photo; see `PairGenerator.read`.

        Args:
            photo: `(B, 3, H, W)` in [0, 1], any size.
            mask: `(B, K, h, w)` in [0, 1], any size, or None.
            features: the encoder's features of the photo, used only if the photo already is the thumbnail; or None.
        """
        thumbnail = thumbnail_of(photo, self.thumbnail)
        # In two steps, so that a photo and its thumbnail give the same statistics.
        thumbnail = thumbnail_of(thumbnail, self.thumbnail_side(mask is not None))
        if features is None or thumbnail is not photo:
            with torch.no_grad():
                features = self.encoder(thumbnail)
        options = self.depth, self.tone_steps, self.mask_blur
        with no_autocast(thumbnail):  # differences of moments need all digits
            statistics = photo_statistics(full_precision(thumbnail), features, mask, *options)
        if mask is not None:
            return statistics
        # Predict the classes here: a style is read once for many contents. torch 2.11 cannot compile `_replace`.
        return PhotoStatistics(*statistics[:-1], self._classes(statistics))

    def predict_grid(self, content: PhotoStatistics, style: PhotoStatistics) -> torch.Tensor:
        """Predict the grid `(B, 12, D, 16, 16)`; see `PairGenerator.predict_grid`."""
        return self.predict_stages(content, style).grid

    def predict_stages(self, content: PhotoStatistics, style: PhotoStatistics) -> GridStages:
        """Predict the grid, and return it with the values from which it was made; see `predict_grid`."""
        sharpness = self.sharpness[0 if content.mask is not None else 1].view(-1, 1, 1)
        if content.mask is None or style.mask is None:
            own_mask, style_mask = self._classes(content), self._classes(style)
            if self.arguments["scenes"]:
                own_mask, style_mask = common_classes(own_mask, style_mask)
        else:
            check_mask_pair(content.mask, style.mask)
            own_mask, absent = content.mask, absent_labels(label_shares(content.mask), label_shares(style.mask))
            style_mask = torch.where(absent[..., None, None], torch.ones_like(style.mask), style.mask)
        with no_autocast(content.places):
            cells = with_position(content.cells)
            query = split_heads(self.query(cells), self.heads) * sharpness
            key, style_key = (split_heads(self.key(x), self.heads) for x in (cells, with_position(style.cells)))
            sizes = region_sizes(own_mask)
            of_content = group_of(query, key, content, own_mask, sizes)
            of_style = group_of(query, style_key, style, style_mask, sizes)
            maps = color_maps(sizes, of_content, of_style, self.floor.exp(), self.grounds is not None)
            local = to_plane(cell_sums(own_mask, content.moments).sum(2)) / (PLACES // CELLS) ** 2
            wanted = group_summary(of_style.weights, style)
        context = self.context(torch.cat([cells, local], 1))
        hidden = torch.relu(self.blocks(context + self.group(wanted)))
        gates = full_precision(self.gates(hidden)).flatten(2)
        logits, strength = gates[:, :-1], MAX_STRENGTH * (gates[:, -1:] + START).sigmoid()
        if self.grounds is not None:
            sharing = full_precision(self.sharing(hidden))
            logits = torch.cat([logits, sharing[:, :2].flatten(2)], 1)
        head = logits.softmax(1)
        with no_autocast(maps):
            regions = region_shares(content.shares, own_mask)
            carried = carried_colors(maps, head, strength, regions)
            identity = identity_grid(1, 1, 1, 1, maps.device, maps.dtype)
        grounds = None if self.grounds is None else self.grounds(content, regions, sharing[:, 2:])
        shared = carried if grounds is None else grounds.share(carried)
        draft = self._draft(content, identity + shared, of_content.weights)
        reached = torch.relu(self.blocks(context + self.group(draft)))
        learned = full_precision(self.residual(hidden) - self.residual(reached)).reshape_as(carried)
        smooth = learned if grounds is None else grounds.share(learned)
        grid, corrections = identity + shared + smooth, {}
        parts = {
            "toned": (self.tones, ((content, style), (own_mask, style_mask), regions, hidden)),
            "solved": (self.solver, ((content, style), (own_mask, style_mask), hidden)),
            "robust": (self.robust, (content.mask is not None, regions, sizes, of_content.moments, maps, hidden)),
        }
        for name, (part, inputs) in parts.items():
            if part is not None:
                corrections[name] = part(grid, *inputs)
                grid = grid + corrections[name]
        return GridStages(
            own_mask, style_mask, of_content, of_style, head, strength, carried, shared, learned, smooth, grounds,
            corrections, grid,
        )  # fmt: skip

    @torch.no_grad()
    def _draft(self, content: PhotoStatistics, grid: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Apply a grid to the content's thumbnail, and return the `group_summary` of this draft."""
        image = apply_grid(grid, content.thumbnail).clamp(0, 1)
        features = self.encoder(image)
        with no_autocast(image):
            return group_summary(weights, photo_statistics(image, features, None, self.depth))

    def _classes(self, statistics: PhotoStatistics) -> torch.Tensor:
        classes: torch.Tensor = self.regions(statistics) if statistics.classes is None else statistics.classes
        return classes
