"""What an operator watches: passages, counters, workers that live."""

from pathlib import Path

from alembic import op

revision = "2026_11_23_operate"
down_revision = "2026_11_23_limits"


def upgrade() -> None:
    """Run the SQL beside this file."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    sql = Path(__file__).with_suffix(".sql").read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda driver: driver.execute(sql))
