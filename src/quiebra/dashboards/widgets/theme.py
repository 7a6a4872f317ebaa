"""Colours of the pages: the brand's palette as CSS, and a colour for each grade, the same in pages and charts."""

from __future__ import annotations

from quiebra.brand import brand_colours, risk_colours


def grade_colours(grades: list[str]) -> dict[str, str]:
    """Return grade → colour, from the best to the worst."""
    return dict(zip(grades, risk_colours(len(grades)), strict=True))


def _luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast_ratio(one: str, other: str) -> float:
    """Return the contrast ratio of two colours by WCAG 2.2: 1 to 21; text needs 4.5."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable_on(background: str) -> str:
    """Return the text colour with the highest contrast on a background."""
    return max(brand_colours()["paper"], brand_colours()["ink"], "#000000", key=lambda colour: contrast_ratio(colour, background))


def brand_css(grades: list[str]) -> str:
    """Return CSS with the palette as variables ``--brand-NAME``, and a rule for each grade's chip."""
    variables = "".join(f"--brand-{name}:{value};" for name, value in brand_colours().items())
    chips = "".join(
        f'.q-chip[data-value="{grade}"]{{background:{colour};color:{readable_on(colour)}}}'
        for grade, colour in grade_colours(grades).items()
    )
    return f":root{{{variables}}}{chips}"
