"""Secrets of survey tools: JSON in one variable."""

from pathlib import Path

import pytest

from notifier.domain.errors import InputError
from notifier.settings import load_settings


def test_sources_are_read_from_json_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFIER_SURVEY_SOURCES", '{"tool": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}')
    settings = load_settings(data_dir=tmp_path)
    assert settings.survey_sources["tool"].get_secret_value().startswith("whsec_")
    assert "MfKQ" not in repr(settings)


@pytest.mark.parametrize("value", ["tool", "[1]", '{"tool": 1}', '{"tool": "whsec_not base64"}'])
def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.setenv("NOTIFIER_SURVEY_SOURCES", value)
    with pytest.raises(InputError, match="NOTIFIER_SURVEY_SOURCES") as caught:
        load_settings(data_dir=tmp_path)
    assert "not base64" not in str(caught.value)
