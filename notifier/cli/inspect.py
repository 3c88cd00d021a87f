"""Commands that answer a question without any server."""

from dataclasses import asdict
from typing import Annotated

import typer

from notifier.cli.show import say, say_json
from notifier.domain.errors import InputError
from notifier.domain.scores import Csat, Verdict, csat
from notifier.rendering.sms import count_parts, to_gsm7

_VERDICTS = {Verdict.MET: "met", Verdict.NOT_MET: "not met", Verdict.TOO_CLOSE_TO_SAY: "too close to say"}
AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]

inspect = typer.Typer(no_args_is_help=True, help="Ask about a text message or a score; needs no server.")


@inspect.command()
def sms(
    text: Annotated[str, typer.Argument(help="The whole text with signature; `-` reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say how many parts a text message costs, in which alphabet, and what is left of the last part.

    - `notifier inspect sms "Riverside Bank: your branch reopens on Monday."`

    - `notifier inspect sms - < message.txt`
    """
    given = typer.get_text_stream("stdin").read().rstrip("\n") if text == "-" else text
    sent = to_gsm7(given)
    count = count_parts(sent)
    if as_json:
        say_json({**asdict(count), "made_plain": sent != given})
        return
    say(f"{count.parts} {'part' if count.parts == 1 else 'parts'}, {count.encoding}")
    unit = "septets" if count.encoding == "GSM-7" else "characters"
    say(f"{count.characters} characters, {count.units_left} {unit} left in the last part")
    if sent != given:
        say("Typographic marks are made plain when it is sent, which keeps it in the cheaper alphabet.")
    elif foreign := _foreign(given):
        say(f"One part holds 70 characters instead of 160 because of: {foreign}")


def _foreign(text: str) -> str:
    """Up to ten characters that are not in the cheap alphabet."""
    found = dict.fromkeys(char for char in text if count_parts(char).encoding != "GSM-7")
    return " ".join(list(found)[:10]) + (" …" if len(found) > 10 else "")


@inspect.command()
def score(
    satisfied: Annotated[int, typer.Option(min=0, help="Answers of 4 or 5 of 5.")],
    answers: Annotated[int, typer.Option(min=0, help="All answers; skipped questions are none.")],
    target: Annotated[float, typer.Option(min=0, max=100, help="The goal in per cent.")] = 85.0,
    as_json: AsJson = False,
) -> None:
    """Say how satisfied customers are, how sure that is, and whether the target is met.

    The value has a two-sided 95 % Wilson interval; the verdict rests on the one-sided 95 % bound, see
    docs/satisfaction.md.

    - `notifier inspect score --satisfied 176 --answers 200 --target 85`
    """
    if satisfied > answers:
        raise InputError("--satisfied", f"{satisfied} of {answers} answers cannot be", "Give at most --answers")
    found = csat({5: satisfied, 1: answers - satisfied}, target_pct=target)
    if as_json:
        say_json(_facts(found))
    else:
        _say_score(found)


def _facts(found: Csat) -> dict[str, object]:
    names = (
        "value_pct",
        "low_pct",
        "high_pct",
        "verdict_bound_pct",
        "verdict_upper_pct",
        "target_pct",
        "n",
        "satisfied",
        "verdict",
        "answers_needed",
        "method",
    )
    return {name: getattr(found, name) for name in names}


def _say_score(found: Csat) -> None:
    if found.value_pct is None:
        say("no answers, no score")
    else:
        interval = f"95 % interval {found.low_pct:.1f} to {found.high_pct:.1f} %"
        say(f"{found.value_pct:.1f} % of {found.n:,} answers are satisfied ({interval})")
    bounds = f"95 % sure: at least {found.verdict_bound_pct:.1f} %, at most {found.verdict_upper_pct:.1f} %"
    say(f"target {found.target_pct:g} %: {_VERDICTS[found.verdict]} ({bounds}, each one-sided)")
    if found.answers_needed is not None:
        say(f"about {found.answers_needed:,} more answers at this share would tell")


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.add_typer(inspect, name="inspect", rich_help_panel="Ask")
