"""demo/graph.py: each rule once, in its stage's colour, with its output files."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

import graph
from running import python_environment

RULES = """digraph snakemake_dag {
\t0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
\t1[label = "list_shards", color = "0.23 0.6 0.85", style="rounded"];
\t2[label = "probe_qwen3", color = "0.06 0.6 0.85", style="rounded"];
\t3[label = "answer_text", color = "0.06 0.6 0.85", style="rounded"];
\t1 -> 3
\t2 -> 3
\t3 -> 0
}
"""
FILES = """digraph snakemake_dag {
0 [ shape=none, margin=0, label=<<table border="2" color="#D95757">
<tr><td>
<b><font point-size="18">fetch_shard</font></b>
</td></tr>
<tr><td align="left"> <b><font point-size="14">&#8618; input</font></b> </td></tr>
<tr><td align="left"><font face="monospace">work/list_shards/{source,a|b}.json</font></td></tr>
<tr><td align="right"> <b><font point-size="14">output &rarr;</font></b> </td> </tr>
<tr><td align="left"><font face="monospace">raw/{source,a|b\\-c}/{batch,\\d{5}}.parquet</font></td></tr>
</table>>]
}
"""


def test_rules_are_drawn_in_their_stages_colours():
    drawn = graph.draw_graph(RULES)
    assert graph.read_nodes(RULES)["3"] == ("answer_text", [])
    assert {"1 -> 3", "2 -> 3"} < set(drawn.splitlines())
    assert "3 -> 0" not in drawn
    colours = {graph.stage_colour(rule) for rule in ("list_shards", "probe_qwen3", "answer_text")}
    assert len(colours) == 3
    assert all(colour in drawn for colour in colours)


def test_the_graph_is_transitively_reduced_and_keeps_the_edge_that_makes_it_a_cycle():
    chain = ("assemble_artifact", "sample_images", "answer_image", "judge_image", "select_image")
    nodes = [f'\t{number}[label = "{rule}"];\n' for number, rule in enumerate(chain)]
    edges = [f"\t{one} -> {other}\n" for one in range(5) for other in range(one + 1, 5)]
    drawn = graph.draw_graph("digraph {\n" + "".join([*nodes, *edges, "\t4 -> 0\n"]) + "}")
    assert [line for line in drawn.splitlines() if "->" in line] == [
        *("0 -> 1", "1 -> 2", "2 -> 3", "3 -> 4", "4 -> 0 [constraint=false]")
    ]


def test_output_files_stand_below_their_rule_without_wildcard_constraints():
    assert graph.read_nodes(FILES) == {"0": ("fetch_shard", ["raw/{source}/{batch}.parquet"])}
    assert "raw/{source}/{batch}.parquet" in graph.draw_graph(FILES)


def test_every_rule_with_a_program_has_a_colour_of_its_stage():
    named = {rule for _, rules in graph.COLOURS.values() for rule in rules.split()}
    programs = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert programs - named == {
        "compare_builds",
        "draw_pages",
        "explain_row",
        "fetch_font",
        "find_rows",
        "preview_selection",
        "plan",
        "probe_server",
        "serve_server",
        "keep_server",
        "embedded_server",
        "try_sources",
        "watch_batches",
    }


def test_an_empty_graph_is_one_line():
    with pytest.raises(graph.UserError, match="no graph on standard input"):
        graph.draw_graph("Error: no such config\n")


def test_the_picture_is_svg_or_the_lack_of_graphviz_is_told(tmp_path):
    command = [sys.executable, ROOT / "demo/graph.py", tmp_path / "rules.svg"]
    done = subprocess.run(
        command, env=python_environment(), input=RULES, capture_output=True, text=True, check=False
    )
    if shutil.which("dot"):
        assert done.returncode == 0, done.stderr
        assert "<svg" in (tmp_path / "rules.svg").read_text()
    else:
        assert "install Graphviz" in done.stderr
        assert not (tmp_path / "rules.svg").exists()
