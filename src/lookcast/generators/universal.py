"""Any photo takes the look of any other: regions are matched, their colours carried over, the rest is learned."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from lookcast.checks import InputError
from lookcast.generators.base import PairGenerator
from lookcast.generators.bilateral import ResidualBlock
from lookcast.generators.regions import (
    CELLS,
    FINE,
    NUM_FEATURES,
    TAP_CHANNELS,
    THUMBNAIL,
    UNMASKED_THUMBNAIL,
    PhotoStatistics,
    RegionHead,
    cell_sums,
    photo_statistics,
    region_shares,
    with_position,
)
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import COEFFICIENTS, identity_grid
from lookcast.ops.regions import absent_labels, check_mask_pair, label_shares
from lookcast.ops.resize import thumbnail_of
from lookcast.ops.transport import NUM_MOMENTS, knothe_rosenblatt
from lookcast.structures import Features

MAX_STRENGTH = 1.25  # of the carried colours: a little beyond the style's statistics
START = math.log(4)  # logit of the strength 1 before training; at .9 the colour distance is a third worse


class Group(NamedTuple):
    """What a cell's pixels belong to, or are to become.

    Attributes:
        moments: of colour, for every head, cell and region: `(B, H, P, K, 10)`.
        weights: of the photo's cells in the group of each cell, mean over heads and regions: `(B, P, P)`.
    """

    moments: torch.Tensor
    weights: torch.Tensor


class UniversalGenerator(PairGenerator):
    """Photo and style photo -> grid of affine colour transforms: any look in one pass.

    Three things are added to the identity in each cell of the grid:

    * *carried colours*: for each region of the cell the affine map that gives the colours of what the cell belongs to
      the means and covariances of what it is to become (`knothe_rosenblatt`). What it belongs to are the cells of the
      content that attention finds like it, what it is to become those of the style; the same query and keys find
      both. A mask restricts attention to the region and to its counterpart; without masks a small head tells regions
      apart.
    * its *strength*, and the mix of the attention heads, from residual blocks over the cells.
    * what the blocks *learned* to add: the difference of their outputs for the statistics of the style and of a draft,
      the thumbnail with its colours carried over.

    So a photo with itself as style comes back as it is, by construction, and before any training the generator is a
    colour transfer region by region. Masks: a label that the style lacks falls back to the whole style photo, as in the
    losses. The network sees thumbnails, of 256 px with masks and of 128 px without; the photo itself is only sliced.

    Args:
        encoder: the frozen compact encoder.
        depth: D of the grid.
        channels: width of the residual blocks.
        blocks: residual blocks at the resolution of the grid.
        heads: of the attention.
        head_width: channels of each head's queries and keys.
        regions: K where no mask is given.

    Raises:
        InputError: a size that is not positive, or another encoder.

    Reference:
        Luan et al. 2017 (regions); Gharbi et al. 2017 (the grid); Xia et al., "Joint bilateral learning for real-time
        universal photorealistic style transfer", ECCV 2020 (a grid from two photos).
    """

    name = "universal"
    needs_encoder = True
    thumbnail = THUMBNAIL
    free_thumbnail = UNMASKED_THUMBNAIL  # what is left of it where there is no mask

    def __init__(
        self,
        encoder: nn.Module,
        depth: int = 8,
        channels: int = 96,
        blocks: int = 3,
        heads: int = 4,
        head_width: int = 24,
        regions: int = 8,
    ) -> None:
        super().__init__()
        self.arguments = {
            "depth": depth, "channels": channels, "blocks": blocks, "heads": heads,
            "head_width": head_width, "regions": regions,
        }  # fmt: skip
        for name, value in self.arguments.items():
            if value < 1:
                raise InputError(f"{name}: expected a positive number, got {value}")
        with torch.no_grad():
            taps = tuple(tap.shape[1] for tap in encoder(torch.zeros(1, 3, 16, 16)).values())
        if taps != TAP_CHANNELS:
            raise InputError(f"encoder: expected the compact one with taps of {TAP_CHANNELS} channels, got {taps}")
        self.encoder = encoder
        self.depth, self.heads = depth, heads
        self.regions = RegionHead(regions)
        inputs = 2 * NUM_FEATURES + 2
        self.query = nn.Conv2d(inputs, heads * head_width, 1, bias=False)
        self.key = nn.Conv2d(inputs, heads * head_width, 1, bias=False)
        # Like attends to like before anything is learned.
        self.query.load_state_dict(self.key.state_dict())
        # With a mask the whole region is what a cell belongs to, until training finds better; without, its like.
        self.sharpness = nn.Parameter(torch.stack([torch.linspace(0, 0.5, heads), torch.linspace(0.4, 1.2, heads)]))
        self.floor = nn.Parameter(torch.full((3,), 1e-4).log())
        statistics = 2 * NUM_FEATURES + depth + 6
        self.context = nn.Conv2d(inputs + NUM_MOMENTS, channels, 1)
        self.group = nn.Conv2d(statistics, channels, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.residual = nn.Conv2d(channels, COEFFICIENTS * depth, 1, bias=False)  # it would cancel
        self.gates = nn.Conv2d(channels, heads + 1, 1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.gates.weight)
        assert self.gates.bias is not None
        nn.init.zeros_(self.gates.bias)

    def read(
        self, photo: torch.Tensor, mask: torch.Tensor | None = None, features: Features | None = None
    ) -> PhotoStatistics:
        """See `PairGenerator.read`.

        Args:
            photo: `(B, 3, H, W)` in [0, 1].
            mask: its regions, `(B, K, h, w)` of any size, or None.
            features: the encoder's of the photo, if somebody has them; they serve where it is the thumbnail itself.
        """
        thumbnail = thumbnail_of(photo, THUMBNAIL)
        if mask is None:  # from the thumbnail, so that the photo's own will do here too
            thumbnail = thumbnail_of(thumbnail, self.free_thumbnail)
        if features is None or thumbnail is not photo:
            with torch.no_grad():
                features = self.encoder(thumbnail)
        with torch.autocast(thumbnail.device.type, enabled=False):  # differences of moments need every digit
            reading = photo_statistics(thumbnail.float(), features, mask, self.depth)
        # Here and not in `predict_grid`: a style is read once, for many contents.
        return reading._replace(classes=self._classes(reading)) if mask is None else reading

    def predict_grid(self, content: PhotoStatistics, style: PhotoStatistics) -> torch.Tensor:
        """See `PairGenerator.predict_grid`; `(B, 12, D, 16, 16)`."""
        sharpness = self.sharpness[0 if content.mask is not None else 1].view(-1, 1, 1)
        if content.mask is None or style.mask is None:
            own_mask, their_mask = self._classes(content), self._classes(style)
        else:
            check_mask_pair(content.mask, style.mask)
            absent = absent_labels(label_shares(content.mask), label_shares(style.mask))
            own_mask = content.mask
            their_mask = torch.where(absent[..., None, None], torch.ones_like(style.mask), style.mask)
        with torch.autocast(content.places.device.type, enabled=False):
            query = self._split(self.query(with_position(content.cells))) * sharpness
            own = self._attend(query, content, own_mask, own_mask)
            theirs = self._attend(query, style, their_mask, own_mask)
            # One map for every head, cell and region, (B, H, P, K, 12).
            maps = knothe_rosenblatt(own.moments, theirs.moments, self.floor.exp())
            local = _to_plane(cell_sums(own_mask, content.moments).sum(2)) / (FINE // CELLS) ** 2
            wanted = _summary(theirs.weights, style)
        context = self.context(torch.cat([with_position(content.cells), local], 1))
        hidden = torch.relu(self.blocks(context + self.group(wanted)))
        gates = self.gates(hidden).float().flatten(2)
        head, strength = gates[:, :-1].softmax(1), MAX_STRENGTH * (gates[:, -1:] + START).sigmoid()
        size = (context.shape[0], COEFFICIENTS, self.depth, CELLS, CELLS)
        with torch.autocast(maps.device.type, enabled=False):
            blended = torch.einsum("bhp,bhpkc->bpkc", head, maps)
            identity = identity_grid(1, 1, 1, 1, maps.device, maps.dtype)
            change = (blended - identity.view(-1)) * strength.transpose(1, 2)[..., None]
            shares = region_shares(content.shares, own_mask).flatten(3)
            # Cell by cell: einsum would copy each of their small matrices by itself.
            cells = change.transpose(2, 3) @ shares.permute(0, 3, 1, 2).contiguous()  # (B, P, 12, D)
            carried: torch.Tensor = cells.permute(0, 2, 3, 1).reshape(size)
        reached = torch.relu(self.blocks(context + self.group(self._draft(content, identity + carried, own.weights))))
        learned: torch.Tensor = (self.residual(hidden) - self.residual(reached)).float().reshape(size)
        return identity + carried + learned

    @torch.no_grad()
    def _draft(self, content: PhotoStatistics, grid: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Statistics of the content's groups once their colours have been carried over: what is still missing."""
        image = apply_grid(grid, content.thumbnail).clamp(0, 1)
        features = self.encoder(image)
        with torch.autocast(image.device.type, enabled=False):
            return _summary(weights, photo_statistics(image, features, None, self.depth))

    def _classes(self, reading: PhotoStatistics) -> torch.Tensor:
        classes: torch.Tensor = self.regions(reading.places) if reading.classes is None else reading.classes
        return classes

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, H * C, 16, 16)` to `(B, H, P, C)`."""
        return x.view(x.shape[0], self.heads, -1, CELLS * CELLS).transpose(2, 3)

    def _attend(self, query: torch.Tensor, reading: PhotoStatistics, mask: torch.Tensor, own: torch.Tensor) -> Group:
        """What each cell of the content finds in a photo.

        Args:
            query: the content's, `(B, H, P, C)`.
            reading: of the photo.
            mask: its regions, `(B, K, 64, 64)`.
            own: those of the content.
        """
        key = self._split(self.key(with_position(reading.cells)))
        attention = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(-1)
        # A cell may attend to a place where its region is not: a little of everywhere keeps every sum above zero.
        attention = 0.99 * attention + 0.01 / attention.shape[-1]
        sums = cell_sums(mask, reading.moments)  # (B, P, K, 10)
        moments = attention @ sums.flatten(2)[:, None]
        moments = moments.view(*moments.shape[:3], *sums.shape[2:])
        shares = cell_sums(own, torch.ones_like(own[:, :1]))[..., 0]  # (B, P, K), of the content's regions
        shares = shares / shares.sum(-1, keepdim=True).clamp_min(1e-6)
        mass = moments[..., 0].clamp_min(1e-8)
        weights = (shares[:, None] / mass) @ sums[..., 0].transpose(1, 2)[:, None] * attention
        return Group(moments, weights.mean(1))


def _summary(weights: torch.Tensor, reading: PhotoStatistics) -> torch.Tensor:
    """What the residual blocks see of a group: means and spreads of features and colours, shares of luma.

    Args:
        weights: `(B, P, P)`, of the photo's cells in each group.
        reading: of the photo.
    """
    statistics = weights @ reading.statistics
    moments = weights @ F.avg_pool2d(reading.moments, FINE // CELLS).flatten(2).transpose(1, 2)
    mean, square = statistics[..., :NUM_FEATURES], statistics[..., NUM_FEATURES : 2 * NUM_FEATURES]
    spread = (square - mean.square()).clamp_min(1e-4).sqrt()
    center = moments[..., 1:4]
    deviation = (moments[..., [4, 7, 9]] - center.square()).clamp_min(1e-5).sqrt()
    # The factors bring all of them to the order of 1.
    return _to_plane(torch.cat([mean, spread, 8 * statistics[..., 2 * NUM_FEATURES :], 4 * center, 8 * deviation], -1))


def _to_plane(cells: torch.Tensor) -> torch.Tensor:
    """`(B, P, C)` to `(B, C, 16, 16)`."""
    return cells.transpose(1, 2).reshape(cells.shape[0], -1, CELLS, CELLS)
