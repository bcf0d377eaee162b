import pytest
import torch

from lookcast.encoders.efficientnet import Convolution, EfficientNetLite


class TestConvolution:
    def test_padding_of_a_stride_is_at_the_end(self):
        convolution = Convolution(1, 1, 3, 2, rectify=False)
        convolution.convolution.weight.data.fill_(1)
        convolution.convolution.bias.data.zero_()
        found = convolution(torch.arange(16.0).view(1, 1, 4, 4))
        # Windows of rows and columns 0 to 2 and 2 to 4, where row and column 4 are padding.
        assert found.flatten().tolist() == [45.0, 39.0, 66.0, 50.0]

    def test_rectifier_has_a_maximum(self):
        convolution = Convolution(1, 1)
        convolution.convolution.weight.data.fill_(1)
        convolution.convolution.bias.data.zero_()
        assert convolution(torch.tensor([-1.0, 2, 9]).view(1, 1, 1, 3)).flatten().tolist() == [0.0, 2.0, 6.0]


class TestEfficientNetLite:
    @pytest.mark.parametrize(
        ("read", "expected"),
        [
            ((2, 4, 6), [(2, 40, 8, 12), (2, 112, 4, 6), (2, 320, 2, 3)]),
            ((1, 4), [(2, 24, 16, 24), (2, 112, 4, 6)]),
        ],
    )
    def test_shapes_of_the_stages(self, read, expected):
        body = EfficientNetLite(read)
        assert len(body.stages) == read[-1] + 1
        assert [tuple(x.shape) for x in body(torch.zeros(2, 3, 64, 96))] == expected
