-- ── figures for operators ─────────────────────────────────────────────────────────────────────────
-- How often messages came into a state and left it, over all time: a counter may only grow, and the balance of a state
-- is in it too. The fold adds each tally to it once and marks it.
CREATE TABLE notifier.passages (
    lane smallint NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    entered bigint NOT NULL,
    departed bigint NOT NULL,
    CONSTRAINT passages_pk PRIMARY KEY (lane, channel, state)
);
ALTER TABLE notifier.tallies ADD COLUMN folded boolean NOT NULL DEFAULT false;
CREATE INDEX tallies_new ON notifier.tallies (run_id) WHERE NOT folded;
CREATE TABLE notifier.counters (
    name text CONSTRAINT counters_pk PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO notifier.counters VALUES ('callbacks_applied', 0);
-- Who works, by the server's own clock; a worker that leaves takes its row along, one that was killed is forgotten.
CREATE TABLE notifier.workers (
    name text CONSTRAINT workers_pk PRIMARY KEY,
    lanes smallint[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
