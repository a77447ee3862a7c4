"""The letters that pages and figures are drawn with."""

import functools

from PIL import ImageFont

from wheels import wheel_file


@functools.cache
def font(size: int, bold: bool = False, chinese: bool = False) -> ImageFont.FreeTypeFont:
    """Noto Sans, or Noto Sans CJK, which has one weight here.

    The basic layout engine draws alike on every machine; the other depends on a library of the system.
    """
    if chinese:
        path = wheel_file("cvttf-notosanscjk-regular", "cvttf_NotoSansCJK_Regular/NotoSansCJKtc-Regular.otf")
    else:
        path = wheel_file("fontpkg-noto-sans", "fontpkg_noto_sans/files/NotoSans[wdth,wght].ttf")
    face = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    if not chinese:
        face.set_variation_by_name("Bold" if bold else "Regular")
    return face


def is_chinese(text: str) -> bool:
    """Whether the text holds a Chinese character."""
    return any("\u4e00" <= character <= "\u9fff" for character in text)
