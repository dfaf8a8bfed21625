"""Triptych: controlled comparisons of vision models."""

__version__ = "0.1.0"
