import torch

from lookcast.generators.groups import Group, color_maps
from lookcast.generators.regions import region_sizes
from lookcast.generators.statistics import PLACES
from lookcast.ops.transport import NUM_MOMENTS, color_moments, knothe_rosenblatt
from tests.samples import rand, randn

FLOOR = torch.full((3,), 1e-4, dtype=torch.float64)


def group(seed):
    """Moments of random colours for 2 heads, 256 cells and 3 regions; the mass of each group differs."""
    colors = rand(1, 3, 2 * 256 * 3, 5, seed=seed)
    moments = color_moments(colors).mean(-1)[0].T.reshape(1, 2, 256, 3, NUM_MOMENTS)
    return Group(moments * (0.1 + rand(1, 2, 256, 3, 1, seed=seed + 1)), torch.empty(0))


class TestColorMaps:
    def test_known_value(self):
        own, content, style = (2 * randn(1, 3, PLACES, PLACES)).softmax(1), group(1), group(3)
        own[:, 0, :, :16] *= 0.1  # regions of different sizes, and places without a label
        maps = color_maps(region_sizes(own), content, style, FLOOR, whole=True)
        assert maps.shape == (1, 4, 256, 3, 12)
        of_heads = color_maps(region_sizes(own), content, style, FLOOR, whole=False)
        torch.testing.assert_close(maps[:, :2], of_heads)
        assert torch.equal(maps[:, 2:], maps[:, 2:, :1].expand(-1, -1, 256, -1, -1))
        sums = []
        for moments in (content.moments[0], style.moments[0]):
            total = torch.zeros(3, NUM_MOMENTS, dtype=torch.float64)
            for cell in range(256):
                y, x = (4 * n for n in divmod(cell, 16))
                for region in range(3):
                    share = own[0, region, y : y + 4, x : x + 4].sum()
                    for head in range(2):
                        total[region] += share * moments[head, cell, region] / moments[head, cell, region, 0]
            sums.append(total)
        # Sums of 512 moments, 1.1e-16 each, divided by variances of .01 and more.
        of_region = knothe_rosenblatt(*sums, FLOOR)
        torch.testing.assert_close(maps[0, 2, 0], of_region, rtol=0, atol=1e-9)
        of_all = knothe_rosenblatt(*(total.sum(0) for total in sums), FLOOR)
        torch.testing.assert_close(maps[0, 3, 0], of_all.expand(3, -1), rtol=0, atol=1e-9)
