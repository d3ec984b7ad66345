"""Which image comes when: a function of (seed, epoch, index), whatever the devices and wherever it resumes."""

import functools
import operator
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from resnet_lab.data.order import EvalOrder, Reader, TrainLoader, TrainOrder, sample_random
from resnet_lab.errors import UserError

WORLDS = [1, 2, 3, 7]


def order(rank: int = 0, world: int = 1, *, seed: int = 0, drop_last: bool = False) -> TrainOrder:
    return TrainOrder(images=103, batch_size=16, drop_last=drop_last, seed=seed, rank=rank, world=world)


@pytest.mark.parametrize("world", WORLDS)
def test_the_shares_of_a_batch_are_disjoint_and_make_up_the_batch_of_one_device(world: int) -> None:
    alone = list(order().batches(epoch=3))
    shares = zip(*(order(rank, world).batches(epoch=3) for rank in range(world)), strict=True)
    for whole, parts in zip(alone, shares, strict=True):
        assert torch.cat(parts).sort().values.tolist() == whole.sort().values.tolist()


@pytest.mark.parametrize(("drop_last", "images", "batches"), [(False, 103, 7), (True, 96, 6)])
def test_an_epoch_has_each_image_once_and_knows_its_length(
    drop_last: bool, images: int, batches: int
) -> None:
    seen = list(order(drop_last=drop_last).batches(epoch=0))
    assert len(seen) == batches == len(order(drop_last=drop_last))
    assert len(torch.cat(seen).unique()) == images


def test_epochs_and_seeds_differ_and_repeat_themselves() -> None:
    first = order().shuffled(0).tolist()
    assert order().shuffled(0).tolist() == first
    assert order().shuffled(1).tolist() != first
    assert order(seed=1).shuffled(0).tolist() != first


def test_an_images_random_numbers_depend_on_seed_epoch_and_index_alone() -> None:
    drawn = {key: sample_random(*key).random() for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(set(drawn.values())) == 4
    assert drawn == {key: sample_random(*key).random() for key in drawn}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_an_evaluation_sees_each_image_exactly_once(world: int, batch_size: int) -> None:
    orders = [EvalOrder(23, batch_size, rank, world) for rank in range(world)]
    batches = [list(each.batches()) for each in orders]
    assert sorted(torch.cat(functools.reduce(operator.iadd, batches, [])).tolist()) == list(range(23))
    assert [len(each) for each in orders] == [len(mine) for mine in batches]


@pytest.mark.parametrize(
    ("images", "batch_size", "world", "told"),
    [
        (10, 16, 1, "only 10 images"),
        (100, 2, 3, "less than the 3 devices"),
        (33, 16, 2, "drop_last=true"),
    ],
)
def test_batches_that_cannot_be_are_refused(images: int, batch_size: int, world: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        TrainOrder(images, batch_size, drop_last=False, seed=0, world=world)


def test_fewer_test_images_than_devices_are_refused() -> None:
    with pytest.raises(UserError, match="2 images cannot be evaluated on 3 devices"):
        EvalOrder(2, 8, world=3)


class Indices(Reader):
    """Reads two batches ahead of what it hands out."""

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[tuple[int, list[int]]]:
        ahead = [next(indices, None), next(indices, None)]
        while ahead[0] is not None:
            yield epoch, ahead.pop(0).tolist()
            ahead.append(next(indices, None))


@pytest.mark.parametrize("given", [0, 1, 4, 6])
def test_a_loader_goes_on_in_the_middle_of_an_epoch(given: int) -> None:
    whole = TrainLoader(order(), Indices())
    whole.set_epoch(2)
    expected = list(whole)

    stopped = TrainLoader(order(), Indices())
    stopped.set_epoch(2)
    iterator = iter(stopped)
    before = [next(iterator) for _ in range(given)]
    state = stopped.state_dict()

    resumed = TrainLoader(order(), Indices())
    resumed.load_state_dict(state)
    resumed.set_epoch(2)  # as Lightning does
    assert before + list(resumed) == expected
    assert len(list(resumed)) == len(resumed), "the epoch after it is whole"
