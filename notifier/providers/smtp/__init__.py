"""E-mail over SMTP with kept connections."""

from notifier.providers.smtp.provider import SMTP, Smtp, SmtpSettings

__all__ = ["SMTP", "Smtp", "SmtpSettings"]
