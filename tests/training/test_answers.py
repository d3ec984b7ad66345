"""What a net answers, image by image: the sums are those of the test, and the picture holds the images."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_lab.trained.agreement import agreement
from resnet_lab.training import surest_mistakes
from resnet_lab.training.answering import SIDE, Answering
from resnet_lab.training.answers import Answer, Answers
from resnet_lab.training.sums import Sums

CLASSES = ("cat", "dog", "eel")


def answered(*pairs: str, classes: tuple[str, ...] = CLASSES) -> Answers:
    """From pairs of label and prediction, as ``cat dog``; each is surer than the one before."""
    given = (Answer(str(place), *pair.split(), 0.5 + place / 100) for place, pair in enumerate(pairs))
    return Answers(tuple(given), classes)


FEW = answered("cat cat", "cat dog", "dog dog", "eel cat", "eel fox", "eel cat")


def test_row_sums_are_the_class_sizes_and_the_trace_is_what_is_right() -> None:
    columns, counts = FEW.confusion()
    assert columns == ["cat", "dog", "eel", "fox"]
    assert counts == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 1]]
    assert FEW.error == pytest.approx(100 * 4 / 6)


def test_a_row_a_class_tells_its_error_its_precision_and_what_it_is_mixed_up_with() -> None:
    cat, dog, eel = FEW.per_class()
    assert (cat["images"], cat["wrong"], cat["error"], cat["precision"]) == (
        2,
        1,
        50.0,
        pytest.approx(100 / 3),
    )
    assert (dog["error"], dog["precision"], dog["most_taken_for"]) == (0.0, 50.0, None)
    assert (eel["precision"], eel["most_taken_for"], eel["times"]) == (None, "cat", 2)


def test_mistakes_are_the_surest_first_and_of_equal_ones_the_earlier() -> None:
    equal = Answers(
        tuple(Answer(name, "cat", "dog", p) for name, p in (("a", 0.5), ("b", 0.9), ("c", 0.9))), CLASSES
    )
    assert [each.image for each in equal.mistakes()] == ["b", "c", "a"]


def test_files_hold_every_number(tmp_path: Path) -> None:
    FEW.write(tmp_path)
    predictions, confusion, per_class = (
        list(csv.reader((tmp_path / name).open()))
        for name in ("predictions.csv", "confusion.csv", "per_class.csv")
    )
    assert predictions[:2] == [["image", "label", "prediction", "probability"], ["0", "cat", "cat", "0.5"]]
    assert confusion == [["label", "cat", "dog", "eel", "fox"], ["cat", "1", "1", "0", "0"], *confusion[2:]]
    assert per_class[3] == ["eel", "3", "3", "100", "", "cat", "2"]


def test_agreement_counts_answers_and_compares_mistakes_with_chance() -> None:
    other = answered("cat cat", "cat dog", "dog eel", "eel eel", "eel cat", "eel cat")
    found = agreement(FEW, other)
    assert found.same == pytest.approx(100 * 3 / 6)
    assert found.both_wrong == pytest.approx(100 * 3 / 6)
    assert found.by_chance == pytest.approx(100 * 4 / 6 * 4 / 6)
    assert found.same_mistake == pytest.approx(100 * 2 / 3)
    assert found.consistency == pytest.approx((4 / 6 - 5 / 9) / (1 - 5 / 9))
    assert agreement(FEW, FEW).consistency == pytest.approx(1.0)
    right = answered("cat cat", "dog dog")
    assert math.isnan(agreement(right, right).consistency)
    assert math.isnan(agreement(right, right).same_mistake)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_noted_image_by_image_is_what_the_test_sums_up(channels: int) -> None:
    random = torch.Generator().manual_seed(0)
    mean, std = torch.full((channels, 1, 1), 0.5), torch.full((channels, 1, 1), 0.25)
    pixels = torch.randint(0, 256, (200, channels, 12, 12), generator=random)
    labels = torch.randint(0, 3, (200,), generator=random)
    sums, watching = Sums(), Answering(mean, std)
    for batch in torch.arange(200).split(64):
        scores = torch.rand(len(batch), 3, generator=random).softmax(1)
        sums.add(torch.zeros(()), scores, labels[batch])
        watching.add((pixels[batch] / 255 - mean) / std, scores, labels[batch])
    places = [(place, f"{place}.png") for place in range(200)]
    answers, images = watching.answers(places, CLASSES, dict(enumerate(CLASSES)))
    assert sum(not each.right for each in answers.given) == sums.reduced(torch.device("cpu"))["wrong"]
    assert [each.image for each in answers.given] == [name for _, name in places]
    surest = [int(each.image.removesuffix(".png")) for each in answers.mistakes()[:64]]
    assert images.shape == (64, 12, 12, 3)
    assert (images == pixels[surest].permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()).all()


def test_images_of_several_sizes_are_kept_as_squares_of_one() -> None:
    watching = Answering(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    images = [torch.full((3, 300, 200), 0.2), torch.full((3, 40, 90), 0.8)]
    watching.add(images, torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([1, 1]))
    _, kept = watching.answers([(0, "a"), (1, "b")], ("x", "y"), {0: "x", 1: "y"})
    assert kept.shape == (2, SIDE, SIDE, 3)
    assert [int(image.mean()) for image in kept] == [51, 204]


@pytest.mark.parametrize("side", [8, 32, 100, 112])
@pytest.mark.parametrize("count", [1, 9, 64])
def test_the_picture_gives_its_images_back(side: int, count: int, tmp_path: Path) -> None:
    images = np.random.default_rng(side).integers(0, 256, (count, side, side, 3), np.uint8)
    wrong = [Answer(f"{place}", "a class " * 20, "猫\n", 0.75) for place in range(count)]
    assert surest_mistakes.write(tmp_path, images, wrong) == tmp_path / "mistakes.png"
    assert (surest_mistakes.read(tmp_path) == images).all()


def test_a_net_without_mistakes_leaves_no_picture(tmp_path: Path) -> None:
    (tmp_path / "mistakes.png").touch()
    assert surest_mistakes.write(tmp_path, np.empty((0, 1, 1, 3), np.uint8), []) is None
    assert not len(surest_mistakes.read(tmp_path))
