"""Which output of a net stands for which class of a data set: by name, or not at all."""

import pytest

from resnet_lab.errors import UserError
from resnet_lab.reference import imagenet_classes
from resnet_lab.trained.classes import match

IDS = tuple(row["id"] for row in imagenet_classes())
NAMES = tuple(row["name"] for row in imagenet_classes())
PETS = ("cat", "dog", "eel")


def test_imagenets_classes_are_torchvisions_in_the_order_of_their_wordnet_ids() -> None:
    from torchvision.models import ResNet18_Weights

    assert list(NAMES) == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert list(IDS) == sorted(set(IDS))
    assert (len(IDS), IDS[0], IDS[207], NAMES[207]) == (1000, "n01440764", "n02099601", "golden retriever")


@pytest.mark.parametrize(
    ("known", "there", "outputs", "said"),
    [
        (PETS, PETS, (0, 1, 2), "all 3 classes"),
        (PETS, ("eel", "cat", "dog"), (2, 0, 1), "3 of the net's 3 classes, matched by name"),
        (PETS, ("dog",), (1,), "1 of the net's 3 classes, matched by name; errors count against all 3"),
        (NAMES, IDS, tuple(range(1000)), "1,000 of the net's 1,000 classes, matched by WordNet id"),
        (NAMES, ("n02099601", "n01440764"), (207, 0), "2 of the net's 1,000 classes, matched by WordNet id"),
        (IDS, ("golden retriever", "great_white_shark"), (207, 2), "2 of the net's 1,000 classes"),
        (IDS[5:15], NAMES[7:9], (2, 3), "2 of the net's 10 classes, matched by WordNet id"),
        ((), ("tench", IDS[207]), (0, 207), "2 of the net's 1,000 classes, matched as ImageNet's"),
        ((), IDS, tuple(range(1000)), "matched as ImageNet's"),
    ],
)
def test_classes_are_found_by_name(
    known: tuple[str, ...], there: tuple[str, ...], outputs: tuple[int, ...], said: str
) -> None:
    found = match(known, len(known) or 1000, there, "net")
    assert found.outputs == outputs
    assert said in str(found)


@pytest.mark.parametrize(
    ("known", "outputs", "there", "told"),
    [
        (PETS, 3, (*PETS, "fox"), "does not know class 'fox'"),
        (PETS, 3, ("Cat", "dog", "eel"), "did it learn 'cat'?"),
        (PETS, 3, ("a", "b", "c", "d"), "does not know classes 'a', 'b', 'c' and 1 more"),
        (PETS, 3, ("n02099601",), "does not know class 'n02099601'"),
        (("crane", "dog"), 2, ("n02012849",), "does not know"),  # which crane, nobody knows
        (NAMES, 1000, ("n02099601", "unicorn"), "does not know class 'unicorn'"),
        (IDS[:10], 10, ("n02099601",), "does not know class 'n02099601'"),
        ((), 3, PETS, "--classes"),
        ((), 1000, PETS, "--classes"),
        ((), 10, IDS[:10], "--classes"),
        ((), 1000, tuple(f"{number:03d}" for number in range(1000)), "--classes"),
    ],
)
def test_other_classes_are_refused(
    known: tuple[str, ...], outputs: int, there: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UserError, match="net ") as refused:
        match(known, outputs, there, "net")
    assert told in str(refused.value)


def test_an_unnamed_net_is_taken_for_one_of_a_set_whose_order_everybody_knows() -> None:
    assert match((), 3, PETS, "net", ordered=True).outputs == (0, 1, 2)
    with pytest.raises(UserError, match="4 outputs"):
        match((), 4, PETS, "net", ordered=True)
