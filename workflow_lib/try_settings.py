"""What `make try` takes of config files: the sources to read, and the config of a small build of them."""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

from workflow_lib.config import fail, merge_files, read_config, resolve_paths
from workflow_lib.config_error import cut, exit_in_one_line, say_allowed
from workflow_lib.names import Names
from workflow_lib.settings import conversion_settings, question_settings
from workflow_lib.sources import configured_sources, mirror_folder

BASE = Path(__file__).parent.parent
MOST_DIGITS = 18
"""Of a number that JSON and the config's schema take."""


def list_sources(config: dict[str, Any], names: Names) -> list[dict[str, Any]]:
    """What a program reads of each source, with the key of its entry."""
    known = configured_sources(names)
    found = []
    for name, entry in names.entries.items():
        key = f"sources.{name}" if name in config["sources"] else "onevision"
        form, settings = entry["form"], conversion_settings(config, entry)
        about = {"key": key, "form": form, "settings": settings, "artifact": names.path_of(name)}
        found.append({"name": name, **about})
    for number, (name, given) in enumerate(names.asked.items()):
        artifact = names.path_of("image_thinking" if name in names.pictured else "text2image")
        about = {"key": f"text_reasoning.sources.{number}", "form": "questions", "artifact": artifact}
        found.append({"name": name, **about, "settings": question_settings(config, given)})
    for each in found:
        pictures = names.pictures.get(each["name"])
        each |= known[each["name"]] | {"pictures": known[pictures] if pictures else None}
    return found


def choose_sources(sources: list[dict[str, Any]], name: str | None) -> list[dict[str, Any]]:
    """The source of a name, or of the last part of one; all without a name."""
    if name is None:
        return sources
    chosen = [each for each in sources if name in (each["name"], Path(each["name"]).name)]
    if not chosen:
        fail(
            f"SOURCE={name}: there is no such source; {say_allowed(name, [each['name'] for each in sources])}"
        )
    return chosen


def limit_config(
    merged: dict[str, Any], names: Names, sources: list[dict[str, Any]], rows: int
) -> dict[str, Any]:
    """The config of a build of the first rows of those sources that teachers are asked about."""
    chosen = [each["name"] for each in sources]
    entries = [name for name in names.sampled if name in chosen]
    asked = [given for name, given in names.asked.items() if name in chosen]
    if not entries and not asked:
        fail(
            f"TEACHERS=1: no teacher is asked about {', '.join(chosen)}: it has no image_reasoning, and is no"
            " source of questions"
        )
    limited = copy.deepcopy(merged)
    limited["sources"] = dict.fromkeys(merge_files(BASE, [])[0]["sources"])
    for name in entries:
        entry = {key: value for key, value in names.entries[name].items() if value not in (None, [])}
        entry["columns"] = {role: column for role, column in entry["columns"].items() if column is not None}
        limited["sources"][name] = entry | {"max_samples": min(rows, entry.get("max_samples", rows))}
    limited["onevision"] = None
    limited["text_reasoning"] |= {"sources": asked, "max_questions": rows, "allow_empty": True}
    limited["image_reasoning"] |= {"samples_per_config": rows, "quotas": {}, "allow_empty": True}
    return limited


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--folder", type=Path, required=True, help="out: sources.json, config.json")
    parser.add_argument("--rows", required=True, help="how many of each source")
    parser.add_argument("--source", help="the one that is tried; left out: all")
    parser.add_argument("--teachers", action="store_true", help="write the config of a small build too")
    parser.add_argument("--configfile", "--configfiles", type=Path, nargs="+", default=[])
    args, others = parser.parse_known_args()
    if any(word in ("--config", "-C") for word in others):
        fail("make try reads --configfile alone; put what --config says into a file")
    digits = args.rows if args.rows.isascii() and args.rows.isdecimal() else ""
    if len(digits) > MOST_DIGITS or not digits.strip("0"):
        fail(f"N={cut(args.rows)}: is no whole number of 1 or more, of {MOST_DIGITS} digits at the most")
    return args


@exit_in_one_line()
def main() -> None:
    args = parse_args()
    config = read_config(BASE, args.configfile)
    names, mirror = Names(config), mirror_folder(config)
    sources = choose_sources(list_sources(config, names), args.source)
    if not sources:
        fail("there is no source to try: every entry is null")
    hub = {"mirror": mirror and str(mirror), "endpoint": config["hub"]["endpoint"]}
    given = {"hub": hub, "incomplete": config["hub"]["incomplete"], "sources": sources}
    write_json(args.folder / "sources.json", given)
    if args.teachers:
        merged, written = merge_files(BASE, args.configfile)
        resolve_paths(merged, BASE, written)
        write_json(args.folder / "config.json", limit_config(merged, names, sources, int(args.rows)))


if __name__ == "__main__":
    main()
