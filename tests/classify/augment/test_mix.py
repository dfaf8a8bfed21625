"""MixUp and CutMix against timm's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import Mixup, cutmix_bbox_and_lam, mixup_target
from torch import Tensor

from triptych.classify.augment import Mixture, apply_mixture, draw_mixture, mix

LABELS = torch.tensor([0, 3, 3, 1, 2, 0, 4])


def images(count: int = len(LABELS)) -> Tensor:
    return torch.randn((count, 3, 8, 10), generator=torch.Generator().manual_seed(0))


def drawn(count: int, **options: float) -> list[Mixture]:
    generator = torch.Generator().manual_seed(0)
    return [draw_mixture(9, 12, generator, **options) for _ in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_mixup_equals_timm(share: float) -> None:
    batch = images()
    mixed, targets = apply_mixture(batch, LABELS, 5, Mixture(share), 0.1)
    torch.testing.assert_close(targets, mixup_target(LABELS, 5, share, 0.1))
    torch.testing.assert_close(mixed, batch * share + batch.flip(0) * (1 - share))


def test_cutmix_equals_timm() -> None:
    batch, box = images(), (2, 3, 4, 5)
    mixture = Mixture(1 - 20 / 80, box)
    mixed, targets = apply_mixture(batch, LABELS, 5, mixture, 0.1)
    expected = batch.clone()
    expected[:, :, 2:6, 3:8] = batch.flip(0)[:, :, 2:6, 3:8]
    assert torch.equal(mixed, expected)
    torch.testing.assert_close(targets, mixup_target(LABELS, 5, 0.75, 0.1))


def test_whole_batch_equals_timms_class(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = images(6)
    theirs = Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=5)
    for use_cutmix in (False, True):
        monkeypatch.setattr(theirs, "_params_per_batch", lambda cut=use_cutmix: (0.4, cut))
        monkeypatch.setattr(
            "timm.data.mixup.cutmix_bbox_and_lam", lambda *_, **__: ((1, 5, 0, 4), 0.8)
        )
        mixture = Mixture(0.8, (1, 0, 4, 4)) if use_cutmix else Mixture(0.4)
        ours = apply_mixture(batch, LABELS[:6], 5, mixture)
        for got, expected in zip(ours, theirs(batch.clone(), LABELS[:6]), strict=True):
            torch.testing.assert_close(got, expected)


def test_smoothing_by_hand() -> None:
    _, targets = apply_mixture(images(1), torch.tensor([2]), 4, Mixture(1.0), 0.1)
    torch.testing.assert_close(targets, torch.tensor([[0.025, 0.025, 0.925, 0.025]]))
    _, hard = apply_mixture(images(1), torch.tensor([2]), 4, Mixture(1.0), 0.0)
    assert hard.tolist() == [[0, 0, 1, 0]]


def test_partner_is_no_neighbour() -> None:
    """Repeated augmentation puts copies side by side: their targets must still be mixed."""
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    _, targets = apply_mixture(images(6), labels, 2, Mixture(0.5), 0.0)
    assert targets.tolist() == [[0.5, 0.5]] * 6


def test_mixup_share_is_beta() -> None:
    shares = [mixture.share for mixture in drawn(3000, cutmix=0.0)]
    assert stats.kstest(shares, stats.beta(0.8, 0.8).cdf).pvalue > 1e-3


def test_cutmix_boxes_are_timms_and_correct_the_share() -> None:
    ours = drawn(3000, mixup=0.0)
    for mixture in ours:
        assert mixture.box is not None
        top, left, tall, wide = mixture.box
        assert 0 <= top <= top + tall <= 9
        assert 0 <= left <= left + wide <= 12
        assert mixture.share == 1 - tall * wide / 108
    np.random.seed(0)  # noqa: NPY002 (timm draws from the global generator)
    lams = np.random.default_rng(0).random(3000)
    theirs = [cutmix_bbox_and_lam((3, 9, 12), lam) for lam in lams]
    shares = [mixture.share for mixture in ours], [float(share) for _, share in theirs]
    assert stats.ks_2samp(*shares).pvalue > 1e-3
    for index, get in enumerate(
        (
            lambda box: box[0],
            lambda box: box[2],
            lambda box: box[1] - box[0],
            lambda box: box[3] - box[2],
        )
    ):
        mine = [mixture.box[index] for mixture in ours if mixture.box]
        assert stats.ks_2samp(mine, [int(get(box)) for box, _ in theirs]).pvalue > 1e-3


def test_one_to_one_and_probability() -> None:
    kinds = [mixture.box is None for mixture in drawn(4000)]
    assert stats.binomtest(sum(kinds), 4000, 0.5).pvalue > 1e-3
    untouched = [mixture == Mixture(1.0) for mixture in drawn(4000, probability=0.3)]
    assert stats.binomtest(sum(untouched), 4000, 0.7).pvalue > 1e-3
    assert all(mixture == Mixture(1.0) for mixture in drawn(50, probability=0.0))
    assert all(mixture == Mixture(1.0) for mixture in drawn(50, mixup=0.0, cutmix=0.0))


def test_targets_sum_to_one_and_inputs_stay() -> None:
    batch, kept, labels = images(), images(), LABELS.clone()
    generator = torch.Generator().manual_seed(4)
    for _ in range(20):
        mixed, targets = mix(batch, labels, 100, generator)
        assert (mixed.dtype, mixed.shape) == (torch.float32, batch.shape)
        assert (targets.dtype, targets.shape) == (torch.float32, (len(labels), 100))
        torch.testing.assert_close(targets.sum(1), torch.ones(len(labels)))
        assert targets.min() >= 0
    assert torch.equal(batch, kept)
    assert torch.equal(labels, LABELS)


def test_same_seed_same_batch() -> None:
    first, second, other = (
        mix(images(), LABELS, 5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("count", [0, 1])
def test_small_batches(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        mixed, targets = mix(images(count), LABELS[:count], 5, generator)
        torch.testing.assert_close(mixed, images(count))
        assert targets.shape == (count, 5)
        assert (targets.argmax(1) == LABELS[:count]).all()
