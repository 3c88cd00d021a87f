"""Settings are read once, checked, and say what they want."""

import multiprocessing
import os
from pathlib import Path

import pytest

from notifier.domain.account import SecretRef
from notifier.domain.errors import InputError
from notifier.settings import (
    Settings,
    holds_definitions,
    load_settings,
    read_secrets,
    settings_table,
    starter_dir,
    variable_of,
)

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("NOTIFIER_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_serve_on_this_machine(tmp_path: Path) -> None:
    settings = load_settings()
    assert (settings.database_url, settings.redis_url) == ("", "")
    assert settings.data_dir == tmp_path / ".notifier"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.demo is False


def test_environment_is_read_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEB_PORT", "9001")
    monkeypatch.setenv("REDIS_URL", "redis://cache:6379/1")
    assert load_settings().web_port == 9001
    assert load_settings().public_url == "http://127.0.0.1:9001"
    assert load_settings().redis_url == "redis://cache:6379/1"
    assert load_settings(web_port=9002, redis_url="unix:///s").web_port == 9002


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEB_PORT", "")
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().web_port == 8000


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().web_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        ("postgresql://h/n?sslmode=require", "postgresql+asyncpg://h/n?ssl=require"),
        ("postgresql+asyncpg://h/n", "postgresql+asyncpg://h/n"),
    ],
)
def test_database_url_is_spoken_by_asyncpg(given: str, used: str) -> None:
    assert load_settings(database_url=given).database_url == used


@pytest.mark.parametrize(
    ("variable", "value", "wants"),
    [
        ("DATABASE_URL", "mysql://h/n", "wants postgresql://"),
        ("REDIS_URL", "http://h", "wants redis://"),
        ("NOTIFIER_PUBLIC_URL", "bank.example", "wants http"),
        ("NOTIFIER_SECRET_KEY", "short", "at least 32 characters"),
        ("NOTIFIER_WEB_PORT", "http", "valid integer"),
        ("NOTIFIER_WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
        ("NOTIFIER_LOG_FORMAT", "xml", "'console' or 'json'"),
        ("NOTIFIER_DEFINITIONS_DIR", "/nowhere", "campaigns/ and templates/"),
        ("NOTIFIER_SURVEY_SOURCES", "typeform", "wants JSON such as"),
        ("NOTIFIER_SURVEY_SOURCES", '{"typeform": "not base64!"}', "each secret in base64"),
    ],
)
def test_a_wrong_value_names_the_variable_and_what_it_wants(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wants: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=wants) as caught:
        load_settings()
    assert caught.value.field == variable
    assert caught.value.remedy


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEB_PORT", "x")
    monkeypatch.setenv("NOTIFIER_SECRET_KEY", "do-not-show-me")
    with pytest.raises(InputError) as caught:
        load_settings()
    assert "NOTIFIER_WEB_PORT" in str(caught.value)
    assert "NOTIFIER_SECRET_KEY" in str(caught.value)
    assert "do-not-show-me" not in str(caught.value)


def test_a_misspelt_variable_is_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEBPORT", "9001")
    with pytest.raises(InputError, match="Did you mean NOTIFIER_WEB_PORT"):
        load_settings()


def test_an_account_may_keep_its_password_in_a_variable_of_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_SMTP_PASSWORD", "x")
    load_settings()


def test_a_secret_key_is_generated_once_and_private(tmp_path: Path) -> None:
    first, second = load_settings(), load_settings()
    kept = tmp_path / ".notifier" / "secret_key"
    assert first.secret == second.secret
    assert len(first.secret) >= 32
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["secret_key"]


def _secret_of(data_dir: str) -> bytes:
    return load_settings(data_dir=data_dir).secret


def test_processes_that_start_together_agree_on_the_secret_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(_secret_of, [str(tmp_path / "shared")] * 6))) == 1


def test_a_given_secret_key_writes_nothing(tmp_path: Path) -> None:
    assert load_settings(secret_key="k" * 32).secret == b"k" * 32
    assert not (tmp_path / ".notifier").exists()


def test_a_cut_secret_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("cut")
    with pytest.raises(InputError, match="Restore it from a backup"):
        load_settings(data_dir=tmp_path)


def test_an_account_reads_its_secrets_from_the_variables_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_PASSWORD", "p")
    wanted = {"password": SecretRef("RELAY_PASSWORD"), "token": SecretRef("RELAY_TOKEN")}
    assert read_secrets(wanted) == {"password": "p", "token": ""}


def test_secrets_are_not_shown() -> None:
    settings = load_settings(secret_key="k" * 32, database_url="postgresql://u:hidden@h/n")
    assert "hidden" not in repr(settings)
    assert "k" * 32 not in repr(settings)


def test_definitions_are_those_of_the_current_folder_else_the_starter_pack(tmp_path: Path) -> None:
    assert load_settings().definitions == starter_dir()
    for name in ("campaigns", "templates"):
        (tmp_path / name).mkdir()
    assert load_settings().definitions == tmp_path


def test_the_starter_pack_is_found() -> None:
    assert holds_definitions(starter_dir())


def test_every_setting_has_a_variable_and_a_description() -> None:
    assert variable_of("database_url") == "DATABASE_URL"
    assert variable_of("web_port") == "NOTIFIER_WEB_PORT"
    assert all(field.description for field in Settings.model_fields.values())


def test_the_settings_page_is_current() -> None:
    assert (CHECKOUT / "docs" / "settings.md").read_text() == settings_table(), "run: make docs"
