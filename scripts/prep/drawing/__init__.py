"""A question becomes pages: markup is read, fonts are chosen, typst draws. `typeset` is the door.

What is here needs typst, fonttools and the font wheels besides what prep needs (see envs/base.yaml).
"""
