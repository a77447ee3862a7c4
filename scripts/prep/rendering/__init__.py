"""A question becomes pages: markup is read, fonts are chosen, typst sets the text, PDFium draws it.

`typeset` is the door. What is here needs typst, pypdfium2, isal, numpy, fonttools and the font wheels
besides what prep needs (see envs/base.yaml).
"""
