import pytest
import torch
from torch import Generator

from spotter_core.augmentation import Moves, draw_moves, move

CPU = torch.device("cpu")


def seeded(seed=0):
    return Generator().manual_seed(seed)


def pictures(count, shape, dtype=torch.float32):
    values = torch.randint(1, 256, (count, *shape), generator=seeded(1))  # no zero: padding shows
    return values.byte() if dtype == torch.uint8 else (values / 255).to(dtype)


def slowly_moved(image, down, right, mirrored):
    """Pad by an eighth, cut out the shifted window, mirror; pixel by pixel."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            from_x = (width - 1 - x if mirrored else x) - right
            if 0 <= y - down < height and 0 <= from_x < width:
                result[:, y, x] = image[:, y - down, from_x]
    return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (2, 24, 8), (3, 5, 9), (1, 1, 1)])
def test_a_batch_moves_as_its_images_do_one_by_one(shape, dtype):
    images = pictures(40, shape, dtype)
    before = images.clone()
    moves = draw_moves(40, shape, seeded(2), CPU)
    moved = move(images, moves)
    expected = [
        slowly_moved(image, int(down), int(right), bool(mirrored))
        for image, down, right, mirrored in zip(images, *moves, strict=True)
    ]
    assert torch.equal(moved, torch.stack(expected))
    assert moved.dtype == dtype
    assert torch.equal(images, before)
    assert len(moved.flatten(1).unique(dim=0)) > 5 or shape == (1, 1, 1)


def test_the_window_of_a_padded_image_is_what_a_shift_shows():
    image = pictures(1, (3, 16, 16))
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
    moves = Moves(torch.tensor([-2]), torch.tensor([1]), torch.tensor([False]))
    assert torch.equal(move(image, moves), padded[:, :, 4:20, 1:17])


def test_no_move_leaves_every_pixel():
    images = pictures(4, (3, 8, 8))
    still = Moves(*torch.zeros(2, 4, dtype=torch.int64), torch.zeros(4, dtype=torch.bool))
    moved = move(images, still)
    assert torch.equal(moved, images)
    assert moved.data_ptr() != images.data_ptr()


def test_every_shift_up_to_an_eighth_is_as_likely_and_half_are_mirrored():
    count = 90_000
    down, right, mirrored = draw_moves(count, (3, 32, 16), seeded(3), CPU)
    for shifts, most in ((down, 4), (right, 2)):
        values, counts = shifts.unique(return_counts=True)
        assert values.tolist() == list(range(-most, most + 1))
        share = 1 / (2 * most + 1)
        # five standard errors of a share
        assert (counts / count - share).abs().max() < 5 * (share * (1 - share) / count) ** 0.5
    assert abs(mirrored.float().mean() - 0.5) < 5 * (0.25 / count) ** 0.5
    table = torch.stack([down.double(), right.double(), mirrored.double()])
    assert (torch.corrcoef(table) - torch.eye(3)).abs().max() < 5 / count**0.5


def test_equal_generators_draw_equal_moves_and_a_batch_takes_its_own():
    first, again = (draw_moves(20, (1, 8, 8), seeded(4), CPU) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    images, index = pictures(20, (1, 8, 8)), torch.tensor([7, 3, 11])
    assert torch.equal(move(images[index], first.at(index)), move(images, first)[index])


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match=r"shape \(C, H, W\) .*, got \(2,\): set augment=False"):
        draw_moves(5, (2,), seeded(), CPU)
