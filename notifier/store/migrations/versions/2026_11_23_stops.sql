-- ── stops above a run: lifted by a person, never changed ──────────────────────────────────────────
CREATE TABLE notifier.stops (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT stops_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT stops_team REFERENCES notifier.teams,
    scope text NOT NULL CONSTRAINT stops_scope CHECK (scope IN ('everything', 'channel', 'campaign')),
    which text NOT NULL DEFAULT '',                         -- the channel or the campaign's key
    spares_emergencies boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    stopped_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT notifier.now(),
    lifted_at timestamptz,
    lifted_by text NOT NULL DEFAULT '',
    CONSTRAINT stops_which CHECK ((scope = 'everything') = (which = ''))
);
CREATE UNIQUE INDEX stops_in_force ON notifier.stops (team_id, scope, which, spares_emergencies) WHERE lifted_at IS NULL;

-- ── the time to undo a release, and pauses the service makes itself ──────────────────────────────
ALTER TABLE notifier.runs
    ADD COLUMN held_until timestamptz,                              -- until then a release can be undone
    ADD COLUMN paused_for jsonb NOT NULL DEFAULT '{}';              -- `email bounces` → the figure, in percent
CREATE INDEX events_complained ON notifier.events (run_id, message_id) WHERE kind = 'complained';
