"""What a live screen shows of a run, as rich renderables; and the same as one plain line."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from prep.terminal.batches import Asked, Forecast, StatsByJob, format_asked, format_job, sum_rules
from prep.terminal.run_state import Notice, RunState, Step

WIDE = 110
"""From so many columns on everything has room."""
STYLES = {
    "failure": "bold red",
    "log": "dim",
    "error": "red",
    "warning": "yellow",
    "message": "",
}
BEGINNINGS = {"failure": "failed  ", "log": "", "error": "", "warning": "", "message": ""}


def format_notice(notice: Notice) -> Text:
    """Format what is printed for good."""
    beginning, style = BEGINNINGS[notice.kind], STYLES[notice.kind]
    text = notice.text
    if notice.kind == "log":
        text = "\n".join(f"        {line}" for line in text.splitlines())
    line = Text(beginning, style=style)
    return line.append(text, style=style if notice.kind in ("log", "error", "warning") else "not bold")


def build_screen(
    state: RunState,
    said: StatsByJob,
    forecasts: Mapping[str, Forecast],
    now: datetime,
    width: int,
    height: int,
) -> RenderableType:
    """Build the screen of a run, of at most `height` lines where the steps and the last line have room.

    `said` is what the jobs that ask servers wrote last, `forecasts` what is to come of their rules.
    """
    steps = state.steps()
    rules = sum_rules(said)
    parts: list[RenderableType] = [Text(), _build_steps(steps, rules, forecasts, width)]
    room = height - len(steps) - 5
    asking = [job for job, each in said.items() if each["state"] == "running"]
    if asking and room >= 2:
        asked = Text(_format_asking(rules, forecasts), style="bold", no_wrap=True, overflow="ellipsis")
        parts += [Text(), asked, _build_batches(said, asking, now, width, room - 1)]
    return Group(*parts, Text(), Text(format_totals(state), style="bold", no_wrap=True, overflow="ellipsis"))


def _build_steps(
    steps: Mapping[str, Step], rules: Mapping[str, Asked], forecasts: Mapping[str, Forecast], width: int
) -> Table:
    """A line for each step: a bar, jobs, what came of them, and the time to go."""
    bar = 30 if width >= WIDE else 10
    table = Table.grid(
        Column(style="bold", no_wrap=True),
        Column(width=bar),
        Column(justify="right", no_wrap=True),
        Column(no_wrap=True, overflow="ellipsis", ratio=1),
        Column(justify="right", no_wrap=True),
        padding=(0, 2, 0, 0),
    )
    table.width = min(width, WIDE)
    for name, step in steps.items():
        table.add_row(
            name,
            ProgressBar(
                total=max(1, step.jobs),
                completed=step.done,
                width=bar,
                complete_style="red" if step.failed else "cyan",
                finished_style="green",
            ),
            f"{step.done:,}/{step.jobs:,}",
            _describe(name, step, rules, width),
            format_left(_seconds_left(name, step, forecasts)),
        )
    return table


def _describe(name: str, step: Step, rules: Mapping[str, Asked], width: int) -> Text:
    """Failures of a step, its rows, what it was answered, and its running jobs."""
    count = "{:,}".format if width >= WIDE else format_count
    words = []
    if step.failed:
        words.append((f"{step.failed:,} failed", "bold red"))
    if step.kept or step.rejected:
        words.append((f"{count(step.kept)} kept", "green" if step.kept else "red"))
        words.append((f"{count(step.rejected)} rejected", "yellow" if step.rejected else ""))
    asked = [each for rule, each in rules.items() if rule.startswith(f"{name}_")]
    if asked:
        total = sum(each.total for each in asked)
        words.append((f"{sum(each.answered for each in asked):,} of {total:,} answered", ""))
    if step.running:
        words.append((f"{step.running:,} running", ""))
    return Text(", ").join(Text(text, style=style) for text, style in words)


def _seconds_left(name: str, step: Step, forecasts: Mapping[str, Forecast]) -> float | None:
    """Seconds to go of a step; one that asks servers is as far as the batches that are being asked."""
    asked = [each.seconds for rule, each in forecasts.items() if rule.startswith(f"{name}_")]
    return max(asked) if asked else step.seconds_left()


def _build_batches(said: StatsByJob, asking: list[str], now: datetime, width: int, most: int) -> Table:
    """The batches that are being asked, a line for each, as `make watch` has them."""
    rows = [format_job(job, said[job], now) for job in asking]
    names = ["job", "answered", "failed", "at most", "tokens/s", "to go", ""]
    if width >= WIDE:
        names[3:3] = ["in flight"]
        names[1:1] = ["server"]
    names = [name for name in names if name in ("job", "answered") or any(row[name] for row in rows)]
    numbers = ("answered", "in flight", "tokens/s", "to go")
    table = Table(
        *(
            Column(
                name,
                justify="right" if name in numbers else "left",
                no_wrap=True,
                overflow="ellipsis",
                style={"failed": "red", "": "yellow"}.get(name, ""),
            )
            for name in names
        ),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    shown = rows if len(rows) <= most else rows[: most - 1]
    for row in shown:
        table.add_row(*(Text(str(row[name])) for name in names))
    if len(shown) < len(rows):
        table.add_row(Text(f"and {len(rows) - len(shown):,} more", style="dim"))
    return table


def format_totals(state: RunState, running: bool = True) -> str:
    """Jobs that are done, fail and run, and the time that the run took so far."""
    words = [f"{state.finished:,} of {state.total:,} jobs"]
    if running:
        words.append(f"{len(state.running):,} running")
    if state.failed:
        words.append(f"{len(state.failed):,} failed")
    longest = min(state.running.values(), key=lambda job: job.began, default=None)
    words.append(format_duration(state.elapsed))
    if running and longest:
        words.append(f"longest: {longest.name}")
    return " · ".join(words)


def format_line(state: RunState, said: StatsByJob, forecasts: Mapping[str, Forecast], now: datetime) -> str:
    """Format how a run stands, as one line of a log."""
    words = [f"{state.finished:,} of {state.total:,} jobs done", f"{len(state.running):,} running"]
    if state.failed:
        words.append(f"{len(state.failed):,} failed")
    parts = [f"{now:%H:%M:%S}  {', '.join(words)}"]
    for name, step in state.steps().items():
        if step.kept or step.rejected:
            parts.append(f"{name}: {step.kept:,} rows kept, {step.rejected:,} rejected")
    asked = _format_asking(sum_rules(said), forecasts)
    return "; ".join([*parts, asked] if asked else parts)


def _format_asking(rules: Mapping[str, Asked], forecasts: Mapping[str, Forecast]) -> str:
    """What all that ask now were answered, how fast, and how long it will take; nothing where none asks."""
    asked = format_asked(rules.values())
    left = format_left(max((each.seconds for each in forecasts.values()), default=None))
    return f"{asked}, {left} to go" if asked and left else asked


def format_end(state: RunState) -> str:
    """Format the last word on a run."""
    how = "stopped" if state.interrupted else "failed" if state.failed else "done"
    beginning = f"{how}: {format_totals(state, running=False)}"
    if state.failed:
        beginning += "; the lines above say why"
    if state.failed or state.interrupted:
        beginning += "; the same command goes on from here"
    return beginning


def format_count(number: int) -> str:
    """Format a number in seven characters at most: 99,999, 123k, 1.23M."""
    if number < 100_000:
        return f"{number:,}"
    return f"{number / 1e3:.0f}k" if number < 1_000_000 else f"{number / 1e6:.2f}M"


def format_left(seconds: float | None) -> str:
    """Format the time to go, as precise as it is known: 40 s, 12 min, 5 h 10 min, 3 d 4 h."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def format_duration(seconds: float) -> str:
    """Format a time that passed, as h:mm:ss."""
    return str(timedelta(seconds=int(seconds)))
