"""Every knob once, typed: read from the environment by a door, then passed down."""

import base64
import difflib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from notifier.domain.account import SecretRef
from notifier.domain.errors import InputError, ServiceError

PREFIX = "NOTIFIER_"
SECRET_KEY_LENGTH = 32
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class Settings(BaseSettings):
    """What an operator may change. Doors build it with `load_settings`, nobody else."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", populate_by_name=True
    )

    database_url: str = Field(
        default="",
        repr=False,
        validation_alias=AliasChoices("DATABASE_URL"),
        description="PostgreSQL 16 or later, `postgresql://user:password@host/name`; empty starts the embedded one",
    )
    redis_url: str = Field(
        default="",
        repr=False,
        validation_alias=AliasChoices("REDIS_URL"),
        description="Redis 6.2 or later, `redis://host:6379/0`; empty starts the embedded one",
    )
    data_dir: Path = Field(
        default=Path(".notifier"),
        description="folder of the generated secret key and of the embedded servers' data",
    )
    public_url: str = Field(
        default="",
        description="address under which customers and providers reach this installation; "
        "empty means `http://127.0.0.1:` and the web port",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="signs links, sessions and address keys, at least 32 characters, the same on every machine; "
        "empty generates one in the data folder",
    )
    definitions_dir: Path | None = Field(
        default=None,
        description="folder with `campaigns/` and `templates/`; empty means the current folder if it has both, "
        "else the starter pack",
    )
    log_format: Literal["console", "json"] = Field(default="console", description="`console` or `json`")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    web_host: str = Field(default="127.0.0.1", description="address the web server listens on")
    web_port: int = Field(default=8000, ge=1, le=65535, description="port the web server listens on")
    proxy_ips: str = Field(
        default="", description="addresses of reverse proxies whose forwarded headers are believed, comma-separated"
    )
    session_hours: int = Field(default=12, ge=1, le=720, description="hours until a user has to log in again")
    worker_concurrency: int = Field(
        default=8, ge=1, le=64, description="connections a worker opens to one provider account"
    )
    late_pct: int = Field(
        default=50,
        ge=1,
        le=100,
        description="percent of its lifetime that the oldest due message of a kind may have waited; beyond that the API "
        "takes no more of the kind and answers 429",
    )
    database_pool_size: int = Field(
        default=10, ge=2, le=200, description="connections one process opens to PostgreSQL at most"
    )
    import_max_mb: int = Field(
        default=200, ge=1, le=2000, description="largest file of contacts the console and the API take, in MB"
    )
    metrics_token: SecretStr = Field(
        default=SecretStr(""),
        description="what Prometheus has to show as bearer token at `/metrics`, at least 32 characters; "
        "empty means there is no `/metrics`",
    )
    leave_after_s: int = Field(
        default=0,
        ge=0,
        le=120,
        description="seconds a web server that was told to stop still answers while `/readyz` says no, for a load "
        "balancer to notice",
    )
    recurring: bool = Field(
        default=True, description="let scheduled campaigns make their runs; off on a standby installation"
    )
    survey_sources: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default={},
        description="survey tools that post answers to `/hooks/survey/NAME`, as JSON: "
        '`{"NAME": "whsec_…"}` with a Standard Webhooks secret each',
    )
    demo: bool = Field(
        default=False,
        description="print the demo logins on the log-in page and mark answers as simulated; never with real customers",
    )

    @field_validator("database_url")
    @classmethod
    def _speak_asyncpg(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if value and (scheme not in {"postgresql", "postgres", "postgresql+asyncpg"} or not rest):
            raise ValueError("wants postgresql://user:password@host/name")
        return "postgresql+asyncpg://" + rest.replace("sslmode=", "ssl=") if value else ""

    @field_validator("redis_url")
    @classmethod
    def _know_the_scheme(cls, value: str) -> str:
        if value and not value.startswith(_REDIS_SCHEMES):
            raise ValueError("wants redis://host:6379/0, rediss://… or unix:///path/to/socket")
        return value

    @field_validator("public_url")
    @classmethod
    def _be_an_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("wants http://… or https://…")
        return value.rstrip("/")

    @field_validator("survey_sources", mode="before")
    @classmethod
    def _read_sources(cls, value: object) -> object:
        try:
            sources: Any = json.loads(value) if isinstance(value, str) else value
            for secret in sources.values():
                text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
                base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except (ValueError, AttributeError):
            raise ValueError('wants JSON such as {"NAME": "whsec_…"}, each secret in base64') from None
        return sources

    @field_validator("secret_key", "metrics_token")
    @classmethod
    def _be_long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < SECRET_KEY_LENGTH:
            raise ValueError(f"wants at least {SECRET_KEY_LENGTH} characters")
        return value

    @field_validator("definitions_dir")
    @classmethod
    def _hold_definitions(cls, value: Path | None) -> Path | None:
        if value is not None and not holds_definitions(value):
            raise ValueError(f"wants a folder with campaigns/ and templates/, {value} has not both")
        return value

    @property
    def secret(self) -> bytes:
        """The key every other key is derived from."""
        return self.secret_key.get_secret_value().encode()

    @property
    def definitions(self) -> Path:
        """The folder with `campaigns/` and `templates/`."""
        return self.definitions_dir or _find_definitions()


def load_settings(**overrides: object) -> Settings:
    """The settings of this process: `overrides` (field names) win over the environment.

    Creates the data folder where it has to keep a generated secret key. Relative paths become absolute.
    Raises `InputError` naming the variable and what it wants, `ServiceError` where the folder cannot be written.
    """
    _refuse_misspelt(os.environ)
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _explain(error) from None
    data_dir = settings.data_dir.expanduser().absolute()
    secret = settings.secret_key if settings.secret_key.get_secret_value() else _keep_secret_key(data_dir)
    return settings.model_copy(
        update={
            "data_dir": data_dir,
            "secret_key": secret,
            "public_url": settings.public_url or f"http://127.0.0.1:{settings.web_port}",
            "definitions_dir": settings.definitions.absolute(),
        }
    )


def read_secrets(wanted: Mapping[str, SecretRef]) -> dict[str, str]:
    """The secrets of an account from the environment; a variable that is not set gives ""."""
    return {name: os.environ.get(reference.env, "") for name, reference in wanted.items()}


def variable_of(name: str) -> str:
    """The environment variable of a field: `web_port` → `NOTIFIER_WEB_PORT`."""
    field = Settings.model_fields[name]
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else PREFIX + name.upper()


def holds_definitions(folder: Path) -> bool:
    """Whether a folder has `campaigns/` and `templates/`."""
    return (folder / "campaigns").is_dir() and (folder / "templates").is_dir()


def starter_dir() -> Path:
    """The folder with the starter pack's `campaigns/` and `templates/`: in the installed package, else the checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "starter", package.parent):
        if holds_definitions(folder):
            return folder
    raise ServiceError("the starter pack is missing from the installation. Install notifier again")


def _find_definitions() -> Path:
    here = Path.cwd()
    return here if holds_definitions(here) else starter_dir()


def _keep_secret_key(data_dir: Path) -> SecretStr:
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            _write_secret_key(path)
        text = path.read_text().strip()
    except OSError as error:
        raise ServiceError(
            f"cannot keep a secret key in {path}: {error.strerror}. "
            f"Set {variable_of('secret_key')}, or {variable_of('data_dir')} to a folder this user may write"
        ) from error
    if len(text) < SECRET_KEY_LENGTH:
        raise InputError(str(path), f"wants at least {SECRET_KEY_LENGTH} characters", "Restore it from a backup")
    return SecretStr(text)


def _write_secret_key(path: Path) -> None:
    # 711: a server started by root runs as another user and must pass through; the files keep their own modes.
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    draft = path.with_name(f"secret_key.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(secrets.token_urlsafe(48) + "\n")
    try:
        os.link(draft, path)  # whole or not at all, and the first of two processes wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    known = [variable_of(name) for name in Settings.model_fields]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if nearest:
                raise InputError(name, "is not a setting", f"Did you mean {nearest[0]}?")


def _explain(error: ValidationError) -> InputError:
    problems = [(str(item["loc"][0]) if item["loc"] else "settings", item) for item in error.errors()]
    lines = []
    for name, item in problems:
        reason = item["msg"].removeprefix("Value error, ")
        lines.append((_variable_in_error(name), reason[0].lower() + reason[1:]))
    (variable, problem), *others = lines
    also = "; ".join(f"{name}: {reason}" for name, reason in others)
    name = _field_named(variable)
    about = f"It is: {Settings.model_fields[name].description}" if name else ""
    return InputError(variable, problem + (f" (also {also})" if also else ""), about)


def _variable_in_error(loc: str) -> str:
    return variable_of(loc) if loc in Settings.model_fields else loc


def _field_named(variable: str) -> str:
    return next((name for name in Settings.model_fields if variable_of(name) == variable), "")


def settings_table() -> str:
    """`docs/settings.md`: every variable with its default and meaning."""
    rows = [
        f"| `{variable_of(name)}` | {_default_of(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_PREAMBLE, "| variable | default | what it is |", "|---|---|---|", *rows, ""])


_PREAMBLE = """# Settings

Set in the environment of every process; checked before anything is served. This page is generated from
`notifier/settings.py` with `make docs`; passwords of provider accounts stand in variables of their own, named in
`campaigns/accounts/*.yaml`.
"""


def _default_of(field: FieldInfo) -> str:
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if default in ("", None, {}):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
