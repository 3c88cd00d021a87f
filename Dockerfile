# syntax=docker/dockerfile:1

# The wheel, with the console's libraries and the starter pack; Node comes from a wheel of its own and stays here.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
# All pinned packages, checked by hash; from these, and nothing else, what the product needs to run.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --require-hashes -r requirements.lock --wheel-dir /wheels && \
    pip wheel --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/notifier && \
    /opt/notifier/bin/pip install --no-index --find-links /wheels 'notifier[embedded]' && \
    /opt/notifier/bin/python -m compileall -q /opt/notifier/lib

FROM python:3.12-slim
RUN groupadd --system --gid 10001 notifier && \
    useradd --system --uid 10001 --gid notifier --home-dir /var/lib/notifier --create-home notifier
COPY --from=build /opt/notifier /opt/notifier
ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NOTIFIER_DATA_DIR=/var/lib/notifier/data \
    NOTIFIER_LOG_FORMAT=json \
    NOTIFIER_WEB_HOST=0.0.0.0
USER notifier
WORKDIR /var/lib/notifier
VOLUME /var/lib/notifier
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('NOTIFIER_WEB_PORT', '8000') + '/healthz', timeout=4)"]
# Everything in one container: web, workers, and the embedded servers where no DATABASE_URL and REDIS_URL are given.
CMD ["notifier", "up"]
