import torch

from lookcast.segmenters.borders import align_borders
from tests.samples import rand


def _halves(height, width, edge):
    image = torch.full((1, 3, height, width), 0.2)
    image[..., edge:] = 0.8
    return image


class TestAlignBorders:
    def test_borders_move_to_the_edges(self):
        image = _halves(256, 256, 120)
        soft = torch.zeros(1, 2, 16, 16)
        soft[:, 0, :, :8], soft[:, 1, :, 8:] = 1, 1  # the border is 8 pixels right of the edge
        aligned = align_borders(image, soft)
        assert aligned.shape == (1, 2, 256, 256)
        labels = aligned.argmax(1)[0]
        assert not labels[:, :118].any()
        assert labels[:, 124:].all()

    def test_a_ground_becomes_one_region(self):
        # A wrong place on a flat ground takes the label of the ground around it.
        image = torch.full((1, 3, 128, 128), 0.5)
        soft = torch.zeros(1, 2, 16, 16)
        soft[:, 0] = 1
        soft[:, :, 8, 8] = torch.tensor([0.0, 1.0])
        assert not align_borders(image, soft).argmax(1).any()

    def test_weights_keep_their_sum(self):
        soft = rand(1, 3, 12, 9).float().softmax(1)
        total = align_borders(rand(1, 3, 90, 70, seed=1).float(), soft).sum(1)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-4)

    def test_guidance_has_at_most_512_pixels(self):
        assert align_borders(torch.zeros(1, 3, 300, 1200), torch.ones(1, 1, 4, 8)).shape == (1, 1, 128, 512)
