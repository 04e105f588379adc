-- Times are milliseconds since the Unix epoch; ids are uuids in text form. Words of the vocabularies (reason,
-- verdict, containment) have no CHECK: a newer program may write one that this schema has not heard of.

-- A client's standing. A closed one stays as a tombstone for a while, so that a client that comes too late hears
-- "closed" and not "unknown".
CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32),   -- SHA-256 of the resume token
    begun_ms INTEGER NOT NULL,
    disconnected_ms INTEGER,                                    -- null: has a connection
    closed_ms INTEGER                                           -- null: can be resumed
) STRICT, WITHOUT ROWID;

CREATE INDEX session_open ON session (begun_ms) WHERE closed_ms IS NULL;

-- A task, from its acceptance until retention removes its log.
CREATE TABLE task (
    number INTEGER PRIMARY KEY,                                 -- the order of acceptance, whatever the clock did
    id TEXT NOT NULL UNIQUE,
    session_id TEXT REFERENCES session (id),                    -- null: detached
    label TEXT,
    command TEXT NOT NULL,                                      -- shortened, for people
    accepted_ms INTEGER NOT NULL,
    is_claude INTEGER NOT NULL CHECK (is_claude IN (0, 1)),
    is_prompt INTEGER NOT NULL CHECK (is_prompt IN (0, 1)),
    leaf BLOB,                                                  -- path of its cgroup; paths need not be UTF-8
    deadlines TEXT,                                             -- the clocks of its spec, as JSON
    batch_id TEXT,                                              -- the batch of which it is an attempt or a hook; that
                                                                -- may have been removed: no reference
    shape TEXT,                                                 -- what prompts of the same kind have in common

    -- Its start.
    started_ms INTEGER,
    pid INTEGER,
    worker_pid INTEGER,
    containment TEXT,

    -- Its end.
    ended_ms INTEGER,
    reason TEXT,
    verdict TEXT,
    exit_code INTEGER,
    signal INTEGER,
    error TEXT,
    duration_ms INTEGER,
    cpu_ms INTEGER,
    max_rss_bytes INTEGER,
    output_lines INTEGER,
    output_bytes INTEGER,
    dropped_lines INTEGER,
    dropped_bytes INTEGER,
    truncated_lines INTEGER,
    killed_leftovers INTEGER,
    unkillable INTEGER,
    last_seq INTEGER,
    log_bytes INTEGER,
    -- What it says beside its verdict, as JSON; null: nothing.
    warnings TEXT,                                              -- what a person should know
    claude TEXT,                                                -- what a Claude stream says of the CLI

    CHECK (started_ms IS NULL OR (pid + worker_pid IS NOT NULL AND containment IS NOT NULL)),
    CHECK (
        ended_ms IS NULL
        OR (
            reason IS NOT NULL AND verdict IS NOT NULL AND exit_code IS NOT NULL
            AND duration_ms IS NOT NULL AND cpu_ms IS NOT NULL AND max_rss_bytes IS NOT NULL
            AND output_lines IS NOT NULL AND output_bytes IS NOT NULL
            AND dropped_lines IS NOT NULL AND dropped_bytes IS NOT NULL AND truncated_lines IS NOT NULL
            AND killed_leftovers IS NOT NULL AND unkillable IS NOT NULL
            AND last_seq IS NOT NULL AND log_bytes IS NOT NULL
        )
    )
) STRICT;

CREATE INDEX task_of_session ON task (session_id, number) WHERE session_id IS NOT NULL;
CREATE INDEX task_unfinished ON task (number) WHERE ended_ms IS NULL;
-- Retention reads the sums, and the oldest ends, from this index alone.
CREATE INDEX task_ended ON task (ended_ms, number, log_bytes) WHERE ended_ms IS NOT NULL;
-- How long earlier successful runs took is read from these alone.
CREATE INDEX task_label_history ON task (label, number, duration_ms)
    WHERE label IS NOT NULL AND verdict = 'succeeded';
CREATE INDEX task_shape_history ON task (shape, number, duration_ms)
    WHERE shape IS NOT NULL AND verdict = 'succeeded';

-- The last result line of a Claude task, without its text: that stays in the log.
CREATE TABLE result (
    task INTEGER PRIMARY KEY REFERENCES task (number) ON DELETE CASCADE,
    is_error INTEGER NOT NULL CHECK (is_error IN (0, 1)),
    cost_usd REAL,
    turns INTEGER,
    claude_session_id TEXT
) STRICT;

-- A batch, from its submission until retention removes it. Plan and state are the JSON of the crate that knows
-- batches; nothing here looks into them.
CREATE TABLE batch (
    number INTEGER PRIMARY KEY,                                 -- the order of submission, whatever the clock did
    id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT UNIQUE,
    plan_hash BLOB NOT NULL CHECK (length(plan_hash) = 32),     -- SHA-256 of the plan as it was submitted
    plan TEXT NOT NULL,
    head TEXT NOT NULL,                                         -- the state of what belongs to no task
    submitted_ms INTEGER NOT NULL,
    over_ms INTEGER                                             -- null: not over
) STRICT;

CREATE INDEX batch_open ON batch (number) WHERE over_ms IS NULL;
CREATE INDEX batch_over ON batch (over_ms) WHERE over_ms IS NOT NULL;

-- A task of a batch; one without a row is as it was at the beginning.
CREATE TABLE batch_task (
    batch INTEGER NOT NULL REFERENCES batch (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,                                     -- in the plan, from 0
    state TEXT NOT NULL,
    record TEXT,                                                -- its attempts
    result TEXT,                                                -- its result, where another task refers to it
    PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;
