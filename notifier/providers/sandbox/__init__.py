"""A provider for all channels that keeps what it is given, and misbehaves when told to."""

from notifier.providers.sandbox.callbacks import sandbox_headers, sandbox_secret, sandbox_signature, secret_bytes
from notifier.providers.sandbox.provider import SANDBOX, Sandbox, SandboxSettings

__all__ = [
    "SANDBOX",
    "Sandbox",
    "SandboxSettings",
    "sandbox_headers",
    "sandbox_secret",
    "sandbox_signature",
    "secret_bytes",
]
