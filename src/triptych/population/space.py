"""What a population searches: names of hyperparameters, each with the values that it may take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from triptych.errors import UserError
from triptych.population.records import Hypers


class Dimension(Protocol):
    """The values of one hyperparameter."""

    def sample(self, generator: torch.Generator) -> float: ...

    def contains(self, value: float) -> bool: ...

    def clamp(self, value: float) -> float:
        """The value of this dimension that is nearest to `value`."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Every number from `low` to `high`, both included. Raises UserError for an empty range."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise UserError(f"a range from {self.low} to {self.high} holds no numbers")

    def sample(self, generator: torch.Generator) -> float:
        return self.clamp(self.low + (self.high - self.low) * uniform(generator))

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high

    def clamp(self, value: float) -> float:
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class LogUniform(Uniform):
    """As `Uniform`, but drawn such that the logarithm is uniform; both ends above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise UserError(f"a logarithmic range must lie above 0, not start at {self.low}")

    def sample(self, generator: torch.Generator) -> float:
        low, high = math.log(self.low), math.log(self.high)
        # Rounding of the exponential may step over an end.
        return self.clamp(math.exp(low + (high - low) * uniform(generator)))


@dataclass(frozen=True)
class Choice:
    """One of `values`, whose order says what is a neighbour of what."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise UserError(f"a choice needs values, each once, not {self.values}")

    def sample(self, generator: torch.Generator) -> float:
        return self.values[int(len(self.values) * uniform(generator))]

    def contains(self, value: float) -> bool:
        return value in self.values

    def clamp(self, value: float) -> float:
        return min(self.values, key=lambda each: abs(each - value))


@dataclass(frozen=True)
class Space:
    """Names of hyperparameters → their dimensions, in a fixed order."""

    dimensions: Mapping[str, Dimension]

    def __iter__(self) -> Iterator[tuple[str, Dimension]]:
        return iter(self.dimensions.items())

    def sample(self, generator: torch.Generator) -> dict[str, float]:
        return {name: dimension.sample(generator) for name, dimension in self}

    def contains(self, hypers: Hypers) -> bool:
        """Whether there is a value for every name and no other, each in its range."""
        return hypers.keys() == self.dimensions.keys() and all(
            dimension.contains(hypers[name]) for name, dimension in self
        )

    def clamp(self, hypers: Hypers) -> dict[str, float]:
        return {name: dimension.clamp(hypers[name]) for name, dimension in self}


def uniform(generator: torch.Generator) -> float:
    """A number from 0 to below 1."""
    return float(torch.rand((), generator=generator, dtype=torch.float64))
