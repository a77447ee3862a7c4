"""The typst template of a page (typst 0.15).

A question is data: doc.json holds a style and the blocks of prep.rendering.markup; a table that is too wide
has its column widths in em as well. It is only ever shown as text and never evaluated. All lengths are in
pixels, at 72 pixels an inch.

A page is black on white, and prep.rendering.encode colours it. Shades are CMYK: for any other colour space
PDFium computes a profile for each document, which takes longer than rasterising.

The template is a function in a file of its own, which typst compiles once. The data comes as a file, since
typst recompiles everything if it comes in any other way, for a third of the time.
"""

TYPST_FILES = {
    "main.typ": '#import "page.typ": question\n#question(json("doc.json"))',
    "page.typ": r"""
#let px = 1pt
#let ink = cmyk(100%, 100%, 100%, 100%)
#let shade(share) = cmyk(0%, 0%, 0%, share)

// ---- mathematics: a tree of prep.rendering.latex

#let variants = (
  upright: math.upright, bold: math.bold, italic: math.italic, bb: math.bb, cal: math.cal, frak: math.frak,
  sans: math.sans, mono: math.mono, boldupright: body => math.bold(math.upright(body)),
)
#let lines-about = (
  over: math.overline, under: math.underline, overbrace: math.overbrace, underbrace: math.underbrace,
)
#let align-point = $&$.body
#let m(node) = {
  if node == none { return none }
  let kind = node.at(0)
  if kind == "s" { [#symbol(node.at(1))] }
  else if kind == "t" { [#text(node.at(1))] }
  else if kind == "row" { [#node.at(1).map(m).join()] }
  else if kind == "sp" { h(node.at(1) * 1em) }
  else if kind == "frac" { math.frac(m(node.at(1)), m(node.at(2))) }
  else if kind == "full" { math.display(m(node.at(1))) }
  else if kind == "binom" { math.binom(m(node.at(1)), m(node.at(2))) }
  else if kind == "root" { math.root(m(node.at(2)), m(node.at(1))) }
  else if kind == "attach" { math.attach(m(node.at(1)), t: m(node.at(2)), b: m(node.at(3))) }
  else if kind == "op" { math.op(node.at(1), limits: node.at(2)) }
  else if kind == "over" { math.attach(math.limits(m(node.at(1))), t: m(node.at(2))) }
  else if kind == "under" { math.attach(math.limits(m(node.at(1))), b: m(node.at(2))) }
  else if kind == "accent" { math.accent(m(node.at(1)), node.at(2)) }
  else if kind == "line" { (lines-about.at(node.at(2)))(m(node.at(1))) }
  else if kind == "style" { (variants.at(node.at(1)))(m(node.at(2))) }
  else if kind == "fence" {
    math.lr({
      if node.at(1) != "" { [#symbol(node.at(1))] }
      m(node.at(2))
      if node.at(3) != "" { [#symbol(node.at(3))] }
    })
  } else if kind == "stretch" {
    math.attach(
      math.limits(math.stretch([#symbol(node.at(1))], size: 100% + 1em)), t: m(node.at(2)), b: m(node.at(3)),
    )
  } else if kind == "grid" {
    let sides = (node.at(1), node.at(2)).map(side => if side == "" { none } else { side })
    let side = if node.at(1) == "{" and node.at(2) == "" { left } else { center }
    let rules = (vline: node.at(4), hline: node.at(5), stroke: 0.7pt)
    math.mat(delim: sides, align: side, augment: rules, ..node.at(3).map(row => row.map(m)))
  } else if kind == "lines" {
    node.at(1).map(row => row.map(m).join(align-point)).join(linebreak())
  } else { panic("unknown node " + kind) }
}

// ---- blocks and inlines of prep.rendering.markup

#let inline(part) = {
  if type(part) == str { return text(part) }
  let kind = part.at(0)
  if kind == "f" { text(font: part.at(1), part.at(2)) }
  else if kind == "b" { strong(part.at(1).map(inline).join()) }
  else if kind == "i" { emph(part.at(1).map(inline).join()) }
  else if kind == "tt" { raw(part.at(1)) }
  else if kind == "m" {
    set text(top-edge: "bounds", bottom-edge: "bounds")  // or a fraction overlaps the next line
    math.equation(block: false, math.display(m(part.at(1))))
  }
  else { panic("unknown inline " + kind) }
}
#let inlines(parts) = parts.map(inline).join()

// Shrink what cannot be broken until it fits, but not below the smallest legible size.
#let fitted(style, body) = context {
  let size = measure(body)
  let factor = calc.min(1.0, (style.width - 2 * style.margin) * px / calc.max(size.width, 1pt))
  if style.height != none {
    factor = calc.min(factor, (style.height - 2 * style.margin) * px / calc.max(size.height, 1pt))
  }
  if factor < style.shrink { panic("does not fit") }
  if factor == 1.0 { body } else { scale(factor * 100%, reflow: true, body) }
}

#let show-block(style, part) = {
  let kind = part.at(0)
  if kind == "p" {
    if part.at(1) { set text(dir: rtl); par(inlines(part.at(2))) } else { par(inlines(part.at(2))) }
  } else if kind == "mono" { raw(part.at(1), block: true) }
  else if kind == "code" {
    block(width: 100%, fill: shade(10%), inset: 0.6em, radius: 3pt, {
      if part.at(1) != "" { raw(part.at(1)); parbreak() }
      raw(part.at(2), block: true)
    })
  } else if kind == "head" {
    let size = (1.35, 1.25, 1.15, 1.1, 1.05, 1.0).at(part.at(1) - 1)
    par(text(size: size * 1em, top-edge: style.rise * size * px, weight: 700, inlines(part.at(2))))
  } else if kind == "list" {
    set block(spacing: style.leading * px + 0.15em)
    for item in part.at(1) {
      block(pad(left: item.at(0) * 1.2em, grid(
        columns: (auto, 1fr), column-gutter: 0.5em, text(item.at(1)), par(inlines(item.at(2))),
      )))
    }
  } else if kind == "table" {
    let rows = part.at(2)
    set par(justify: false)
    table(
      columns: if part.at(4) == none { rows.at(0).len() } else { part.at(4).map(wide => wide * 1em) },
      align: part.at(1).map(side => (left: left, right: right, center: center).at(side)),
      ..rows.at(0).map(cell => if part.at(3) { strong(inlines(cell)) } else { inlines(cell) }),
      ..rows.slice(1).sum(default: ()).map(inlines),
    )
  } else if kind == "math" { align(center, fitted(style, math.equation(block: true, m(part.at(1))))) }
  else { panic("unknown block " + kind) }
}

#let question(doc) = {
  let style = doc.style
  set page(
    width: style.width * px,
    height: if style.height == none { auto } else { style.height * px },
    margin: style.margin * px,
  )
  set text(
    font: style.fonts, size: style.size * px, fill: ink, lang: style.lang, region: style.region,
    script: if style.script == none { auto } else { style.script },
    fallback: false, hyphenate: false, ligatures: false, overhang: false,
    top-edge: style.rise * px, bottom-edge: "baseline",
  )
  set par(
    leading: style.leading * px, spacing: (style.leading + style.gap) * px, justify: style.justify,
    linebreaks: if style.justify { "optimized" } else { "simple" },
  )
  show raw: set text(font: style.mono, size: 1.25em, lang: style.lang, region: style.region)  // it is 0.8 em
  show math.equation: set text(font: style.math, features: ())
  set table(stroke: 0.7pt + shade(50%), inset: (x: 0.4em, y: 0.35em))
  set math.mat(gap: 0.4em)
  for part in doc.blocks { show-block(style, part) }
}
""",
}
