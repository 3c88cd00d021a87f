"""The bank's accent, made readable: what text and buttons in its colour need for WCAG AA."""

import re

HEX = re.compile(r"#[0-9a-f]{6}")
_AA = 4.5
_DARKER = 0.94


def readable(accent: str) -> str:
    """The accent as `#rrggbb`, darkened until white on it, and it on white, has a contrast of at least 4.5:1."""
    levels = _levels(accent.lower()) if HEX.fullmatch(accent.lower()) else _levels("#0b5d5e")
    while contrast_to_white(levels) < _AA:
        red, green, blue = levels
        levels = (round(red * _DARKER), round(green * _DARKER), round(blue * _DARKER))
    return "#" + "".join(f"{round(level):02x}" for level in levels)


def contrast_to_white(levels: tuple[float, float, float]) -> float:
    """Contrast ratio 1..21 of a colour (levels 0..255) against white. Source: WCAG 2.2, relative luminance."""
    red, green, blue = (_linear(level / 255) for level in levels)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(level: float) -> float:
    return level / 12.92 if level <= 0.04045 else float(((level + 0.055) / 1.055) ** 2.4)


def _levels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (float(int(colour[start : start + 2], 16)) for start in (1, 3, 5))
    return red, green, blue
