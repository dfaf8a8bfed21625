"""What a population of classifiers searches; names are those of the recipe's fields."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.population.space import Choice, LogUniform, Space, Uniform

PUBLISHED = Space(
    {
        "crop_area": Uniform(0.1, 0.9),
        "erasing": Uniform(0.0, 0.5),
        "drop_path": Uniform(0.0, 0.3),
        "lr": LogUniform(1e-6, 1e-3),
        "weight_decay": LogUniform(1e-5, 1e-2),
        "batch_size": Choice((32, 64, 128, 256, 384)),
    }
)
"""The original's."""

SMALL = Space(
    {
        **PUBLISHED.dimensions,
        "lr": LogUniform(1e-4, 1e-2),
        "batch_size": Choice((16, 32, 64, 128)),
    }
)
"""For short trainings of small models, which learn nothing at the published rates and sizes."""

SPACES: Mapping[str, Space] = {"published": PUBLISHED, "small": SMALL}
