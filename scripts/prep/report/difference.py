"""Difference of two builds of an artifact: the rows that came, went or changed, counted by reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tabulate import tabulate

EXAMPLES = 5
"""Ids that are shown of each kind of difference."""
NOT_READ, KEPT = "not read", "kept"
"""What a row was that is neither in the artifact nor among its rejects, and one that is in the artifact."""

Group = tuple[str, str]
"""What a row was in the old build and what it is in the new one: `kept`, a reason, or `not read`."""


@dataclass
class Difference:
    """What differs of one artifact: how many rows either build has, and the rows that are not the same.

    `groups` counts rows by what they were and are; those kept in both have changed. `examples` are their ids.
    """

    name: str
    old: int | None
    new: int | None
    groups: Counter[Group] = field(default_factory=Counter)
    examples: dict[Group, list[str]] = field(default_factory=dict)

    def add(self, group: Group, id_: str) -> None:
        """Count a row that is not the same."""
        self.groups[group] += 1
        examples = self.examples.setdefault(group, [])
        if len(examples) < EXAMPLES:
            examples.append(id_)

    @property
    def added(self) -> int:
        return sum(count for (was, now), count in self.groups.items() if now == KEPT != was)

    @property
    def gone(self) -> int:
        return sum(count for (was, now), count in self.groups.items() if was == KEPT != now)

    @property
    def changed(self) -> int:
        return self.groups[KEPT, KEPT]


def format_differences(found: Iterable[Difference]) -> str:
    """Format the counts of each artifact, then the groups of those that differ, for a terminal."""
    found, counts = list(found), []
    for each in found:
        old, new = ("–" if rows is None else rows for rows in (each.old, each.new))
        counts.append([each.name, old, new, each.added, each.gone, each.changed])
    text = tabulate(counts, ["artifact", "old rows", "new rows", "added", "gone", "changed"], intfmt=",")
    groups = [
        [each.name, was, "changed" if was == now else now, count, each.examples[was, now][0]]
        for each in found
        for (was, now), count in each.groups.most_common()
    ]
    if not groups:
        return f"{text}\n\nNo row differs."
    return f"{text}\n\n{tabulate(groups, ['artifact', 'was', 'is', 'rows', 'such as'], intfmt=',')}"
