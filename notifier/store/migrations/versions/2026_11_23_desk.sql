-- ── people ────────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE notifier.users
    ADD COLUMN email text NOT NULL DEFAULT '',   -- where tests and alarms go
    ADD COLUMN phone text NOT NULL DEFAULT '';
ALTER TABLE notifier.api_keys ADD COLUMN user_id bigint CONSTRAINT api_keys_user REFERENCES notifier.users;
CREATE INDEX audit_actor ON notifier.audit (team_id, actor, id);

-- ── definitions made in the console ───────────────────────────────────────────────────────────────
ALTER TABLE notifier.definitions
    DROP CONSTRAINT definitions_kind,
    ADD CONSTRAINT definitions_kind CHECK (kind IN ('bank', 'account', 'survey', 'template', 'campaign', 'segment')),
    ADD COLUMN author_id bigint CONSTRAINT definitions_author REFERENCES notifier.users;

-- ── four eyes ─────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE notifier.runs
    DROP CONSTRAINT runs_state,
    ADD CONSTRAINT runs_state CHECK (state IN
        ('draft', 'waiting', 'submitted', 'scheduled', 'running', 'stopped', 'ended', 'cancelled')),
    ADD COLUMN at_once boolean NOT NULL DEFAULT false,      -- starts when it is released
    ADD COLUMN occurrence_at timestamptz,                   -- which of its schedule's times a recurring run stands for
    ADD COLUMN drill boolean NOT NULL DEFAULT false,        -- an exercise: stamped, and never for customers
    ADD COLUMN authors bigint[] NOT NULL DEFAULT '{}',      -- users who made or changed it
    ADD COLUMN segment_id bigint CONSTRAINT runs_segment REFERENCES notifier.definitions,
    ADD COLUMN submitted_at timestamptz;
UPDATE notifier.runs SET occurrence_at = nominal_at WHERE kind = 'recurring';
DROP INDEX notifier.runs_once;
CREATE UNIQUE INDEX runs_occurrence ON notifier.runs (team_id, campaign_key, occurrence_at) WHERE kind = 'recurring';
CREATE UNIQUE INDEX runs_once ON notifier.runs (team_id, campaign_key, kind, nominal_at)
    WHERE kind <> 'recurring' AND NOT at_once AND state NOT IN ('draft', 'cancelled');

-- Who let a run out, and exactly what: `hash` is the SHA-256 of `facts`. A release is voided, never changed.
CREATE TABLE notifier.releases (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT releases_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT releases_team REFERENCES notifier.teams,
    run_id bigint NOT NULL CONSTRAINT releases_run REFERENCES notifier.runs,
    hash bytea NOT NULL,
    facts jsonb NOT NULL,
    authors bigint[] NOT NULL,
    user_id bigint CONSTRAINT releases_user REFERENCES notifier.users,
    needs_second boolean NOT NULL,
    break_glass text NOT NULL DEFAULT '',       -- the reason of who released an emergency alone
    at timestamptz NOT NULL DEFAULT notifier.now(),
    voided_at timestamptz,
    reviewed_by bigint CONSTRAINT releases_reviewer REFERENCES notifier.users,
    reviewed_at timestamptz,
    review_note text NOT NULL DEFAULT '',
    CONSTRAINT releases_four_eyes CHECK (
        NOT needs_second OR break_glass <> '' OR (user_id IS NOT NULL AND user_id <> ALL (authors))),
    CONSTRAINT releases_review CHECK (reviewed_by IS NULL OR reviewed_by <> user_id)
);
CREATE UNIQUE INDEX releases_valid ON notifier.releases (run_id) WHERE voided_at IS NULL;
CREATE INDEX releases_hash ON notifier.releases (team_id, hash) WHERE voided_at IS NULL;
CREATE INDEX releases_unreviewed ON notifier.releases (team_id, id) WHERE break_glass <> '' AND reviewed_at IS NULL;

-- ── to the house: tests, proofs and alarms, outside every count ──────────────────────────────────
CREATE TABLE notifier.notes (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT notes_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT notes_team REFERENCES notifier.teams,
    kind text NOT NULL CONSTRAINT notes_kind CHECK (kind IN ('test', 'proof', 'alarm')),
    run_id bigint CONSTRAINT notes_run REFERENCES notifier.runs,
    step text NOT NULL DEFAULT '',
    channel text NOT NULL CONSTRAINT notes_channel CHECK (channel IN ('email', 'sms')),
    address text NOT NULL,
    locale text NOT NULL DEFAULT '',
    content jsonb NOT NULL,                     -- rendered and marked when it was asked for
    account_id bigint NOT NULL CONSTRAINT notes_account REFERENCES notifier.definitions,
    state text NOT NULL DEFAULT 'queued' CONSTRAINT notes_state CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
    problem text NOT NULL DEFAULT '',
    user_id bigint CONSTRAINT notes_user REFERENCES notifier.users,   -- who asked for it
    reader_id bigint,                           -- the proof reader it is for
    tries smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),  -- by the server's own clock, as leases are
    claimed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    changed_at timestamptz
);
CREATE INDEX notes_open ON notifier.notes (due_at, id) WHERE state IN ('queued', 'sending');
CREATE INDEX notes_run ON notifier.notes (run_id, id);
CREATE INDEX notes_asked ON notifier.notes (user_id, created_at);
CREATE UNIQUE INDEX notes_proof ON notifier.notes (run_id, step, channel, reader_id) WHERE kind = 'proof';
ALTER TABLE notifier.run_steps ADD COLUMN proofed_at timestamptz;     -- its proofs are queued
UPDATE notifier.run_steps SET proofed_at = notifier.now() WHERE state = 'planned';
CREATE INDEX run_steps_proofs ON notifier.run_steps (run_id, step) WHERE proofed_at IS NULL AND state = 'planned';
CREATE TABLE notifier.proof_readers (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT proof_readers_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT proof_readers_team REFERENCES notifier.teams,
    name text NOT NULL,
    email text NOT NULL DEFAULT '',
    phone text NOT NULL DEFAULT '',
    locale text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT proof_readers_name UNIQUE (team_id, name)
);
ALTER TABLE notifier.notes
    ADD CONSTRAINT notes_reader FOREIGN KEY (reader_id) REFERENCES notifier.proof_readers ON DELETE SET NULL;

-- ── posts by hand: not sent before a person says so ──────────────────────────────────────────────
ALTER TABLE notifier.messages
    DROP CONSTRAINT messages_state,
    ADD CONSTRAINT messages_state CHECK (state IN ('queued', 'sending', 'to-post', 'accepted', 'delivered', 'bounced',
        'failed', 'expired', 'refused', 'cancelled', 'uncertain'));
DROP INDEX notifier.messages_open;
CREATE INDEX messages_open ON notifier.messages (run_id, state) WHERE state IN ('sending', 'uncertain', 'to-post');

-- ── imports through the console: a worker reads what the browser sent ────────────────────────────
ALTER TABLE notifier.imports
    DROP CONSTRAINT imports_state,
    ADD CONSTRAINT imports_state CHECK (state IN ('uploaded', 'queued', 'reading', 'done', 'broken', 'cancelled')),
    ADD COLUMN user_id bigint CONSTRAINT imports_user REFERENCES notifier.users,
    ADD COLUMN options jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN size_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN done_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN errors bytea,                    -- CSV of the rows not taken
    ADD COLUMN sample jsonb,                    -- header and first rows for the preview; goes when it is read
    ADD COLUMN alive_until timestamptz,         -- lease of who reads it, by the server's own clock
    ADD COLUMN tries smallint NOT NULL DEFAULT 0;   -- how often somebody began; names who holds the lease
CREATE INDEX imports_open ON notifier.imports (id) WHERE state IN ('uploaded', 'queued', 'reading');
CREATE TABLE notifier.import_parts (
    import_id bigint NOT NULL CONSTRAINT import_parts_import REFERENCES notifier.imports ON DELETE CASCADE,
    part int NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT import_parts_pk PRIMARY KEY (import_id, part)
);

-- ── contacts are looked for by name: pairs of neighbouring letters, for Chinese has no spaces ────
-- A space stands before the name, so that one letter finds the words that begin with it.
CREATE FUNCTION notifier.bigrams(name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_to_array(regexp_replace(' ' || lower(name), '(..)', E'\\1\n', 'g') || E'\n'
        || regexp_replace(lower(name), '(..)', E'\\1\n', 'g'), E'\n')
$$;
CREATE INDEX contacts_name ON notifier.contacts USING gin (notifier.bigrams(name));
CREATE INDEX contacts_others ON notifier.contacts (team_id, kind, id) WHERE kind <> 'customer';
CREATE INDEX contacts_locale ON notifier.contacts (team_id, locale, id) WHERE locale <> '' AND locale <> 'zh-CN';
CREATE INDEX responses_contact ON notifier.responses (contact_id) WHERE contact_id IS NOT NULL;
