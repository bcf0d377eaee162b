import itertools

import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.clusters import joint_kmeans, kmeans, nearest_center
from tests.samples import randn


def _blobs(counts, spread=0.05, seed=0):
    """Points around the corners of a square, `(1, N, 2)`, and the corner of each."""
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]], dtype=torch.float64)
    labels = torch.cat([torch.full((count,), k) for k, count in enumerate(counts)])
    return (corners[labels] + spread * randn(len(labels), 2, seed=seed))[None], labels


def _same_partition(first, second):
    return torch.equal(first[:, None] == first[None], second[:, None] == second[None])


def _labels(content, style, num_clusters):
    """Nearest centres of the content's and of the style's cells."""
    centers = joint_kmeans(content, style, num_clusters)
    return nearest_center(content, centers), nearest_center(style, centers)


class TestKmeans:
    def test_shape_and_dtype(self):
        points = randn(2, 20, 3, dtype=torch.float32)
        centers = kmeans(points.bfloat16(), torch.ones(2, 20), 4)
        assert centers.shape == (2, 4, 3)
        assert centers.dtype == torch.float32
        assert kmeans(points.double(), torch.ones(2, 20), 4).dtype == torch.float64

    def test_known_value(self):
        points = torch.tensor([[[0.0], [2.0], [10.0], [12.0], [14.0]]])
        # The heaviest cluster comes first; a weight of 3 pulls its centre.
        torch.testing.assert_close(kmeans(points, torch.ones(1, 5), 2), torch.tensor([[[12.0], [1.0]]]))
        weights = torch.tensor([[1.0, 3.0, 1.0, 1.0, 1.0]])
        torch.testing.assert_close(kmeans(points, weights, 2), torch.tensor([[[1.5], [12.0]]]))

    def test_matches_reference(self):
        # Every partition of eight points into three: none has a smaller sum.
        points, weights = randn(1, 8, 2), randn(1, 8, seed=1).abs()

        def loss(centers):
            return (torch.cdist(points, centers).amin(-1).square() * weights).sum().item()

        best = float("inf")
        for labels in itertools.product(range(3), repeat=8):
            members = torch.nn.functional.one_hot(torch.tensor(labels), 3).double() * weights[0, :, None]
            if (members.sum(0) > 0).all():
                best = min(best, loss((members / members.sum(0)).T[None] @ points))
        assert loss(kmeans(points, weights, 3, num_restarts=20)) == pytest.approx(best, rel=1e-12)

    def test_all_means_for_one_cluster(self):
        points = randn(2, 7, 3)
        torch.testing.assert_close(kmeans(points, torch.ones(2, 7), 1), points.mean(1, keepdim=True))

    def test_a_center_for_every_point(self):
        points = randn(1, 5, 3)
        centers = kmeans(points, torch.ones(1, 5), 5)
        assert sorted(nearest_center(points, centers)[0].tolist()) == [0, 1, 2, 3, 4]

    def test_equal_points(self):
        points = torch.full((1, 6, 2), 0.3)
        torch.testing.assert_close(kmeans(points, torch.ones(1, 6), 3), points[:, :3])

    def test_a_point_of_no_weight_is_no_center(self):
        points = torch.tensor([[[0.0], [100.0], [1.0]]])
        centers = kmeans(points, torch.tensor([[1.0, 0.0, 1.0]]), 2, num_iterations=0)
        assert sorted(centers.flatten().tolist()) == pytest.approx([0.0, 1.0])

    def test_invariance_to_a_far_origin(self):
        points, labels = _blobs([9, 7, 5, 3])
        far = points.float() + 1e4
        assert _same_partition(nearest_center(far, kmeans(far, torch.ones(1, 24), 4))[0], labels)

    def test_rejects_bad_input(self):
        points, weights = randn(1, 4, 2), torch.ones(1, 4)
        with pytest.raises(ShapeError, match="points: expected shape"):
            kmeans(points[0], weights, 2)
        with pytest.raises(ShapeError, match="weights: expected shape"):
            kmeans(points, weights[:, :3], 2)
        for count in (0, 5):
            with pytest.raises(InputError, match=f"num_clusters: expected 1 to 4, the number of points, got {count}"):
                kmeans(points, weights, count)
        with pytest.raises(InputError, match="num_iterations: expected 0 or more, got -1"):
            kmeans(points, weights, 2, num_iterations=-1)
        with pytest.raises(InputError, match="num_restarts: expected 1 or more, got 0"):
            kmeans(points, weights, 2, num_restarts=0)


class TestNearestCenter:
    def test_known_value(self):
        points = torch.tensor([[[0.0], [4.0], [6.0], [7.0]]])
        assert nearest_center(points, torch.tensor([[[2.0], [10.0]]])).tolist() == [[0, 0, 0, 1]]

    def test_matches_reference(self):
        points, centers = randn(2, 30, 4), randn(2, 5, 4, seed=1)
        expected = (points[:, :, None] - centers[:, None]).square().sum(-1).argmin(-1)
        assert torch.equal(nearest_center(points, centers), expected)

    def test_rejects_other_dimensions(self):
        with pytest.raises(ShapeError, match="centers: expected shape"):
            nearest_center(randn(1, 4, 2), randn(1, 4, 3))


class TestJointKmeans:
    def test_known_value(self):
        content, of_content = _blobs([9, 7, 5, 3])
        style, of_style = _blobs([4, 4, 20, 4], seed=1)
        labels = torch.cat(_labels(content, style, 4), 1)[0]
        assert _same_partition(labels, torch.cat([of_content, of_style]))
        # By shares of the photos, not by numbers of cells: 5 of 24 and 20 of 32 is the most common.
        assert labels[of_content.eq(2).nonzero()[0]] == 0

    def test_a_photo_counts_half_whatever_its_cells(self):
        # Three places, two clusters: the style's few cells outweigh the content's distance.
        content = torch.tensor([[[0.0]] * 90 + [[2.0]] * 10])
        style = torch.tensor([[[0.0], [5.0]]])
        assert [labels[0].unique().tolist() for labels in _labels(content, style, 2)] == [[0], [0, 1]]
        assert _labels(content, style, 2)[1].tolist() == [[0, 1]]

    def test_determinism(self):
        content, style = randn(2, 40, 6), randn(2, 30, 6, seed=1)
        first, second = _labels(content, style, 5), _labels(content, style, 5)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert first[0].dtype == torch.int64

    def test_the_generator_decides(self):
        content, style = randn(1, 200, 6), randn(1, 200, 6, seed=1)

        def centers(seed):
            generator = torch.Generator().manual_seed(seed)
            return joint_kmeans(content, style, 5, num_restarts=1, generator=generator)

        assert torch.equal(centers(0), centers(0))
        assert not torch.equal(centers(0), centers(1))

    def test_invariance_to_the_order_of_cells(self):
        (content, _), (style, _) = _blobs([9, 7, 5, 3]), _blobs([4, 5, 12, 7], seed=1)
        order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
        labels = _labels(content, style, 4)
        shuffled = _labels(content[:, order], style, 4)
        assert torch.equal(shuffled[0], labels[0][:, order])
        assert torch.equal(shuffled[1], labels[1])

    def test_batch_independence(self):
        content, style = randn(3, 40, 6), randn(3, 30, 6, seed=1)
        together = _labels(content, style, 4)
        for b in range(3):
            alone = _labels(content[b : b + 1], style[b : b + 1], 4)
            assert torch.equal(together[0][b], alone[0][0])
            assert torch.equal(together[1][b], alone[1][0])

    def test_no_gradient_and_no_autocast(self):
        content, style = randn(1, 20, 3, dtype=torch.float32).requires_grad_(), randn(1, 20, 3, dtype=torch.float32)
        expected = _labels(content, style, 3)
        with torch.autocast("cpu", torch.bfloat16):
            actual = _labels(content, style, 3)
        assert torch.equal(actual[0], expected[0])

    def test_rejects_bad_input(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            joint_kmeans(randn(4, 2), randn(1, 4, 2), 2)
        with pytest.raises(ShapeError, match="style: expected shape"):
            joint_kmeans(randn(1, 4, 2), randn(1, 4, 3), 2)
        with pytest.raises(InputError, match="num_clusters: expected 1 to 8"):
            joint_kmeans(randn(1, 4, 2), randn(1, 4, 2), 9)
