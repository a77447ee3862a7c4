#!/usr/bin/env python
"""Draw Snakemake's rule graph or file graph as SVG: in the stages' colours, no edge twice.

Reads what `snakemake --rulegraph` or `--filegraph` prints, for Graphviz's `dot` and `tred` to lay out.
"""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from prep.files import whole
from prep.program import Failure, parser, run

COLOURS = {
    "where data comes from": ("#cfe2f3", "resolve_revision list_shards fetch_shard"),
    "stages 1 and 2": ("#d9ead3", "convert_llava convert_synthdog gather_parts assemble_artifact"),
    "stage 3, text": ("#fff2cc", "read_questions batch_questions answer_text judge_text render_text"),
    "stage 3, pictures": ("#f9cb9c", "sample_images answer_image judge_image select_image"),
    "published": (
        "#d9d2e9",
        "manifest_artifact publish_registration publish_manifest publish_card publish_report",
    ),
    "model servers": ("#eeeeee", ""),
}
LEFT_OUT = "all"
WILDCARD = re.compile(r"\{(\w+),(?:[^{}]|\{\d+\})*\}")
"""A wildcard with what it may be, of which the name is shown."""
FILES = 6
"""So many of a rule's files are shown at most."""


def nodes(dot: str) -> dict[str, tuple[str, list[str]]]:
    """Each node's rule and the files that it makes, by the node's number."""
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


def colour(rule: str) -> str:
    """The colour of the stage that a rule is of."""
    of_stage = (shade for shade, rules in COLOURS.values() if rule in rules.split())
    return next(of_stage, COLOURS["model servers"][0])


def label(rule: str, files: list[str]) -> str:
    """A rule's name, and under it what it makes."""
    more = [f"and {len(files) - FILES} more"] if len(files) > FILES else []
    small = [f'<font point-size="9">{html.escape(file)}</font>' for file in files[:FILES] + more]
    return '<br align="left"/>'.join([f"<<b>{rule}</b>", *small, ">"] if small else [f"<<b>{rule}</b>>"])


def drawing(dot: str) -> str:
    """The graph anew, for `dot`."""
    found = nodes(dot)
    if not found:
        raise Failure("there is no graph on standard input; what does Snakemake say?")
    edges = re.findall(r"^\s*(\d+) -> (\d+)", dot, re.MULTILINE)
    shown = {number for number, (rule, _) in found.items() if rule != LEFT_OUT}
    lines = [
        "digraph {",
        f"rankdir={'TB' if any(files for _, files in found.values()) else 'LR'}",
        "ranksep=0.3 nodesep=0.15 bgcolor=white",
        'node [shape=box style="filled,rounded" fontname="sans-serif" fontsize=12 color="#666666"]',
        'edge [color="#666666" arrowsize=0.7]',
    ]
    lines += [
        f'{number} [label={label(*found[number])} fillcolor="{colour(found[number][0])}"]' for number in shown
    ]
    lines += [f"{one} -> {other}" for one, other in edges if {one, other} <= shown]
    key = "".join(f'<tr><td bgcolor="{shade}">{stage}</td></tr>' for stage, (shade, _) in COLOURS.items())
    lines.append(f'key [shape=plain style="" label=<<table border="0" cellspacing="3">{key}</table>>]')
    return "\n".join([*lines, "}"])


def layout(text: str) -> bytes:
    """The SVG of a graph, without the edges that a longer way stands for."""
    for program in ("tred", "dot"):
        if shutil.which(program) is None:
            raise Failure(f"{program} is not found; install Graphviz, which has it")
    # tred warns of the circle by which assembled artifacts are sampled, and samples assembled.
    fewer = subprocess.run(["tred"], input=text.encode(), capture_output=True, check=True).stdout
    return subprocess.run(["dot", "-Tsvg"], input=fewer, stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    args = parser(__doc__)
    args.add_argument("svg", type=Path, help="to write")
    svg = args.parse_args().svg
    with whole(svg) as part:
        part.write_bytes(layout(drawing(sys.stdin.read())))
    print(svg)


if __name__ == "__main__":
    run(main)
