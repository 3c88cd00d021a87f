"""A process that holds the embedded servers until its standard input closes: `holder.py DATA_DIR`."""

import asyncio
import sys

from notifier.embedded import embedded_services
from notifier.logs import configure_logs
from notifier.settings import load_settings


async def hold(data_dir: str) -> None:
    """Says the addresses, then waits."""
    settings = load_settings(data_dir=data_dir, secret_key="k" * 32)
    configure_logs(form="console", level="info")
    async with embedded_services(settings, durable=False) as services:
        sys.stdout.write(f"{services.database_url}\n{services.redis_url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(hold(sys.argv[1]))
