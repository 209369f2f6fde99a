import numpy as np
import pytest
import torch
from PIL import Image
from written_photos import crop, write_photos

from checkpoints.data import load_data
from checkpoints.data.photos.cached import CachedPhotos
from checkpoints.data.photos.crops import CROP_ROWS, ROWS, change_colours, crop_box, draw_views
from checkpoints.data.photos.decoding import Decode, decode
from checkpoints.data.photos.workers import Workers
from spectra import make_generator
from spectra.errors import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp("photos"), (5, 4, 3))
    return load_data(f"imagenet-lt:{root},16")


def decoded(path, size=16, draws=None):
    return decode(Decode(str(path.parent), (path.name,), size, draws, 10**6))


def test_evaluation_sees_the_middle_of_the_short_side_resized(tmp_path):
    path = tmp_path / "a.png"  # which loses nothing
    pixels = crop(0, height=256, width=320)
    Image.fromarray(pixels).save(path)
    published = Image.fromarray(pixels[16:240, 48:272])  # 224 of 256, from 256 x 320
    assert np.array_equal(
        decoded(path, 224).images[0].permute(1, 2, 0).numpy(), np.asarray(published)
    )


def test_a_draft_of_a_large_jpeg_is_nearly_the_image_itself(tmp_path):
    pixels = crop(0, height=400, width=400)
    for name in ("a.jpg", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name, quality=95)
    drafted, whole = (decoded(tmp_path / name, 32).images.float() for name in ("a.jpg", "a.png"))
    assert float((drafted - whole).abs().mean()) < 2  # of 255 grey levels


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_images_of_every_kind_become_three_channels(tmp_path, mode):
    image = Image.fromarray(crop(1))
    if mode == "I;16":
        grey = np.asarray(image.convert("L"))
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif")
    found = decoded(tmp_path / "a.tif")
    assert found.faults == ()
    assert found.images.shape == (1, 3, 16, 16)
    assert 20 < float(found.images.float().mean()) < 235


def test_boxes_are_those_of_a_random_resized_crop():
    draws = draw_views(4000, make_generator(0, "views")).numpy()
    width, height = 500, 375
    boxes = np.array([crop_box(draws[:CROP_ROWS, i], width, height) for i in range(4000)])
    left, top, right, bottom = boxes.T
    assert min(left.min(), top.min(), width - right.max(), height - bottom.max()) >= 0
    areas = (right - left) * (bottom - top) / (width * height)
    ratios = np.log((right - left) / (bottom - top))
    assert 0.079 < areas.min() < 0.09
    assert areas.max() > 0.97
    assert abs(ratios).max() < np.log(4 / 3) + 0.02
    # Large boxes that are too narrow or too wide do not fit and are drawn again, so the mean area
    # lies under .54; a rejection sampler of the same law gave .433 in 10^6 draws.
    assert abs(areas.mean() - 0.433) < 4 * 0.22 / 4000**0.5


def test_an_image_too_narrow_for_any_box_is_cut_in_the_middle():
    draw = np.full(CROP_ROWS, 0.999, np.float32)
    assert crop_box(draw, 10, 1000) == (0, 493, 10, 506)


def test_a_crop_is_the_part_of_the_image_that_was_drawn(tmp_path):
    path, pixels = tmp_path / "a.png", crop(2, height=64, width=80)
    Image.fromarray(pixels).save(path)
    draws = draw_views(1, make_generator(3, "views"))[:CROP_ROWS].numpy()
    box = crop_box(draws[:, 0], 80, 64)
    wanted = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR, box=box)
    found = decoded(path, draws=draws).images[0].permute(1, 2, 0)
    assert np.array_equal(found.numpy(), np.asarray(wanted))


def colours(order: int, factors, *, mirrored: float = 0.9):
    draw = torch.zeros(ROWS, 1)
    draw[CROP_ROWS] = mirrored
    draw[CROP_ROWS + 1 : ROWS - 1, 0] = torch.tensor(factors)
    draw[ROWS - 1] = (order + 0.5) / 6
    return draw


def test_factors_of_one_change_no_colour():
    images = torch.from_numpy(crop(0)).permute(2, 0, 1)[None].clone()
    for order in range(6):
        made = change_colours(images, colours(order, [0.5, 0.5, 0.5]), flip=True)
        torch.testing.assert_close(made, images.float(), rtol=0, atol=1e-3)
    mirrored = change_colours(images, colours(0, [0.5] * 3, mirrored=0.1), flip=True)
    torch.testing.assert_close(mirrored, images.float().flip(3), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("which", "enhance"), list(enumerate(["Brightness", "Contrast", "Color"])))
def test_brightness_contrast_and_saturation_are_pillows(which, enhance):
    from PIL import ImageEnhance

    pixels = crop(1)
    factors = [0.5, 0.5, 0.5]
    factors[which] = 0.9  # a strength of 1 + .4 (2 · .9 - 1) = 1.32
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].clone()
    found = change_colours(images, colours(0, factors), flip=False)[0].permute(1, 2, 0)
    wanted = np.asarray(getattr(ImageEnhance, enhance)(Image.fromarray(pixels)).enhance(1.32))
    # Pillow rounds greys and results to whole levels, and their mean before it is stretched.
    assert float(np.abs(found.numpy() - wanted).max()) <= 1.5


def test_a_damaged_image_is_named_with_what_is_wrong(data, tmp_path):
    path = tmp_path / "a.JPEG"
    whole = (data.train.root / data.train.paths[0]).read_bytes()
    for content, why in ((whole[:-300], "truncated"), (b"no image", "no image of a known kind")):
        path.write_bytes(content)
        (fault,) = decoded(path).faults
        assert fault.path == "a.JPEG"
        assert why in fault.why
        assert str(tmp_path) not in fault.why


def test_a_split_that_holds_one_refuses_to_be_decoded(data, tmp_path):
    root = write_photos(tmp_path / "other", (2, 1))
    (root / "train/n0000/1.JPEG").unlink()
    split = load_data(f"imagenet-lt:{root},16").train
    with pytest.raises(InputError, match=r"train/n0000/1.JPEG: No such file.*data check --decode"):
        split.decoded(Workers(0))


def test_every_way_of_asking_gives_the_same_pixels(data):
    split, order = data.train, torch.tensor([7, 0, 3, 11, 3, 8])
    whole = split.decoded(Workers(0))
    assert whole.shape == (12, 3, 16, 16)
    for images in (0, 3, 100):
        cached = CachedPhotos(split, room=images * 3 * 16 * 16, workers=Workers(0))
        assert cached.expect(order) == max(0, 6 - images)
        assert torch.equal(cached.take(order), whole[order])
        assert torch.equal(cached.take(order.flip(0)), whole[order.flip(0)])
        assert torch.equal(cached.take(torch.tensor([1])), whole[1:2])  # nobody expected it
        lazy = cached.lazily(order, lambda x: x.float() / 255)
        assert torch.equal(lazy[2:5], whole[order[2:5]].float() / 255)


def test_images_with_room_are_decoded_once(data, monkeypatch):
    seen = []
    cached = CachedPhotos(data.train, room=10**9, workers=Workers(0))
    work = cached.workers.map
    monkeypatch.setattr(
        cached.workers, "map", lambda pieces: seen.extend(p for x in pieces for p in x.paths)
        or work(pieces),
    )  # fmt: skip
    for loss in (torch.arange(5), torch.arange(5, 9), torch.arange(12)):
        cached.expect(loss)
        for _ in range(3):
            cached.take(loss)
    assert sorted(seen) == sorted(data.train.paths)


def test_the_digest_knows_lists_labels_sizes_of_files_and_of_images(data, tmp_path):
    root = write_photos(tmp_path / "photos", (2, 2))
    split = load_data(f"imagenet-lt:{root},16").train
    digests = {split.digest(), load_data(f"imagenet-lt:{root},32").train.digest()}
    digests.add(split.subset(torch.tensor([0, 1, 3, 2])).digest())
    (root / split.paths[0]).write_bytes(b"other")
    digests.add(load_data(f"imagenet-lt:{root},16").train.digest())
    assert len(digests) == 4
    assert load_data(f"imagenet-lt:{root},16").train.digest() in digests


def test_images_without_room_are_decoded_once_a_pass_and_at_random_alone(data, monkeypatch):
    seen = []
    cached = CachedPhotos(data.train, room=0, workers=Workers(0))
    decode_all = cached.workers.map

    def watched(pieces):
        for piece in decode_all(pieces):
            seen.extend(range(len(piece.images)))
            yield piece

    monkeypatch.setattr(cached.workers, "map", watched)
    cached.expect(torch.arange(12))
    for _ in range(2):
        for start in range(0, 12, 4):
            cached.take(torch.arange(start, start + 4))
    assert len(seen) == 24
    cached.take(torch.tensor([9, 2]))
    assert len(seen) == 26
