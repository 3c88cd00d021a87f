"""Contacts out of a CSV or XLSX file: streamed, mapped, checked row by row, written in batches."""

from notifier.planning.contact_import.options import ImportOptions, ImportReport, Progress
from notifier.planning.contact_import.run import import_contacts
from notifier.planning.contact_import.values import read_email, read_phone

__all__ = ["ImportOptions", "ImportReport", "Progress", "import_contacts", "read_email", "read_phone"]
