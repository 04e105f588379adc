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

-- Which batch a task is an attempt, or a hook, of. It may have been removed: no reference.
ALTER TABLE task ADD COLUMN batch_id TEXT;
-- What prompts of the same kind have in common.
ALTER TABLE task ADD COLUMN shape TEXT;

-- How long earlier successful runs took is read from these alone.
CREATE INDEX task_label_history ON task (label, number, duration_ms)
    WHERE label IS NOT NULL AND verdict = 'succeeded';
CREATE INDEX task_shape_history ON task (shape, number, duration_ms)
    WHERE shape IS NOT NULL AND verdict = 'succeeded';
