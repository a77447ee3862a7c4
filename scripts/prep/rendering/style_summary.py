"""Description of a page style in one line of text."""

from prep.rendering.style import PageStyle


def describe_style(style: PageStyle) -> str:
    """Describe a look in a line."""
    parts = [
        f"layout {style.layout}",
        f"{style.face} {style.weight}, Chinese in {style.chinese_face}",
        f"at most {style.size} px",
        f"{style.ink} on {style.paper} {style.texture}",
        "PNG" if style.jpeg is None else f"JPEG {style.jpeg}",
    ]
    return ", ".join([*parts, *style.effects])
