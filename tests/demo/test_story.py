"""When the story starts its campaigns, and with which inputs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier.demo.story import by_calendar, opening_moment, story_inputs
from notifier.domain.campaign import Campaign
from notifier.planning.catalogue import CampaignVersion
from notifier.planning.definitions.folder import load_definitions

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = load_definitions(ROOT)


def campaign(key: str) -> Campaign:
    return DEFINITIONS.campaigns[key].value


def version(key: str) -> CampaignVersion:
    return CampaignVersion(id=1, campaign=campaign(key), bank=DEFINITIONS.bank.value)


def test_the_story_opens_on_a_monday_morning_of_the_bank() -> None:
    opening = opening_moment("Asia/Shanghai")
    assert opening.astimezone(UTC) == datetime(2026, 3, 9, 0, 30, tzinfo=UTC)
    assert opening.weekday() == 0


def test_a_scheduled_campaign_starts_at_its_next_time() -> None:
    now = opening_moment("Asia/Shanghai")
    assert by_calendar(version("measures-notice"), now) == now + timedelta(minutes=30)


def test_a_campaign_counted_from_a_date_starts_at_once() -> None:
    now = opening_moment("Asia/Shanghai")
    assert by_calendar(version("lecture"), now) == now


def test_examples_are_used_as_they_are_in_the_week_they_were_written_for() -> None:
    assert story_inputs(campaign("lecture"), timedelta(), None)["date"] == "2026-03-26"


def test_dates_move_with_the_story_in_steps_of_four_weeks() -> None:
    moved = story_inputs(campaign("lecture"), timedelta(weeks=9), None)
    assert moved["date"] == "2026-04-23"
