#!/usr/bin/env python
"""Cost estimate of a run: what it will fetch, write and ask, beside what is done so far."""

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from datetime import UTC, datetime
from glob import escape
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
from tabulate import tabulate

from prep.hub.numbered_files import shorten_names
from prep.inference import request, server_plan
from prep.inference.forecast import MIN_ANSWERS, RequestKind, Server, estimate_mean, weigh_prompts
from prep.inference.journal import Journal
from prep.inference.progress import read_progress
from prep.inference.server_plan import Batches, Load
from prep.reasoning import verdict
from prep.records import seeding
from prep.records.ids import parse_answer_id, parse_vote_id
from prep.records.tags import USUAL_SUFFIXES
from prep.runtime import program
from prep.storage.atomic import read_json

TEXTS = 0.03
"""What converting writes beside an artifact, as a share of its bytes: texts alone."""
MILLION = 1_000_000
MEASURED_SHARE = 0.01
"""Of a kind's requests: once so many were answered, their tokens stand in place of the assumed ones."""
SILENT_S = 120.0
"""After which a running job's progress tells nothing of now."""
Tokens = tuple[int, int]
"""Of a prompt, and of its answer."""
Held = dict[str, dict[str, Tokens]]
"""What a journal holds: the tokens of each row that was asked, by request_kind as JSON."""


def read_held_tokens(folder: Path, seed: int) -> Held:
    """What a journal holds of requests with a seed."""
    found: Held = {}
    if not folder.is_dir():
        return found
    with Journal(folder) as journal:
        for record in map(journal.get, journal):
            asked = record.get("asked")
            if asked is None:
                continue  # a line of an early version
            id_ = record["id"]
            if asked["mode"] == "judge":
                answer, vote = parse_vote_id(id_)
                of = (answer, "judge", vote)
            else:
                of = parse_answer_id(id_)
            if asked.pop("seed") == seeding.request_seed(seed, *of):
                found.setdefault(_encode_kind(asked), {})[record["id"]] = tuple(record["tokens"])
    return found


def _encode_kind(kind: dict) -> str:
    return json.dumps(kind, sort_keys=True)


def list_missing_files(listings: Iterable[dict]) -> list[str]:
    """A line for each source of which files are missing."""
    return [
        f"{listing['source']}: files are missing: {shorten_names(listing['missing'])}"
        for listing in listings
        if listing["missing"]
    ]


def count_source_rows(listing: dict, assumed: dict[str, int]) -> int | None:
    """How many rows are read of a source; None where neither its files nor `assumed` (by repository) say."""
    counts = [file["rows"] if file["take"] is None else file["take"] for file in listing["files"]]
    return assumed.get(listing["repo"]) if None in counts else sum(counts)


def plan_converted(name: str, listing: dict, data: Path, raw: Path, pictures: dict | None = None) -> dict:
    """The line of a converted artifact. Shards are fetched whole; those of a mirror, which has no commit, are
    only linked. `pictures` is the listing of the files that its rows name."""
    needed = [file for file in listing["files"] if file["take"] != 0]
    fetched = needed if listing["commit"] else []
    whole = sum(file["bytes"] for file in fetched)
    missing = [file for file in fetched if not (raw / name / Path(file["file"]).name).exists()]
    parts = [file["bytes"] * _taken_share(file) for file in needed]
    to_fetch, disk = sum(file["bytes"] for file in missing), whole + sum(parts) * (1 + TEXTS)
    for file in pictures["files"] if pictures else []:
        source, linked = pictures["source"], pictures["commit"] is None
        there = raw / f"{source}@loose" if file.get("loose") else raw / source / Path(file["file"]).name
        to_fetch += 0 if linked or there.exists() else file["bytes"]
        disk += file["bytes"] * (1 if linked else 2)  # and once more in the artifact
    return _artifact_line(name, len(needed), to_fetch, count_source_rows(listing, {}), disk, data)


def _taken_share(file: dict) -> float:
    return 1.0 if file["take"] is None or not file["rows"] else file["take"] / file["rows"]


def plan_reasoned(name: str, rows: int, picture_bytes: float, data: Path) -> dict:
    """The line of an artifact of stage 3, which is at most so many rows."""
    return _artifact_line(name, None, 0, rows, rows * picture_bytes * 2, data)


def _artifact_line(
    name: str, shards: int | None, to_fetch: int, rows: int | None, disk: float, data: Path
) -> dict:
    """The line of an artifact: what is planned (sizes in bytes), and what its manifest says was built."""
    manifest = data / f"manifest/{name}.json"
    built = read_json(manifest) if manifest.is_file() else {}
    return {
        "artifact": name,
        "shards": shards,
        "to fetch GB": to_fetch / 1e9,
        "rows": rows,
        "disk at the peak GB": disk / 1e9,
        "rows so far": built.get("rows"),
        "GB so far": built["bytes"] / 1e9 if built else None,
    }


def list_folders(work: Path, read: str, what: str, about: dict) -> list[Path]:
    """Where questions of a task are counted: as they are asked, and before, as they were `read`."""
    filtered = [work / f"filter_{what}"] if what in about.get("filtered", []) else []
    return [*filtered, work / read]


def count_questions(source: str, listing: dict, folders: list[Path], about: dict) -> tuple[int, int]:
    """How many questions of a source are asked thinking, and how many of these once more without.

    Both are counted in the first of `folders` that has the questions, and estimated from the listing before.
    """
    share, most = about["text"]["no_think_share"], about["questions"][source]
    if read := next(filter(Path.is_file, (folder / f"{source}.parquet" for folder in folders)), None):
        ids = pq.read_table(read, columns=["id"]).column("id").to_pylist()
        return len(ids), sum(seeding.is_chosen(about["seed"], id_, share) for id_ in ids)
    rows = count_source_rows(listing, about["rates"]["rows"])
    if rows is None:
        raise program.UserError(
            f"{listing['repo']}: its rows are not known before it is read;"
            f" say how many there are under plan.rows, such as {listing['repo']}: 1000"
        )
    rows = rows if most is None else min(rows, most)
    return rows, math.ceil(rows * share)


def count_pictures(name: str, rows: int | None, folders: list[Path], most: int) -> int:
    """How many rows of an artifact are asked about: as many as there are known to be, and `most` at most."""
    if path := next(filter(Path.is_file, (folder / f"{name}.json" for folder in folders)), None):
        summary = read_json(path)
        files = summary["files"]
        known = files["samples" if "samples" in files else "questions"]["rows"]
        if known < summary.get("wanted", math.inf):
            rows = known  # which are all that can be
    return most if rows is None else min(rows, most)


def list_teachers(asked: dict) -> list[str]:
    """The servers that are asked a task's questions: its teachers in order, then whose pass rate counts."""
    return list(asked.get("teachers") or [asked["teacher"]])


def count_requests(about: dict, texts: int, plain: int, seen: int) -> Iterator[list[dict]]:
    """What is to be asked for each teacher, by server and kind. The judge sees every answer, at most."""
    due = {"text": {"thinking": texts, "no_thinking": plain}, "image": {"thinking": seen}}
    for what, kinds in due.items():
        asked = about[what]
        teachers, rated = list_teachers(asked), asked.get("pass_rate_server") or {}
        parts = sum(name != rated.get("server") for name in teachers) if asked.get("mix") == "hash" else 1
        for teacher in teachers:
            is_rated = teacher == rated.get("server")
            share, samples = (1, rated["samples"]) if is_rated else (parts, asked["samples"])
            counts = {kind: math.ceil(count / share) * samples for kind, count in kinds.items()}
            lines = [(kind, teacher, count) for kind, count in counts.items()]
            lines.append(("judge", asked["judge"], sum(counts.values()) * asked["judge_votes"]))
            yield [
                {"what": what, "kind": kind, "server": server, "requests": count}
                for kind, server, count in lines
            ]
    if about["image"].get("blind_check"):
        asked = (("blind", list_teachers(about["text"])[0]), ("judge", about["image"]["judge"]))
        yield [{"what": "image", "kind": kind, "server": server, "requests": seen} for kind, server in asked]


def find_settings(line: dict, about: dict) -> dict:
    """What the requests of a line are asked with: the settings of its teacher, or of the task's judge."""
    if line["kind"] == "blind":  # the text teacher's, as it thinks
        given = about["text"] | about["text"].get("teachers", {}).get(line["server"], {})
        return {key: {"blind": given[key]["thinking"]} for key in ("request", "sampling")}
    given = about[line["what"]]
    return given if line["kind"] == "judge" else given | given.get("teachers", {}).get(line["server"], {})


def describe_added(line: dict, about: dict) -> dict:
    """What the configuration adds to the requests of a line of `count_requests`."""
    what, kind = line["what"], line["kind"]
    given = find_settings(line, about)["request"][kind]
    return request.describe_added(given, USUAL_SUFFIXES.get((what, kind), ""))


def say_added(line: dict, about: dict) -> str:
    """A line of text that says what requests carry besides, and of which teacher where there are several."""
    if not (added := describe_added(line, about)):
        return ""
    several = line["kind"] != "judge" and len(list_teachers(about[line["what"]])) > 1
    who = f" ({line['server']})" if several else ""
    said = json.dumps(added, ensure_ascii=False)
    return f"{line['what']} {line['kind']}{who} carries besides: {said}\n"


def find_paid_rows(line: dict, about: dict, journals: dict[str, Held]) -> dict[str, Tokens]:
    """The tokens of each row that a line's journal holds."""
    what, kind = line["what"], line["kind"]
    template = verdict.build_empty_prompt(about[what]["prompt"]) if kind == "judge" else None
    model = about["models"][line["server"]]
    sampling = find_settings(line, about)["sampling"][kind]
    asked = request.request_kind(kind, model, sampling, template, describe_added(line, about))
    rows = journals[line["server"]].get(_encode_kind(asked), {})
    of_picture = what == "image"
    pictures = tuple(f"{name}/" for name in [*about["sampled"], *about.get("pictured", [])])
    return {id_: rows[id_] for id_ in rows if id_.startswith(pictures) == of_picture}


def find_settled_batches(folder: Path, paid: Set[str], files: str = "*.parquet") -> Iterator[dict[str, str]]:
    """What came of the rows of each finished batch in `folder` (ANSWERS or VERDICTS), by id.

    `answered` by the server, `rejected`, or `spared`, since a rule decided in the judge's place. A batch
    counts where the journal holds each row of it that was answered, and one row at least: else it is of
    requests that are made in another way now.
    """
    for path in sorted(folder.glob(files)):
        said = [name for name in ("verdict",) if name in pq.read_schema(path).names]
        found = {}
        for row in pq.read_table(path, columns=["id", "reason", *said]).to_pylist():
            is_spared = said and row["verdict"] is None
            found[row["id"]] = "rejected" if row["reason"] else "spared" if is_spared else "answered"
        answered = {id_ for id_, end in found.items() if end == "answered"}
        if answered <= paid and found.keys() & paid:
            yield found


def count_settled_votes(batch: dict[str, str], paid: dict[str, set[int]], votes: int) -> int:
    """How many votes on a finished batch are not asked again, though the journal does not hold them.

    Those are the votes on what a rule spared, and those that failed: of as many on each answer as the
    batch was asked for, which its other answers tell.
    """
    asked = 1 + max((vote for id_ in batch for vote in paid.get(id_, ())), default=-1)
    due = {"spared": votes, "answered": asked, "rejected": asked}
    return sum(due[end] - len(paid.get(id_, ())) for id_, end in batch.items())


def settle_lines(
    groups: Iterable[list[dict]], about: dict, journals: dict[str, Held], work: Path
) -> Iterator[tuple[dict, dict[str, Tokens]]]:
    """Each line, corrected by finished batches, with the tokens of each row that its journal holds.

    Rejected rows are not asked again (`failed`), and the judge is asked only about answers that have a text.
    A verdict counts while its answer does.
    """
    for *asked, judged in groups:
        what, teacher = judged["what"], asked[0]["server"]
        is_blind = asked[0]["kind"] == "blind"
        folder = "blind" if is_blind else what
        is_first = is_blind or teacher == list_teachers(about[what])[0]
        files = f"{'[0-9]' * 5}{'' if is_first else f'.{escape(teacher)}'}.parquet"
        paid = [find_paid_rows(line, about, journals) for line in asked]
        answered = set().union(*paid)
        answers = dict(
            chain.from_iterable(
                batch.items() for batch in find_settled_batches(work / f"answer_{folder}", answered, files)
            )
        )
        due = sum(end == "answered" for end in answers.values())
        for line, rows in zip(asked, paid, strict=True):
            ids = {id_ for id_ in answers if parse_answer_id(id_).mode == line["kind"]}
            due += max(0, line["requests"] - len(ids))
            yield line | {"failed": len(ids - rows.keys())}, rows
        votes = 1 if is_blind else about[what]["judge_votes"]
        rows = {
            id_: tokens
            for id_, tokens in find_paid_rows(judged, about, journals).items()
            for answer, vote in [parse_vote_id(id_)]
            if answer in answered and vote < votes
        }
        voted: dict[str, set[int]] = {}
        for answer, vote in map(parse_vote_id, rows):
            voted.setdefault(answer, set()).add(vote)
        judged_batches = find_settled_batches(work / f"judge_{folder}", voted.keys(), files)
        failed = sum(count_settled_votes(batch, voted, votes) for batch in judged_batches)
        yield judged | {"requests": due * votes, "failed": failed}, rows


def kind_of_rates(line: dict) -> str:
    """Whose assumed tokens a line's requests have; without a picture a thought is the text teacher's."""
    return "text_thinking" if line["kind"] == "blind" else f"{line['what']}_{line['kind']}"


def estimate_costs(line: dict, about: dict, rows: dict[str, Tokens]) -> dict:
    """A line of `count_requests` with what its journal holds, and what is left to ask and to pay."""
    rates = about["rates"]
    left = max(0, line["requests"] - len(rows) - line.pop("failed"))
    a_request = rates["tokens"][kind_of_rates(line)]
    rate = rates["tokens_per_gpu_second"].get(line["server"])  # none: an API, with GPUs of its own
    return line | {
        "model": about["models"][line["server"]],
        "in the journal": len(rows),
        "to ask": left,
        "tokens to come": left * a_request,
        "GPU-hours to come": left * a_request / rate / 3600 if rate else None,
        "tokens a request": a_request,
        "tokens a request so far": sum(map(sum, rows.values())) / len(rows) if rows else None,
    }


def estimate_million(lines: Iterable[dict], about: dict, questions: dict[str, int]) -> list[dict]:
    """What a million questions of each task would take, by the mean tokens of what the journals hold.

    `questions` are those that the lines are of. A task without a measured request has no line.
    """
    rates = about["rates"]["tokens_per_gpu_second"]
    found = []
    for line in lines:
        mean, count = line["tokens a request so far"], questions[line["what"]]
        if mean is None or not count:
            continue
        requests = round(line["requests"] * MILLION / count)
        rate = rates.get(line["server"])
        about_line = {key: line[key] for key in ("server", "model", "what", "kind")}
        found.append(
            about_line
            | {"requests": requests, "tokens a request so far": mean, "tokens": requests * mean}
            | {"GPU-hours": requests * mean / rate / 3600 if rate else None}
        )
    return found


def say_kept(artifacts: Iterable[dict], questions: dict[str, int]) -> Iterator[str]:
    """A line for each artifact of stage 3 that stands: the rows that its questions gave."""
    for line in artifacts:
        what = {"text2image": "text", "image_thinking": "image"}.get(line["artifact"])
        rows, count = line["rows so far"], questions.get(what)
        if rows is not None and count:
            of_million = f"a million would give about {round(rows * MILLION / count):,}"
            yield f"{line['artifact']}: {rows:,} rows of {count:,} questions so far; {of_million}\n"


def read_running(folder: Path, now: datetime) -> list[dict]:
    """What the running jobs say, each with its task and the tokens so far of what is in flight by kind."""
    found = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            said = read_progress(path)
        except (ValueError, OSError):  # a job writes it, and it is a hint
            continue
        silent = (now - datetime.fromisoformat(said["updated"])).total_seconds()
        is_old = "unfinished" not in said or "throughputs" not in said
        if said["state"] != "running" or silent > SILENT_S or is_old:
            continue
        written = {
            kind: list(chain.from_iterable([float(tokens)] * count for tokens, count in counts.items()))
            for kind, counts in said["unfinished"].items()
        }
        what = path.parent.name.split("_")[1]
        found.append(said | {"what": "image" if what == "blind" else what, "written": written})
    return found


def describe_server(name: str, about: dict) -> Server | None:
    """What is assumed of a server; None: an API, with GPUs of its own."""
    rates, given = about["rates"], about.get("servers", {}).get(name)
    rate = rates["tokens_per_gpu_second"].get(name)
    if rate is None or given is None:
        return None
    speeds = rates.get("answer_tokens_per_second", {}).get(name, {})
    return Server(
        given["gpus"],
        rate * given["gpus"],
        rates.get("load_seconds", {}).get(name, 0.0),
        rates.get("prompt_weight", 1.0),
        speeds.get("alone"),
        speeds.get("full"),
        None if given["concurrency"] == "auto" else given["concurrency"],
        given["replicas"],
    )


def find_most(line: dict, about: dict) -> float:
    """The most tokens that an answer of a line may have."""
    sampling = find_settings(line, about)["sampling"][line["kind"]]
    return sampling.get("max_tokens") or about["servers"][line["server"]]["max_model_len"]


def estimate_kind(
    line: dict, about: dict, rows: dict[str, Tokens], running: list[dict]
) -> tuple[RequestKind, int]:
    """A line's requests to come, and how many answers its tokens were measured on; 0: they are assumed."""
    what, kind, asks = line["what"], line["kind"], line["to ask"]
    jobs = [job for job in running if (job["what"], job["server"]) == (what, line["server"])]
    written = list(chain.from_iterable(job["written"].get(kind, []) for job in jobs))
    if len(rows) < max(MIN_ANSWERS, MEASURED_SHARE * line["requests"]):
        assumed = kind_of_rates(line)
        tokens = about["rates"]["tokens"][assumed]
        prompt = min(about["rates"].get("prompt_tokens", {}).get(assumed, 0), tokens)
        return RequestKind(asks, prompt, tokens - prompt, sum(written)), 0
    prompt = sum(prompt for prompt, _ in rows.values()) / len(rows)
    answer = estimate_mean([answer for _, answer in rows.values()], written, find_most(line, about))
    return RequestKind(asks, prompt, answer, sum(written)), len(rows)


def measure_throughput(
    name: str, running: list[dict], asked: list[RequestKind], prompt_weight: float
) -> float:
    """Tokens a second of a server, prompts by their weight, as its running jobs tell; 0: none does."""
    found: dict[str, float] = {}
    for job in sorted(running, key=lambda job: job["updated"]):
        if job["server"] == name:
            for url, told in job["throughputs"].items():
                before = 0.0 if told["is_counted"] else found.get(url, 0.0)
                found[url] = before + told["tokens_per_second"]
    return sum(found.values()) * weigh_prompts(asked, prompt_weight) if asked else 0.0


def describe_load(
    name: str,
    server: Server,
    lines: list[tuple[dict, RequestKind, int, int]],
    about: dict,
    running: list[dict],
) -> Load:
    """What a server is to do. `lines` are of all tasks: with kind, answers measured, and answers so far."""
    kinds = [kind for _, kind, *_ in lines]
    asked = [replace(kind, to_come=so_far) for _, kind, measured, so_far in lines if measured]
    throughput = measure_throughput(name, running, asked, server.prompt_weight)
    answers = sum(measured for *_, measured, _ in lines)
    in_flight = sum(len(each) for job in running if job["server"] == name for each in job["written"].values())
    basis = "as assumed under plan"
    if answers:
        basis = f"as measured on {answers:,} answers; {in_flight:,} in flight count as unfinished"
    most = max(find_most(line, about) for line, *_ in lines)
    starts = 0 if throughput or not about["servers"][name]["starts"] else 1
    return Load(name, server, kinds, throughput or server.full * server.share, most, starts, basis)


def say_servers(
    lines: list[tuple[dict, dict[str, Tokens]]], about: dict, counts: dict[str, int], running: list[dict]
) -> Iterator[str]:
    """What servers will take, and what would be better, in a line each. `counts` are questions by task.

    Where all of them are one batch, there is nothing to share out.
    """
    if "servers" not in about:
        return
    known = [
        (line, *estimate_kind(line, about, rows, running), len(rows))
        for line, rows in lines
        if line["requests"] and describe_server(line["server"], about)
    ]
    loads = {
        name: describe_load(
            name,
            describe_server(name, about),
            [each for each in known if each[0]["server"] == name],
            about,
            running,
        )
        for name in dict.fromkeys(line["server"] for line, *_ in known)
    }
    yield from map(server_plan.say_hours, loads.values())
    jobs = []
    for what, questions in counts.items():
        size = about[what].get("batch_size")
        if not (size and questions):
            continue
        batches = math.ceil(questions / size)
        for name in dict.fromkeys(line["server"] for line, *_ in known if line["what"] == what):
            for judges in (False, True):
                kinds = [
                    replace(kind, to_come=math.ceil(line["requests"] / batches), written=0.0)
                    for line, kind, *_ in known
                    if (line["what"], line["server"]) == (what, name) and (line["kind"] == "judge") == judges
                ]
                if kinds:
                    jobs.append(Batches(batches, loads[name], kinds))
                    if not judges and batches > 1:
                        yield server_plan.say_batch_size(f"{what}_reasoning", size, jobs[-1])
    for name, load in loads.items():
        yield server_plan.say_replicas(
            name, about["models"][name], load.server, about["rates"].get("gpu_gb", 80)
        )
    if any(job.count > 1 for job in jobs):
        yield server_plan.say_nodes(jobs)


def format_table(title: str, lines: list[dict], total: str, columns: list[str]) -> str:
    """A table with a last line that sums some of its columns, as far as they are known."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    known = {column: [line[column] for line in lines if line[column] is not None] for column in columns}
    sums = {column: sum(cells) if cells else None for column, cells in known.items()}
    rows = [[line.get(name) for name in names] for line in [*lines, {names[0]: total} | sums]]
    numeric = [any(isinstance(value, int | float) for value in column) for column in zip(*rows, strict=True)]
    text = tabulate(
        [map(_format_cell, row) for row in rows],
        headers=names,
        disable_numparse=True,
        colalign=["right" if each else "left" for each in numeric],
    )
    return f"{title}\n\n{text}\n"


def _format_cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value or "")
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}"


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--about", type=Path, required=True, help="JSON: what is built, asked, assumed")
    parser.add_argument("--listings", type=Path, nargs="+", required=True, help="of every source")
    parser.add_argument("--folder", type=Path, required=True, help="of the build: data, raw, work")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    about, folder = read_json(args.about), args.folder
    listings = {listing["source"]: listing for listing in map(read_json, args.listings)}
    data, raw = folder / "data", folder / "raw"
    artifacts = [
        plan_converted(name, listings[name], data, raw, listings.get(f"{name}@pictures"))
        for name in about["converted"]
    ]
    work = folder / "work"
    read = [
        count_questions(name, listings[name], list_folders(work, "read_questions", "text", about), about)
        for name in about["questions"]
    ]
    texts, plain = (sum(counts) for counts in zip(*read, strict=True)) if read else (0, 0)
    rows = {line["artifact"]: line["rows"] for line in artifacts}
    quotas = about["quotas"]
    folders = list_folders(work, "sample_images", "image", about)
    seen = sum(count_pictures(name, rows[name], folders, quotas[name]) for name in about["sampled"])
    folders = list_folders(work, "sample_questions", "image", about)
    for name in about.get("pictured", []):
        listed = count_source_rows(listings[name], about["rates"]["rows"])
        seen += count_pictures(name, listed, folders, quotas[name])
    of_text, of_picture = (about["rates"]["picture_bytes"][name] for name in ("text2image", "image_thinking"))
    if about["questions"]:
        artifacts.append(plan_reasoned("text2image", texts + plain, of_text, data))
    if about["sampled"] or about.get("pictured"):
        artifacts.append(plan_reasoned("image_thinking", seen, of_picture, data))
    journals = {
        server: read_held_tokens(work / f"journal/{server}", about["seed"]) for server in about["models"]
    }
    groups = list(count_requests(about, texts, plain, seen))
    settled = [
        (estimate_costs(line, about, rows), rows)
        for line, rows in settle_lines(groups, about, journals, work)
    ]
    lines = [line for line, _ in settled if line["requests"]]
    sizes = ["shards", "to fetch GB", "rows", "disk at the peak GB"]
    print(format_table("Artifacts, before any row is rejected", artifacts, "in all", sizes))
    for line in list_missing_files(listings.values()):
        print(f"{line}\n")
    costs = ["requests", "in the journal", "to ask", "tokens to come", "GPU-hours to come"]
    if lines:
        title = "Requests; of the journal, what was asked in this way"
        print(format_table(title, lines, "in all", costs), end="")
    for said in dict.fromkeys(say_added(line, about) for line in chain.from_iterable(groups)):
        print(said, end="")
    questions = {"text": texts, "image": seen}
    if million := estimate_million(lines, about, questions):
        sums = ["requests", "tokens", "GPU-hours"]
        title = "What a million questions would take of each task, by the means of what was asked"
        print(f"\n{format_table(title, million, 'in all', sums)}", end="")
        print(*say_kept(artifacts, questions), sep="", end="")
    running = read_running(work / "stats", datetime.now(UTC))
    for said in filter(None, say_servers(settled, about, questions, running)):
        print(f"\n{said}")


if __name__ == "__main__":
    program.run(main)
