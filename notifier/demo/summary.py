"""What a demo has to show: every message accounted for, and the score with its uncertainty."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from notifier.demo.customers import TRUE_SATISFACTION
from notifier.demo.story import TEAM
from notifier.domain.channel import Channel
from notifier.domain.message import SENT, State
from notifier.domain.spec import survey_from_spec
from notifier.feedback.satisfaction import Satisfaction, satisfaction
from notifier.store import definitions as stored
from notifier.store import runs
from notifier.store.contacts import count_contacts
from notifier.store.database import Tx
from notifier.store.runs import Run
from notifier.store.tallies import Tally, read_tallies

SCORED_SURVEY = "monthly-satisfaction"
_ENDED = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED})


@dataclass(slots=True)
class RunLine:
    """One run's account: planned = sent + refused + ended + unfinished."""

    id: int
    campaign: str
    state: str
    recipients: int
    sent: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    unfinished: int = 0

    @property
    def planned(self) -> int:
        """Messages written for this run."""
        return self.sent + sum(self.refused.values()) + sum(self.ended.values()) + self.unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end of a demo."""

    contacts: int
    lines: tuple[RunLine, ...]
    messages: dict[str, dict[str, int]]
    satisfaction: Satisfaction
    seconds: float

    @property
    def unfinished(self) -> int:
        """Messages that are not final."""
        return sum(line.unfinished for line in self.lines)

    @property
    def messages_per_s(self) -> float:
        """Messages taken by a provider per second of the whole demo, callbacks and answers included."""
        return round(sum(line.sent for line in self.lines) / self.seconds, 1)

    def problems(self) -> list[str]:
        """What is not as it must be; empty = all is well."""
        found = [f"run {line.id} {line.campaign} is {line.state}" for line in self.lines if line.state != "ended"]
        if self.unfinished:
            found.append(f"{self.unfinished} messages are not final")
        if not self.satisfaction.responses:
            found.append("nobody answered the survey")
        return found

    def as_json(self) -> dict[str, Any]:
        """The machine-readable summary."""
        score, invited = self.satisfaction.csat, self.satisfaction.invitations
        return {
            "contacts": self.contacts,
            "messages": self.messages,
            "planned": sum(line.planned for line in self.lines),
            "sent": sum(line.sent for line in self.lines),
            "refused": _sum(line.refused for line in self.lines),
            "ended": _sum(line.ended for line in self.lines),
            "unfinished": self.unfinished,
            "runs": [
                {
                    "id": line.id,
                    "campaign": line.campaign,
                    "state": line.state,
                    "recipients": line.recipients,
                    "planned": line.planned,
                    "sent": line.sent,
                    "refused": dict(line.refused),
                    "ended": dict(line.ended),
                    "unfinished": line.unfinished,
                }
                for line in self.lines
            ],
            "invitations": invited.invited,
            "responses": self.satisfaction.responses,
            "csat": score
            and {
                "value_pct": _round(score.value_pct),
                "low_pct": _round(score.low_pct),
                "high_pct": _round(score.high_pct),
                "verdict_bound_pct": _round(score.verdict_bound_pct),
                "target_pct": score.target_pct,
                "n": score.n,
                "verdict": score.verdict.value,
                "answers_needed": score.answers_needed,
                "method": score.method,
                "simulated": self.satisfaction.is_simulated,
                "simulated_truth_pct": TRUE_SATISFACTION * 100,
            },
            "seconds": round(self.seconds, 1),
            "messages_per_s": self.messages_per_s,
        }


async def summarize(tx: Tx, launched: Sequence[Run], seconds: float) -> Summary:
    """The account of these runs."""
    lines, messages = [], defaultdict[str, dict[str, int]](lambda: defaultdict(int))
    for launch in launched:
        run = await runs.get_run(tx, launch.id)
        line = RunLine(id=run.id, campaign=run.campaign_key, state=run.state, recipients=run.recipients)
        for tally in await read_tallies(tx, run.id):
            messages[tally.channel][tally.state] += tally.count
            _add(line, tally)
        lines.append(line)
    survey = survey_from_spec((await stored.find_latest(tx, TEAM, "survey", SCORED_SURVEY)).spec)
    return Summary(
        contacts=sum((await count_contacts(tx, TEAM)).values()),
        lines=tuple(lines),
        messages={channel: dict(states) for channel, states in messages.items()},
        satisfaction=await satisfaction(tx, survey),
        seconds=seconds,
    )


def _add(line: RunLine, tally: Tally) -> None:
    state = State(tally.state)
    if state is State.REFUSED:
        line.refused[tally.reason] += tally.count
    elif state in _ENDED:
        line.ended[tally.state] += tally.count
    elif state in SENT and (state is not State.ACCEPTED or tally.channel == Channel.SOCIAL):
        line.sent += tally.count
    else:
        line.unfinished += tally.count


def _sum(parts: Any) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for part in parts:
        for name, count in part.items():
            total[name] += count
    return dict(total)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def show_summary(summary: Summary) -> None:
    """The summary for people."""
    table = Table("run", "campaign", "planned", "sent", "refused", "ended", "open")
    for line in summary.lines:
        refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(line.refused.items())) or "0"
        ended = ", ".join(f"{count:,} {state}" for state, count in sorted(line.ended.items())) or "0"
        table.add_row(
            str(line.id), line.campaign, f"{line.planned:,}", f"{line.sent:,}", refused, ended, f"{line.unfinished:,}"
        )
    console = Console()
    console.print(table)
    console.print(score_line(summary))
    console.print(f"{summary.contacts:,} contacts, {summary.messages_per_s:,} messages/s over {summary.seconds:.0f} s")


def score_line(summary: Summary) -> str:
    """The score in a sentence."""
    score, invited = summary.satisfaction.csat, summary.satisfaction.invitations
    if score is None or score.value_pct is None:
        return "No score: nobody answered."
    return (
        f"Satisfaction {score.value_pct:.1f} % ({score.low_pct:.1f}–{score.high_pct:.1f}, n = {score.n} of "
        f"{invited.invited} invited), target {score.target_pct:.0f} %, one-sided bound {score.verdict_bound_pct:.1f} %: "
        f"{score.verdict.value}. Simulated; the customers' truth is {TRUE_SATISFACTION:.0%}."
    )
