"""Pixels of a scene: smooth background, clutter lines, anti-aliased textured shapes, noise.

Shape letters: H W pixels, 3 RGB, h w pixels of one object's patch.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from crqat_pipeline.detection_data.open_shapes.categories import CATEGORIES, COLOURS, ShapeCategory
from crqat_pipeline.detection_data.open_shapes.outlines import HOLES, OUTLINES
from crqat_pipeline.detection_data.open_shapes.scene import SceneObject

Pixels = NDArray[np.float32]

SUPERSAMPLING = 4
HUE_JITTER = 0.012
VALUE_JITTER = 0.10
SECOND_COLOUR_SHADE = 0.30


def _jittered(colour: str, random: np.random.Generator) -> Pixels:
    """The colour as float RGB 0..255, a little off in hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLOURS[colour]))
    shift_h, shift_s, shift_v = random.uniform(-1, 1, 3).tolist()
    hue = (hue + HUE_JITTER * shift_h) % 1.0
    saturation = min(1.0, saturation * (1 + 0.5 * VALUE_JITTER * shift_s))
    value = min(1.0, value * (1 + VALUE_JITTER * shift_v))
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), dtype=np.float32) * np.float32(255)


def _background(size_px: int, random: np.random.Generator) -> Image.Image:
    """Smooth noise around a grey, with clutter lines."""
    grey = random.uniform(70, 185)
    coarse = grey + random.normal(0, 16, (5, 5, 1)) + random.normal(0, 7, (5, 5, 3))
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((size_px, size_px), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(2, 6))):
        ends = tuple(random.uniform(0, size_px, 4).tolist())
        shade = tuple((grey + random.normal(0, 45, 3)).clip(0, 255).astype(int).tolist())
        draw.line(ends, fill=shade, width=int(random.integers(1, 3)))
    return image


def _coverage(shape: str, left: float, top: float, item: SceneObject, size_wh: tuple[int, int]) -> Pixels:
    """Share of each pixel of the patch that the shape covers, (h, w) in [0, 1]."""
    mask = Image.new("L", (size_wh[0] * SUPERSAMPLING, size_wh[1] * SUPERSAMPLING), 0)
    draw = ImageDraw.Draw(mask)
    for outline, value in ((OUTLINES[shape], 255), (HOLES.get(shape), 0)):
        if outline is not None:
            corners = (outline * (item.width, item.height) + (left, top)) * SUPERSAMPLING - 0.5
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=value)
    return np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32) / np.float32(255)


def _texture(texture: str, size_px: float, size_wh: tuple[int, int], random: np.random.Generator) -> Pixels | None:
    """Share of the second colour in each pixel, (h, w) in [0, 1]; None for plain."""
    if texture == "plain":
        return None
    phase_x, phase_y, turn = random.random(3).tolist()
    x = np.arange(size_wh[0], dtype=np.float32)[None, :]
    y = np.arange(size_wh[1], dtype=np.float32)[:, None]
    if texture == "striped":
        period = max(4.6, size_px / 5)
        angle = math.pi * turn
        wave = (x * math.cos(angle) + y * math.sin(angle)) / period + phase_x
        distance = np.abs(wave - np.floor(wave) - 0.5) * period
        return np.asarray((period / 4 - distance + 0.5).clip(0, 1))
    period = max(5.4, size_px / 4.5)
    row = y / period + phase_y
    shift = 0.5 * (np.floor(row) % 2)
    column = x / period + phase_x + shift
    distance = np.hypot(column - np.floor(column) - 0.5, row - np.floor(row) - 0.5) * period
    return np.asarray((0.30 * period - distance + 0.5).clip(0, 1))


def _paint_object(image_HW3: Pixels, item: SceneObject, category: ShapeCategory, random: np.random.Generator) -> None:
    x0, y0 = math.floor(item.left), math.floor(item.top)
    x1, y1 = math.ceil(item.left + item.width), math.ceil(item.top + item.height)
    size_wh = (x1 - x0, y1 - y0)
    cover_hw = _coverage(category.shape, item.left - x0, item.top - y0, item, size_wh)[:, :, None]
    colour = _jittered(category.colour, random)
    share_hw = _texture(category.texture, math.sqrt(item.width * item.height), size_wh, random)
    paint = colour if share_hw is None else colour * (1 - (1 - SECOND_COLOUR_SHADE) * share_hw[:, :, None])
    patch = image_HW3[y0:y1, x0:x1]
    patch += (paint - patch) * cover_hw


def paint_scene(
    objects: Sequence[SceneObject], image_size_px: int, noise_std: float, random: np.random.Generator
) -> Image.Image:
    """Draw a scene back to front; the same generator state gives the same pixels."""
    image_HW3 = np.asarray(_background(image_size_px, random), dtype=np.float32).copy()
    for item in objects:
        _paint_object(image_HW3, item, CATEGORIES[item.category_id - 1], random)
    image_HW3 += noise_std * random.standard_normal(image_HW3.shape, dtype=np.float32)
    return Image.fromarray((image_HW3 + 0.5).clip(0, 255).astype(np.uint8))
