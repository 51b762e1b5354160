-- Tasks, their groups, the environments that they run in, and what is leased. None of these is in the
-- journal: a task is a record of what was asked and what became of it, and the others are soon over.

CREATE TABLE task (
    id          TEXT PRIMARY KEY,
    -- what is shown of it in a list
    card        TEXT NOT NULL,
    -- what the queue decides by
    data        TEXT NOT NULL,
    -- all that was asked: read when it starts, or when somebody wants to see it
    asked       TEXT NOT NULL,
    environment TEXT,
    -- what its last attempt has brought
    result      TEXT
) STRICT;

CREATE TABLE task_group (
    name   TEXT PRIMARY KEY,
    paused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- By the hash of what it says, as many tasks have the same.
CREATE TABLE environment (
    id   TEXT PRIMARY KEY,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    data TEXT NOT NULL
) STRICT, WITHOUT ROWID;
