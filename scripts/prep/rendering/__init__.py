"""Text-to-image rendering: parse markup, choose fonts, typeset with typst, rasterise with PDFium, encode.

`typeset.Typesetter` is the entry point. The modules need typst, pypdfium2, isal, numpy,
fonttools and the font wheels beyond what prep needs (see envs/base.yaml).
"""
