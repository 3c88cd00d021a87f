CREATE SCHEMA IF NOT EXISTS notifier;

-- Business time: the server's clock plus a stored shift, 0 in production. Leases use plain now().
CREATE TABLE notifier.clock (
    one boolean CONSTRAINT clock_pk PRIMARY KEY DEFAULT true CONSTRAINT clock_one CHECK (one),
    shift interval NOT NULL DEFAULT '0'
);
INSERT INTO notifier.clock DEFAULT VALUES;
CREATE FUNCTION notifier.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT pg_catalog.now() + shift FROM notifier.clock $$;

-- Local wall time to UTC. In a gap the time moves forward by the gap; of a doubled hour the first counts.
CREATE FUNCTION notifier.local_to_utc(local timestamp, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN ((local AT TIME ZONE zone) - interval '1 hour') AT TIME ZONE zone = local
            THEN (local AT TIME ZONE zone) - interval '1 hour'
        ELSE local AT TIME ZONE zone
    END
$$;

-- The zone, or the fallback where it is empty or this server does not know it: one contact's must not stop a batch.
CREATE FUNCTION notifier.zone_or(zone text, fallback text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF zone IS NULL OR zone = '' THEN RETURN fallback; END IF;
    PERFORM pg_catalog.now() AT TIME ZONE zone;
    RETURN zone;
EXCEPTION WHEN invalid_parameter_value THEN RETURN fallback;
END $$;

-- The first moment at or after `at` when the window from..until is open in the zone; no window: always open.
CREATE FUNCTION notifier.next_open(at timestamptz, zone text, open_from time, open_until time)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN open_from IS NULL THEN at
        WHEN (at AT TIME ZONE zone)::time >= open_from AND (at AT TIME ZONE zone)::time < open_until THEN at
        WHEN (at AT TIME ZONE zone)::time < open_from
            THEN notifier.local_to_utc((at AT TIME ZONE zone)::date + open_from, zone)
        ELSE notifier.local_to_utc((at AT TIME ZONE zone)::date + 1 + open_from, zone)
    END
$$;

CREATE TABLE notifier.teams (
    id int CONSTRAINT teams_pk PRIMARY KEY,
    name text NOT NULL
);
INSERT INTO notifier.teams VALUES (1, 'default');

-- ── who may use it ────────────────────────────────────────────────────────────────────────────────
CREATE TABLE notifier.users (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT users_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT users_team REFERENCES notifier.teams,
    login text NOT NULL CONSTRAINT users_login UNIQUE,
    name text NOT NULL,
    role text NOT NULL CONSTRAINT users_role
        CHECK (role IN ('viewer', 'author', 'approver', 'operator', 'admin', 'auditor')),
    password_hash text NOT NULL,
    locale text NOT NULL DEFAULT 'zh-CN',
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE notifier.sessions (
    token_hash bytea CONSTRAINT sessions_pk PRIMARY KEY,
    user_id bigint NOT NULL CONSTRAINT sessions_user REFERENCES notifier.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE notifier.api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT api_keys_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT api_keys_team REFERENCES notifier.teams,
    name text NOT NULL,
    secret_hash bytea NOT NULL CONSTRAINT api_keys_secret UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at timestamptz
);
CREATE TABLE notifier.audit (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT audit_team REFERENCES notifier.teams,
    at timestamptz NOT NULL DEFAULT notifier.now(),
    actor text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_subject ON notifier.audit (subject, act);
CREATE TABLE notifier.idempotency (
    team_id int NOT NULL CONSTRAINT idempotency_team REFERENCES notifier.teams,
    scope text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status int,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_pk PRIMARY KEY (team_id, scope, key)
);

-- ── what is meant: immutable versions of bank, accounts, surveys, templates, campaigns ───────────
CREATE TABLE notifier.definitions (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT definitions_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT definitions_team REFERENCES notifier.teams,
    kind text NOT NULL CONSTRAINT definitions_kind
        CHECK (kind IN ('bank', 'account', 'survey', 'template', 'campaign')),
    key text NOT NULL,
    version int NOT NULL,
    hash bytea NOT NULL,
    spec jsonb NOT NULL,
    file text NOT NULL DEFAULT '',
    retired_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT definitions_version UNIQUE (team_id, kind, key, version)
);

-- ── who is meant ──────────────────────────────────────────────────────────────────────────────────
CREATE TABLE notifier.contacts (
    id bigint GENERATED BY DEFAULT AS IDENTITY CONSTRAINT contacts_pk PRIMARY KEY,
    team_id int NOT NULL,            -- looked up once per statement that adds contacts
    external_id text NOT NULL,
    kind text NOT NULL CONSTRAINT contacts_kind CHECK (kind IN ('customer', 'employee', 'working-group')),
    name text NOT NULL DEFAULT '',
    locale text NOT NULL DEFAULT '',
    zone text NOT NULL DEFAULT '',
    attributes jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    updated_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT contacts_external UNIQUE (team_id, external_id)
);
CREATE TABLE notifier.addresses (
    contact_id bigint NOT NULL,      -- written with its contact; goes with it by the trigger below
    channel text NOT NULL CONSTRAINT addresses_channel CHECK (channel IN ('email', 'sms')),
    address text NOT NULL,
    address_key bytea NOT NULL,
    CONSTRAINT addresses_pk PRIMARY KEY (contact_id, channel)
);
CREATE INDEX addresses_key ON notifier.addresses (address_key);
CREATE TABLE notifier.consents (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT consents_pk PRIMARY KEY,
    contact_id bigint NOT NULL CONSTRAINT consents_contact REFERENCES notifier.contacts ON DELETE CASCADE,
    channel text NOT NULL CONSTRAINT consents_channel CHECK (channel IN ('email', 'sms', 'social')),
    topic text NOT NULL DEFAULT '',
    act text NOT NULL CONSTRAINT consents_act CHECK (act IN ('opt-in', 'opt-out')),
    source text NOT NULL,
    proof text NOT NULL DEFAULT '',
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT notifier.now()
);
-- The same act told twice (a re-import) is one act.
CREATE UNIQUE INDEX consents_act_once ON notifier.consents (contact_id, channel, topic, act, at, source);
-- The latest act per contact, channel and topic, kept by a trigger so that the claim reads one row.
CREATE TABLE notifier.consent_states (
    contact_id bigint NOT NULL,      -- written with its consent; goes with its contact
    channel text NOT NULL,
    topic text NOT NULL,
    act text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT consent_states_pk PRIMARY KEY (contact_id, channel, topic)
);
CREATE FUNCTION notifier.keep_consent_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notifier.consent_states AS s (contact_id, channel, topic, act, at)
        SELECT DISTINCT ON (contact_id, channel, topic) contact_id, channel, topic, act, at
        FROM added ORDER BY contact_id, channel, topic, at DESC, act DESC
    ON CONFLICT ON CONSTRAINT consent_states_pk DO UPDATE SET act = excluded.act, at = excluded.at
        WHERE excluded.at > s.at OR (excluded.at = s.at AND excluded.act = 'opt-out');
    RETURN NULL;
END $$;
CREATE TRIGGER consents_state AFTER INSERT ON notifier.consents REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION notifier.keep_consent_state();
-- Foreign keys would take a third of the time of an import: one look-up and one row lock for every address.
CREATE FUNCTION notifier.forget_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM notifier.addresses WHERE contact_id = OLD.id;
    DELETE FROM notifier.consent_states WHERE contact_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER contacts_forgotten AFTER DELETE ON notifier.contacts
    FOR EACH ROW EXECUTE FUNCTION notifier.forget_contact();

-- Hangs on the keyed address, so that re-import or erasure of the contact cannot undo it.
CREATE TABLE notifier.suppressions (
    team_id int NOT NULL CONSTRAINT suppressions_team REFERENCES notifier.teams,
    address_key bytea NOT NULL,
    channel text NOT NULL,
    reason text NOT NULL CONSTRAINT suppressions_reason
        CHECK (reason IN ('hard-bounce', 'complaint', 'opt-out', 'invalid', 'manual', 'erasure')),
    source text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT suppressions_pk PRIMARY KEY (team_id, address_key)
);
CREATE TABLE notifier.lists (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT lists_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT lists_team REFERENCES notifier.teams,
    key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT lists_key UNIQUE (team_id, key)
);
CREATE TABLE notifier.list_members (
    list_id bigint NOT NULL CONSTRAINT list_members_list REFERENCES notifier.lists ON DELETE CASCADE,
    contact_id bigint NOT NULL CONSTRAINT list_members_contact REFERENCES notifier.contacts ON DELETE CASCADE,
    CONSTRAINT list_members_pk PRIMARY KEY (list_id, contact_id)
);
CREATE TABLE notifier.imports (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT imports_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT imports_team REFERENCES notifier.teams,
    file text NOT NULL,
    state text NOT NULL CONSTRAINT imports_state CHECK (state IN ('reading', 'done', 'broken')),
    read_rows int NOT NULL DEFAULT 0,
    added int NOT NULL DEFAULT 0,
    updated int NOT NULL DEFAULT 0,
    rejected int NOT NULL DEFAULT 0,
    problem text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT notifier.now(),
    ended_at timestamptz
);

-- ── runs ──────────────────────────────────────────────────────────────────────────────────────────
-- id = yyyymm * 10^6 + n of the run's nominal month, so that a partition is a month.
CREATE TABLE notifier.runs (
    id bigint CONSTRAINT runs_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT runs_team REFERENCES notifier.teams,
    campaign_id bigint NOT NULL CONSTRAINT runs_campaign REFERENCES notifier.definitions,
    campaign_key text NOT NULL,
    kind text NOT NULL CONSTRAINT runs_kind CHECK (kind IN ('launched', 'recurring', 'standing')),
    state text NOT NULL CONSTRAINT runs_state
        CHECK (state IN ('waiting', 'scheduled', 'running', 'stopped', 'ended', 'cancelled')),
    nominal_at timestamptz NOT NULL,
    inputs jsonb NOT NULL DEFAULT '{}',
    audience_list text NOT NULL DEFAULT '',
    pinned jsonb NOT NULL DEFAULT '{}',
    purpose text NOT NULL,
    launched_by text NOT NULL,
    problem text NOT NULL DEFAULT '',
    frozen_at timestamptz,
    recipients int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX runs_once ON notifier.runs (team_id, campaign_key, kind, nominal_at);
CREATE INDEX runs_state ON notifier.runs (state);
CREATE TABLE notifier.run_steps (
    run_id bigint NOT NULL CONSTRAINT run_steps_run REFERENCES notifier.runs,
    step text NOT NULL,
    position int NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CONSTRAINT run_steps_state CHECK (state IN ('waiting', 'planning', 'planned')),
    template_id bigint NOT NULL CONSTRAINT run_steps_template REFERENCES notifier.definitions,
    survey_id bigint CONSTRAINT run_steps_survey REFERENCES notifier.definitions,
    purpose text NOT NULL,
    topic text NOT NULL DEFAULT '',
    lane smallint NOT NULL,
    in_doubt text NOT NULL,
    consent text NOT NULL,
    open_from time,
    open_until time,
    expires interval NOT NULL,
    plan_at timestamptz NOT NULL,
    due_at timestamptz,              -- the same instant for all, or
    due_local timestamp,             -- the same wall time in each contact's zone
    closes interval,
    cursor bigint NOT NULL DEFAULT 0,   -- recipients up to this id are given to planners
    planned_at timestamptz,
    CONSTRAINT run_steps_pk PRIMARY KEY (run_id, step),
    CONSTRAINT run_steps_due CHECK ((due_at IS NULL) <> (due_local IS NULL))
);
CREATE INDEX run_steps_plan ON notifier.run_steps (plan_at) WHERE state <> 'planned';

-- A chunk of a step's recipients, given to a planner; it goes when their messages are written, in the same transaction.
CREATE TABLE notifier.step_parts (
    run_id bigint NOT NULL,
    step text NOT NULL,
    after bigint NOT NULL,           -- recipients above this id,
    upto bigint NOT NULL,            -- up to this one
    CONSTRAINT step_parts_pk PRIMARY KEY (run_id, step, after),
    CONSTRAINT step_parts_step FOREIGN KEY (run_id, step) REFERENCES notifier.run_steps ON DELETE CASCADE
);

-- A contact's number is its recipient's too: one unique index instead of two. Accounts have negative ones.
CREATE SEQUENCE notifier.recipient_ids CACHE 1000;
CREATE TABLE notifier.recipients (
    run_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT -nextval('notifier.recipient_ids'),
    team_id int NOT NULL,
    contact_id bigint,               -- a contact, or
    account text,                    -- an account (a post)
    outcome text NOT NULL DEFAULT 'included' CONSTRAINT recipients_outcome CHECK (outcome IN ('included', 'refused')),
    reason text NOT NULL DEFAULT '',
    CONSTRAINT recipients_pk PRIMARY KEY (run_id, id),
    CONSTRAINT recipients_who CHECK (CASE WHEN account IS NULL THEN contact_id IS NOT NULL AND contact_id = id
        ELSE contact_id IS NULL AND id < 0 END)
) PARTITION BY RANGE (run_id);

CREATE UNIQUE INDEX recipients_account ON notifier.recipients (run_id, account) WHERE account IS NOT NULL;

CREATE SEQUENCE notifier.message_ids CACHE 1000;
CREATE TABLE notifier.messages (
    run_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('notifier.message_ids'),
    recipient_id bigint NOT NULL,
    contact_id bigint,
    due_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    team_id int NOT NULL,
    lane smallint NOT NULL,
    occurrence smallint NOT NULL DEFAULT 1,
    attempts smallint NOT NULL DEFAULT 0,
    parts smallint,
    step text NOT NULL,
    channel text NOT NULL CONSTRAINT messages_channel CHECK (channel IN ('email', 'sms', 'social')),
    state text NOT NULL CONSTRAINT messages_state CHECK (state IN
        ('queued', 'sending', 'accepted', 'delivered', 'bounced', 'failed', 'expired', 'refused', 'cancelled', 'uncertain')),
    reason text NOT NULL DEFAULT '',
    account text NOT NULL DEFAULT '',
    provider_ref text NOT NULL DEFAULT '',
    post_url text NOT NULL DEFAULT '',
    locale text NOT NULL DEFAULT '',
    inputs jsonb,                    -- of an API send; a run's own inputs stand in runs
    variables jsonb,                 -- the contact's values, fixed by the claim
    address_key bytea,               -- set by the claim; one address gets one message per step
    claim_id bigint,
    content_hash bytea,
    renderer text,
    content jsonb,
    planned_at timestamptz NOT NULL DEFAULT notifier.now(),
    claimed_at timestamptz,
    accepted_at timestamptz,
    changed_at timestamptz,
    CONSTRAINT messages_pk PRIMARY KEY (run_id, id),
    CONSTRAINT messages_once UNIQUE (run_id, recipient_id, step, occurrence, channel)
) PARTITION BY RANGE (run_id);
CREATE INDEX messages_queued ON notifier.messages (run_id, lane, due_at, id) WHERE state = 'queued';
CREATE INDEX messages_open ON notifier.messages (run_id, state) WHERE state IN ('sending', 'uncertain');
CREATE UNIQUE INDEX messages_address ON notifier.messages (run_id, step, occurrence, channel, address_key)
    WHERE address_key IS NOT NULL AND inputs IS NULL;  -- each request of the API is a message of its own

CREATE TABLE notifier.events (
    run_id bigint NOT NULL,
    message_id bigint NOT NULL,
    event_key text NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL DEFAULT notifier.now(),
    code text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    source text NOT NULL DEFAULT '',
    CONSTRAINT events_pk PRIMARY KEY (run_id, message_id, event_key)
) PARTITION BY RANGE (run_id);

-- A lease: one row per batch on the wire, by database time.
CREATE TABLE notifier.claims (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT claims_pk PRIMARY KEY,
    worker text NOT NULL,
    run_id bigint NOT NULL,
    ids bigint[] NOT NULL,
    alive_until timestamptz NOT NULL
);

-- Append-only deltas written with the state change; the tick folds them.
CREATE TABLE notifier.tallies (
    run_id bigint NOT NULL,
    step text NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    delta bigint NOT NULL
);
CREATE INDEX tallies_run ON notifier.tallies (run_id);

-- ── what came back ────────────────────────────────────────────────────────────────────────────────
CREATE TABLE notifier.callbacks (
    day date NOT NULL DEFAULT current_date,
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    dedupe_key bytea NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    url text NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT notifier.now(),
    tries smallint NOT NULL DEFAULT 0,
    try_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    problem text NOT NULL DEFAULT '',
    CONSTRAINT callbacks_pk PRIMARY KEY (day, id),
    CONSTRAINT callbacks_once UNIQUE (day, dedupe_key)
) PARTITION BY RANGE (day);
CREATE INDEX callbacks_waiting ON notifier.callbacks (try_at, id) WHERE applied_at IS NULL;

CREATE TABLE notifier.invitations (
    id bigint GENERATED BY DEFAULT AS IDENTITY CONSTRAINT invitations_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT invitations_team REFERENCES notifier.teams,
    run_id bigint NOT NULL CONSTRAINT invitations_run REFERENCES notifier.runs,
    step text NOT NULL,
    message_id bigint NOT NULL,
    contact_id bigint NOT NULL,
    survey_id bigint NOT NULL CONSTRAINT invitations_survey REFERENCES notifier.definitions,
    survey_key text NOT NULL,
    month smallint NOT NULL,
    closes_at timestamptz NOT NULL,
    opened_at timestamptz,
    answered_at timestamptz,
    CONSTRAINT invitations_message UNIQUE (run_id, message_id)
);
CREATE INDEX invitations_contact ON notifier.invitations (contact_id, survey_key);
CREATE TABLE notifier.responses (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT responses_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT responses_team REFERENCES notifier.teams,
    survey_id bigint NOT NULL CONSTRAINT responses_survey REFERENCES notifier.definitions,
    survey_key text NOT NULL,
    invitation_id bigint CONSTRAINT responses_invitation REFERENCES notifier.invitations
        CONSTRAINT responses_one UNIQUE,
    run_id bigint,
    contact_id bigint,
    source text NOT NULL,
    external_key text,
    locale text NOT NULL DEFAULT '',
    simulated boolean NOT NULL DEFAULT false,
    received_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT responses_external UNIQUE (team_id, source, external_key)
);
CREATE INDEX responses_survey_at ON notifier.responses (survey_key, received_at);
CREATE TABLE notifier.answers (
    response_id bigint NOT NULL CONSTRAINT answers_response REFERENCES notifier.responses ON DELETE CASCADE,
    question text NOT NULL,
    number int,
    text text,
    CONSTRAINT answers_pk PRIMARY KEY (response_id, question),
    CONSTRAINT answers_value CHECK ((number IS NULL) <> (text IS NULL))
);
CREATE TABLE notifier.links (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT links_pk PRIMARY KEY,
    team_id int NOT NULL CONSTRAINT links_team REFERENCES notifier.teams,
    target text NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT notifier.now(),
    CONSTRAINT links_target UNIQUE (team_id, target)
);

-- What the sandbox was given: `body` is zlib-compressed JSON of the content.
CREATE TABLE notifier.sandbox_items (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT sandbox_items_pk PRIMARY KEY,
    team_id int NOT NULL,
    account text NOT NULL,
    channel text NOT NULL,
    public_id text NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    headline text NOT NULL,
    body bytea NOT NULL,
    fate text NOT NULL DEFAULT 'none',   -- what its player reports: delivered, bounced, none
    report_at timestamptz NOT NULL DEFAULT notifier.now(),
    reported_at timestamptz,
    at timestamptz NOT NULL DEFAULT notifier.now()
);
CREATE INDEX sandbox_items_unreported ON notifier.sandbox_items (report_at) WHERE reported_at IS NULL AND fate <> 'none';
CREATE INDEX sandbox_items_channel ON notifier.sandbox_items (team_id, channel, id DESC);
CREATE INDEX sandbox_items_recipient ON notifier.sandbox_items (team_id, recipient, id DESC);

-- ── partitions ────────────────────────────────────────────────────────────────────────────────────
-- Makes the partitions of a month (yyyymm); harmless to call twice.
CREATE FUNCTION notifier.make_month(month int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['recipients', 'messages', 'events'] LOOP
        IF to_regclass(format('notifier.%I', part || '_' || month)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('notifier.make_month'));
            EXECUTE format('CREATE TABLE IF NOT EXISTS notifier.%I PARTITION OF notifier.%I FOR VALUES FROM (%s) TO (%s)',
                part || '_' || month, part, month::bigint * 1000000, (month::bigint + 1) * 1000000);
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION notifier.make_day(day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('notifier.%I', 'callbacks_' || to_char(day, 'YYYYMMDD'))) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('notifier.make_day'));
        EXECUTE format('CREATE TABLE IF NOT EXISTS notifier.%I PARTITION OF notifier.callbacks FOR VALUES FROM (%L) TO (%L)',
            'callbacks_' || to_char(day, 'YYYYMMDD'), day, day + 1);
    END IF;
END $$;
SELECT notifier.make_day(current_date + n) FROM generate_series(0, 3) AS n;
SELECT notifier.make_month(to_char(current_date + n * interval '1 month', 'YYYYMM')::int) FROM generate_series(0, 3) AS n;
