"""Procedural street scenes: pictures with exact labels, objects and motion, by day and by night.

A pinhole camera drives along an endless street of flat faces (`world`, `faces`); labels, picture,
object boxes and flow all come from one painting of those faces (`camera`, `light`), so they are
exact to the pixel. Classes are the 19 of Cityscapes by train id.
"""

from __future__ import annotations

from triptych.data.streets.crops import object_crops
from triptych.data.streets.dataset import Streets
from triptych.data.streets.scene import OBJECTS, VERSION, Scene, StreetFrame, scene

__all__ = ["OBJECTS", "VERSION", "Scene", "StreetFrame", "Streets", "object_crops", "scene"]
