#!/usr/bin/env python
"""Draw Snakemake's rule graph or file graph as SVG: a colour for each stage, transitively reduced.

Reads what `snakemake --rulegraph` or `--filegraph` prints. Graphviz's `dot` does the layout.
"""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import networkx

from prep.runtime.program import UserError, parser, run
from prep.storage.atomic import atomic_write

COLOURS = {
    "where data comes from": ("#cfe2f3", "resolve_revision list_shards fetch_shard fetch_pictures"),
    "stages 1 and 2": (
        "#d9ead3",
        "convert_llava convert_messages convert_caption convert_qa convert_ocr"
        " gather_parts assemble_artifact fingerprint_rows count_duplicates",
    ),
    "stage 3, text": (
        "#fff2cc",
        "read_questions filter_text batch_questions answer_text compare_text judge_text render_text",
    ),
    "stage 3, pictures": (
        "#f9cb9c",
        "sample_images sample_questions filter_image answer_image compare_image judge_image answer_blind"
        " compare_blind judge_blind select_image",
    ),
    "the judges, measured": (
        "#ead1dc",
        "plant_errors compare_planted_text compare_planted_image judge_planted_text judge_planted_image"
        " judge_calibration",
    ),
    "published": (
        "#d9d2e9",
        "manifest_artifact publish_registration publish_manifest publish_card publish_llamafactory read_pages"
        " publish_report verify_artifact",
    ),
    "model servers": ("#eeeeee", ""),
}
LEFT_OUT = "all"
CYCLE = ("select_image", "assemble_artifact")
"""The edge that makes the rules a cycle: artifacts are sampled, and the samples become an artifact."""
WILDCARD = re.compile(r"\{(\w+),(?:[^{}]|\{\d+\})*\}")
"""A wildcard and its constraint. Only its name is shown."""
FILES = 6
"""How many of a rule's files are shown at most."""


def read_nodes(dot: str) -> dict[str, tuple[str, list[str]]]:
    """Each node's rule and output files, by the node's number."""
    found = {
        number: (rule, []) for number, rule in re.findall(r'^\s*(\d+)\[label = "(\w+)', dot, re.MULTILINE)
    }
    for number, table in re.findall(
        r"^(\d+) \[ shape=none.*?label=<(.*?</table>)>\]", dot, re.DOTALL | re.MULTILINE
    ):
        made = table.partition("output &rarr;")[2]
        files = map(html.unescape, re.findall(r'face="monospace">(.*?)</font>', made))
        rule = re.search(r'point-size="18">(\w+)<', table)[1]
        found[number] = (rule, [WILDCARD.sub(r"{\1}", file) for file in files])
    return found


def stage_colour(rule: str) -> str:
    """The colour of a rule's stage."""
    of_stage = (shade for shade, rules in COLOURS.values() if rule in rules.split())
    return next(of_stage, COLOURS["model servers"][0])


def node_label(rule: str, files: list[str]) -> str:
    """A rule's name and, below it, its output files."""
    more = [f"and {len(files) - FILES} more"] if len(files) > FILES else []
    small = [f'<font point-size="9">{html.escape(file)}</font>' for file in files[:FILES] + more]
    return '<br align="left"/>'.join([f"<<b>{rule}</b>", *small, ">"] if small else [f"<<b>{rule}</b>>"])


def draw_graph(dot: str) -> str:
    """The graph in the dot language, coloured and transitively reduced; raises UserError without one."""
    found = read_nodes(dot)
    if not found:
        raise UserError("there is no graph on standard input; what does Snakemake say?")
    shown = {number: rule for number, (rule, _) in sorted(found.items()) if rule != LEFT_OUT}
    edges = re.findall(r"^\s*(\d+) -> (\d+)", dot, re.MULTILINE)
    edges = [(one, other) for one, other in edges if {one, other} <= shown.keys()]
    closing = [edge for edge in edges if (shown[edge[0]], shown[edge[1]]) == CYCLE]
    reduced = networkx.transitive_reduction(networkx.DiGraph(edge for edge in edges if edge not in closing))
    lines = [
        "digraph {",
        "ranksep=0.25 nodesep=0.15 bgcolor=white",
        'node [shape=box style="filled,rounded" height=0.3 margin="0.11,0.04"]',
        'node [fontname="sans-serif" fontsize=12 color="#666666"]',
        'edge [color="#666666" arrowsize=0.7]',
    ]
    lines += [
        f'{number} [label={node_label(*found[number])} fillcolor="{stage_colour(rule)}"]'
        for number, rule in shown.items()
    ]
    key = "".join(f'<tr><td bgcolor="{shade}">{stage}</td></tr>' for stage, (shade, _) in COLOURS.items())
    lines.append(f'key [shape=plain style="" label=<<table border="0" cellspacing="3">{key}</table>>]')
    lines += [f"{one} -> {other}" for one, other in sorted(reduced.edges)]
    lines += [f"{one} -> {other} [constraint=false]" for one, other in closing]
    return "\n".join([*lines, "}"])


def layout_svg(text: str) -> bytes:
    """A graph as SVG, by Graphviz; raises UserError where it is not installed."""
    if shutil.which("dot") is None:
        raise UserError("dot is not found; install Graphviz, which has it")
    return subprocess.run(["dot", "-Tsvg"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    args = parser(__doc__)
    args.add_argument("svg", type=Path, help="to write")
    svg = args.parse_args().svg
    with atomic_write(svg) as part:
        part.write_bytes(layout_svg(draw_graph(sys.stdin.read())))
    print(svg)


if __name__ == "__main__":
    run(main)
