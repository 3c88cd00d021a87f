"""The logins of the demo: known to everybody, for it listens on this machine only."""

DEMO_LOGINS = (
    ("lin", "riverside-lin", "林晓 Lin Xiao", "author"),
    ("chen", "riverside-chen", "陈默 Chen Mo", "approver"),
)
"""Login, password, name, role."""
