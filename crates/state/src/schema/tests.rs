use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{Opened, StateDb, fixture::Fixture};

/// A database that a program with only the first `steps` has made.
fn older(path: &Path, steps: &[&str]) {
    let mut connection = Connection::open(path).unwrap();
    migrate(&mut connection, steps, 0).unwrap();
}

fn version(connection: &Connection) -> u32 {
    connection.pragma_query_value(None, VERSION_PRAGMA, |row| row.get(0)).unwrap()
}

fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
    connection
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .unwrap()
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_database_of_every_older_version_becomes_one_like_new() {
    let new = schema(&Fixture::new().db.connection);
    assert!(new.iter().any(|(name, _)| name == "task"), "{new:?}");
    for from in 0..SCHEMA_VERSION {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("state.db");
        if from > 0 {
            older(&path, &STEPS[..from as usize]);
        }
        let (db, opened) = StateDb::open(&path).unwrap();
        let expected = match from {
            0 => Opened::Created,
            from => Opened::Migrated { from, to: SCHEMA_VERSION },
        };
        assert_eq!(opened, expected);
        assert_eq!(schema(&db.connection), new);
        drop(db);
        assert_eq!(StateDb::open(&path).unwrap().1, Opened::AsItWas);
    }
}

#[test]
fn a_step_keeps_what_is_there_and_goes_only_once() {
    let mut connection = Connection::open_in_memory().unwrap();
    let steps = [
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
        "ALTER TABLE a ADD COLUMN y INTEGER; INSERT INTO a VALUES (2, 2);",
    ];
    migrate(&mut connection, &steps[..1], 0).unwrap();
    assert_eq!(version(&connection), 1);
    migrate(&mut connection, &steps, 1).unwrap();
    assert_eq!(version(&connection), 2);
    let sum: i64 = connection.query_row("SELECT sum(x) FROM a", (), |row| row.get(0)).unwrap();
    assert_eq!(sum, 3);
}

#[test]
fn when_a_step_fails_nothing_of_it_nor_of_those_before_it_remains() {
    let mut connection = Connection::open_in_memory().unwrap();
    let steps = [
        "CREATE TABLE a (x INTEGER);",
        "ALTER TABLE a ADD COLUMN y INTEGER;",
        "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);",
    ];
    migrate(&mut connection, &steps[..1], 0).unwrap();
    let before = schema(&connection);
    migrate(&mut connection, &steps, 1).unwrap_err();
    assert_eq!(version(&connection), 1);
    assert_eq!(schema(&connection), before);
}

#[test]
fn a_step_may_rebuild_a_table_but_leave_no_row_that_refers_to_nothing() {
    let mut connection = Connection::open_in_memory().unwrap();
    let tables = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
                  CREATE TABLE child (parent INTEGER REFERENCES parent (id) ON DELETE CASCADE);
                  INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);";
    let rebuild = "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT);
                   INSERT INTO new (id) SELECT id FROM parent;
                   DROP TABLE parent; ALTER TABLE new RENAME TO parent;";
    migrate(&mut connection, &[tables], 0).unwrap();
    migrate(&mut connection, &[tables, rebuild], 1).unwrap();
    let children: i64 =
        connection.query_row("SELECT count(*) FROM child", (), |row| row.get(0)).unwrap();
    assert_eq!(children, 1);

    let orphan = "DELETE FROM parent;";
    let error = migrate(&mut connection, &[tables, rebuild, orphan], 2).unwrap_err();
    assert!(error.to_string().contains("refer"), "{error}");
    assert_eq!(version(&connection), 2);
    let is_enforced: bool =
        connection.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
    assert!(is_enforced);
}
