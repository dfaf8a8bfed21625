"""What a detector starts from, made such that arms can be compared.

`init` is `random`, `imagenet`, `coco`, or a path to weights. Pyramid, RPN and heads are freshly
drawn in every arm, also where a file has trained ones: the question is what a backbone is worth.

What makes the arms alike. Frozen BatchNorm suits pre-trained weights, and cripples random ones,
which it does not normalise: a comparison that freezes it in all arms, or in some, compares that. So
the default is `norm="train"` in every arm, as in He 2019 (Rethinking ImageNet Pre-training, section
3). On small batches its statistics are noisy, which costs every arm; the noise is the same for all,
and 4 pictures a batch are the least. Pre-trained weights bring BatchNorm in different states,
though: EfficientDet's file has it folded away, and Mask R-CNN's still has the statistics of
ImageNet, as it was frozen while the weights around it moved. Normalised by its batches, such a
network would not be the published one from the first update on. So

1. EfficientNet-Lite gets its BatchNorm folded in the ImageNet arm too, and
2. every BatchNorm of a pre-trained backbone takes its statistics anew from the same training
   pictures, its weight and bias changed along (`folding.restate`): in evaluation the network is the
   published one, and in training it begins as nearly that as the batch is large.

Random weights need neither: BatchNorm begins there with weight 1 and bias 0. With `norm="frozen"`
nothing is restated, as it would change nothing; that is for comparing pre-trained arms with each
other, and for the best score from one of them on batches of 1 or 2.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor

from triptych.backbones.folding import restate
from triptych.detect.initialise_record import InitRecord, some
from triptych.detect.initialise_weights import check_numbers, load_backbone
from triptych.detect.models.detector import Detector
from triptych.detect.models.freezing import Norm, check_start, freeze, learning
from triptych.training.cost import evaluating

_LOG = logging.getLogger("triptych")

STATISTICS_IMAGES = 64
"""Training pictures that suffice for BatchNorm's statistics: 6,400 values of a channel where there
are fewest, at stride 32 of 320 pixels."""


def initialise(
    model: Detector,
    init: str,
    *,
    norm: Norm = "train",
    frozen_stages: int = 0,
    images: Sequence[Tensor] = (),
    as_ran: bool = False,
) -> InitRecord:
    """Load `init` into the backbone of a freshly drawn detector, and freeze what is not to learn.

    `images` are training pictures as the detector takes them, the same for every arm; needed for
    all but random weights where BatchNorm is trained. `as_ran` lets random weights be frozen, see
    `freezing.check_start`. Logs and returns what was done.

    Raises UserError where there are no such weights for this backbone, where they hold less than
    90 % of its parameters, where they or what follows from them are no numbers, and where that
    cannot be frozen; WorkFailed where a download fails.
    """
    check_start(init, norm, frozen_stages, as_ran=as_ran)
    loaded = load_backbone(model, init)
    norms = model.trunk_norms().values() if norm == "train" and init != "random" else ()
    if norms:
        if not images:
            raise ValueError(f"init={init} with norm={norm} needs training pictures")
        device = next(model.parameters()).device
        with evaluating(model):
            restate(norms, [image.to(device)[None] for image in images], model)
        check_numbers(model, f"{loaded.file}, its BatchNorm restated by training pictures")
    freeze(model, norm, frozen_stages)
    record = InitRecord(
        init=init,
        norm=norm,
        frozen_stages=frozen_stages,
        loaded=loaded,
        statistics_images=len(images) if norms else 0,
        learning=learning(model),
    )
    _LOG.info("%s", record.describe())
    if loaded.source and loaded.fresh:
        _LOG.warning("without weights in the backbone: %s", some(loaded.fresh))
    return record
