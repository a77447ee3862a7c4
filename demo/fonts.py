"""Fonts of pages and figures."""

import functools

from PIL import ImageFont

from wheels import find_wheel_file


@functools.cache
def load_font(size: int, bold: bool = False, chinese: bool = False) -> ImageFont.FreeTypeFont:
    """Noto Sans, or Noto Sans CJK, which has one weight here.

    The basic layout engine gives the same pixels on every machine; the other depends on a system library.
    """
    if chinese:
        path = find_wheel_file(
            "cvttf-notosanscjk-regular", "cvttf_NotoSansCJK_Regular/NotoSansCJKtc-Regular.otf"
        )
    else:
        path = find_wheel_file("fontpkg-noto-sans", "fontpkg_noto_sans/files/NotoSans[wdth,wght].ttf")
    face = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    if not chinese:
        face.set_variation_by_name("Bold" if bold else "Regular")
    return face


def is_chinese(text: str) -> bool:
    """Whether the text holds a Chinese character."""
    return any("\u4e00" <= character <= "\u9fff" for character in text)
