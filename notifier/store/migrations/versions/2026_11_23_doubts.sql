-- ── messages that end their workers ──────────────────────────────────────────────────────────────
ALTER TABLE notifier.messages ADD COLUMN crashes smallint NOT NULL DEFAULT 0;   -- workers that died holding it
CREATE INDEX messages_suspect ON notifier.messages (run_id, lane, due_at, id) WHERE state = 'queued' AND crashes > 0;
CREATE INDEX messages_set_aside ON notifier.messages (run_id, id)
    WHERE state = 'failed' AND reason ~ '^(set aside|not rendered): ';
ALTER TABLE notifier.claims
    ADD COLUMN begun boolean NOT NULL DEFAULT true,         -- something of it may have left the house
    ADD COLUMN taken_at timestamptz NOT NULL DEFAULT now();

-- ── what the providers were asked about messages in doubt; one row for each hand-over asked about ─
CREATE TABLE notifier.look_ups (
    run_id bigint NOT NULL,
    message_id bigint NOT NULL,
    attempts smallint NOT NULL,
    tries smallint NOT NULL DEFAULT 1,
    try_at timestamptz NOT NULL,                            -- by the server's own clock, as leases are
    answer text NOT NULL DEFAULT '' CONSTRAINT look_ups_answer CHECK (answer IN ('', 'found', 'not-found', 'cannot-say')),
    CONSTRAINT look_ups_pk PRIMARY KEY (run_id, message_id, attempts)
);

-- ── what stands still: one row while a trouble lasts, by the server's own clock ──────────────────
CREATE TABLE notifier.troubles (
    team_id int NOT NULL CONSTRAINT troubles_team REFERENCES notifier.teams,
    kind text NOT NULL CONSTRAINT troubles_kind CHECK (kind IN ('unleased', 'waiting', 'callbacks', 'lease')),
    run_id bigint NOT NULL DEFAULT 0,                       -- 0: of no one run
    count bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    told_at timestamptz,
    CONSTRAINT troubles_pk PRIMARY KEY (team_id, kind, run_id)
);
-- The message that is due first in a run's lane, and since when nobody has claimed it.
CREATE TABLE notifier.queue_heads (
    run_id bigint NOT NULL,
    lane smallint NOT NULL,
    message_id bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT queue_heads_pk PRIMARY KEY (run_id, lane)
);
