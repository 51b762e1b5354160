-- Never edited once released: a change is a new file with the next number.
-- 0x575A504C is "WZPL": tells this file from any other SQLite database.
PRAGMA application_id = 1465536588;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspace (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    source   TEXT NOT NULL,
    spec     TEXT NOT NULL,
    open     INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE process (
    id              TEXT PRIMARY KEY,
    workspace_id    TEXT NOT NULL REFERENCES workspace (id),
    name            TEXT NOT NULL,
    source          TEXT NOT NULL,
    spec            TEXT NOT NULL,
    wanted          INTEGER NOT NULL,
    session_id      TEXT,
    session_started INTEGER NOT NULL,
    restarts        INTEGER NOT NULL,
    state           TEXT NOT NULL,
    state_reason    TEXT,
    unread          INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    run_id     TEXT PRIMARY KEY,
    process_id TEXT NOT NULL REFERENCES process (id),
    state      TEXT NOT NULL CHECK (state IN ('starting', 'running', 'ended')),
    keeper_pid INTEGER,
    pid        INTEGER,
    started_at INTEGER,
    boot_id    TEXT,
    exit       TEXT,
    claimed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX run_of_process ON run (process_id);

-- The last line of defence against a process that runs twice.
CREATE UNIQUE INDEX run_alive_once ON run (process_id) WHERE state <> 'ended';

CREATE TABLE config (
    generation INTEGER PRIMARY KEY,
    path       TEXT NOT NULL,
    text       TEXT NOT NULL,
    format     TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE TABLE trust (
    path   TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    text   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reply (
    key           TEXT PRIMARY KEY,
    method        TEXT NOT NULL,
    params_sha256 TEXT NOT NULL,
    result        BLOB NOT NULL,
    at            INTEGER NOT NULL
) STRICT;

CREATE INDEX reply_by_age ON reply (at);

-- What clients are told, in order.
CREATE TABLE event (
    seq  INTEGER PRIMARY KEY CHECK (seq > 0),
    at   INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

-- Every change of the tables workspace, process, run, config and trust, in order. The rows of
-- `checkpoint` and then these, one after the other, give those tables.
CREATE TABLE journal (
    n      INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    change TEXT NOT NULL
) STRICT;

-- The part of the journal that is no longer kept, a change for each row that it left.
CREATE TABLE checkpoint (
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,
    change TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
