"""Protocols: which images and views they take, and what they average."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.backends import cudnn

from resnet_lab.errors import UserError
from resnet_lab.training.evaluation import Ensemble, evaluate, probabilities
from resnet_lab.training.protocols import Protocol, ScaledImages, protocol

CPU = torch.device("cpu")


class Count(nn.Module):
    """Scores that depend on the whole of what it sees; remembers the shapes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8, 6)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        return self.fc(self.conv(images).relu().mean((2, 3)))


def batches(sizes: list[int], side: int = 16) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        (torch.randn(n, 1, side, side, generator=generator), torch.randint(6, (n,), generator=generator))
        for n in sizes
    ]


def test_papers_protocols_have_the_papers_sizes() -> None:
    assert protocol("single_view").scales == (ScaledImages(),)
    assert protocol("center_crop").scales == (ScaledImages(256, 224),)
    assert protocol("center_crop_320").scales == (ScaledImages(320, 320),)
    assert protocol("ten_crop") == Protocol("ten_crop", (ScaledImages(256, 256),), ten_crop=224)
    assert [scale.resize for scale in protocol("multi_scale").scales] == [224, 256, 384, 480, 640]
    assert all(scale.crop is None for scale in protocol("multi_scale").scales)


def test_sizes_keep_their_proportion_for_nets_trained_on_smaller_crops() -> None:
    assert protocol("ten_crop", crop=56) == Protocol("ten_crop", (ScaledImages(64, 64),), ten_crop=56)
    assert [scale.resize for scale in protocol("multi_scale", crop=56).scales] == [56, 64, 96, 120, 160]


def test_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'ten_crop'"):
        protocol("tencrop")


def test_single_view_is_the_plain_test() -> None:
    net, loader = Count(), batches([5, 3])
    found = evaluate(net, [loader], protocol("single_view"), CPU)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    scores = net(images).detach()
    assert found["images"] == 8
    assert found["loss"] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-5)
    assert found["error"] == pytest.approx(100 * float((scores.argmax(1) != labels).double().mean()))
    assert net.training


def test_ten_crop_averages_corners_centre_and_their_mirror_images() -> None:
    net, (images, _) = Count().eval(), batches([3])[0]
    corners = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    crops = [images[..., top : top + 12, left : left + 12] for top, left in corners]
    views = crops + [crop.flip(-1) for crop in crops]
    expected = torch.stack([net(view).softmax(1) for view in views]).mean(0)
    ten = Protocol("ten_crop", (ScaledImages(16, 16),), ten_crop=12)
    torch.testing.assert_close(probabilities(net, images, ten, CPU), expected)
    assert net.seen[-1] == (3, 1, 12, 12)


def test_crops_larger_than_the_images_are_refused() -> None:
    with pytest.raises(UserError, match="no crops of 224 pixels in images of 16x16"):
        evaluate(Count(), [batches([2])], protocol("ten_crop"), CPU)


def test_scales_are_averaged_image_by_image() -> None:
    net, small, large = Count(), batches([4, 2], 8), batches([4, 2], 12)
    large = [(images, labels) for (images, _), (_, labels) in zip(large, small, strict=True)]
    two = Protocol("two", (ScaledImages(8), ScaledImages(12)))
    found = evaluate(net, [small, large], two, CPU)
    labels = torch.cat([labels for _, labels in small])
    means = [(net(a).softmax(1) + net(b).softmax(1)) / 2 for (a, _), (b, _) in zip(small, large, strict=True)]
    assert found["loss"] == pytest.approx(
        float(F.nll_loss(torch.cat(means).log(), labels).detach()), rel=1e-5
    )


def test_whole_images_of_different_shapes_keep_their_order() -> None:
    net = Count().eval()
    images = [torch.randn(1, *shape) for shape in ((8, 12), (8, 8), (8, 12), (10, 8))]
    expected = torch.cat([net(image[None]).softmax(1) for image in images])
    net.seen.clear()
    torch.testing.assert_close(probabilities(net, images, protocol("multi_scale"), CPU), expected)
    assert net.seen == [(2, 1, 8, 12), (1, 1, 8, 8), (1, 1, 10, 8)]


def test_loaders_that_do_not_match_are_refused() -> None:
    two = Protocol("two", (ScaledImages(8), ScaledImages(12)))
    with pytest.raises(ValueError, match="differ in their images or their order"):
        evaluate(Count(), [batches([4, 2]), batches([2, 4])[::-1]], two, CPU)


def test_ensemble_averages_softmax_outputs() -> None:
    first, second = Count(), Count()
    with torch.no_grad():
        second.fc.weight.mul_(-2)
    images, _ = batches([7])[0]
    expected = (first(images).softmax(1) + second(images).softmax(1)) / 2
    torch.testing.assert_close(Ensemble([first, second])(images).softmax(1), expected)


def test_algorithms_are_not_timed_anew_while_whole_images_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "benchmark", True)
    seen: list[bool] = []
    net = Count()
    net.register_forward_hook(lambda *_: seen.append(cudnn.benchmark))
    evaluate(net, [batches([3, 2])], protocol("single_view"), CPU)
    assert seen == [False, False]
    assert cudnn.benchmark
