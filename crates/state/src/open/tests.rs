use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
};

use tempfile::TempDir;

use super::*;
use crate::{
    StateDb,
    fixture::{Fixture, accepted, id},
};

/// Whatever happens to the file, its bytes must not.
fn refused(path: &Path) -> StateError {
    let before = fs::read(path).unwrap();
    let error = StateDb::open(path).unwrap_err();
    assert_eq!(fs::read(path).unwrap(), before, "{error}");
    error
}

#[test]
fn nobody_else_can_read_who_ran_what() {
    let mut fixture = Fixture::new();
    fixture.db.transaction(&[accepted("a", None)]).unwrap();
    let files: Vec<_> =
        fs::read_dir(fixture.directory.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 3, "the database, its write-ahead log and the log's index: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[test]
fn the_connection_is_set_up_for_crashes_and_references() {
    let fixture = Fixture::new();
    let text = |pragma: &str| -> String {
        fixture.db.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
    };
    let number = |pragma: &str| -> i64 {
        fixture.db.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
    };
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!(number("synchronous"), 1);
    assert_eq!(number("foreign_keys"), 1);
    assert_eq!(number("busy_timeout"), 5_000);
    assert_eq!(number("cache_size"), -PAGE_CACHE_KIB);
    assert_eq!(number("journal_size_limit"), WRITE_AHEAD_LOG_BYTES);
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let Fixture { mut db, directory } = Fixture::new();
    db.transaction(&[accepted("a", None)]).unwrap();
    drop(db);
    let (db, opened) = StateDb::open(&directory.path().join("state.db")).unwrap();
    assert_eq!(opened, Opened::AsItWas);
    assert!(db.task("a").unwrap().is_some());
}

#[test]
fn a_file_that_its_creator_was_killed_over_is_taken_for_new() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    fs::write(&path, "").unwrap();
    assert_eq!(StateDb::open(&path).unwrap().1, Opened::Created);

    let halfway = directory.path().join("halfway.db");
    let connection = Connection::open(&halfway).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", get_first::<String>).unwrap();
    drop(connection);
    assert!(fs::metadata(&halfway).unwrap().len() > 0);
    assert_eq!(StateDb::open(&halfway).unwrap().1, Opened::Created);
}

#[test]
fn a_newer_database_is_refused_and_the_message_says_what_to_do() {
    let Fixture { db, directory } = Fixture::new();
    db.connection.pragma_update(None, VERSION_PRAGMA, SCHEMA_VERSION + 3).unwrap();
    drop(db);
    let error = refused(&directory.path().join("state.db"));
    let StateError::Newer { found, known, .. } = error else { panic!("{error}") };
    assert_eq!((found, known), (SCHEMA_VERSION + 3, SCHEMA_VERSION));
    let text = error.to_string();
    assert!(text.contains("start the newer program"), "{text}");
    assert!(text.contains("--state-dir"), "{text}");
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    for sql in [
        "CREATE TABLE task (id INTEGER)",
        "PRAGMA application_id = 252006674; CREATE TABLE task (id INTEGER)",
        "PRAGMA application_id = 252006674",
        "PRAGMA user_version = 1",
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("state.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = refused(&path);
        assert!(matches!(error, StateError::Foreign { .. }), "{sql}: {error}");
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }
}

#[test]
fn our_database_with_a_version_that_never_was_is_refused() {
    for version in [0, -1] {
        let Fixture { db, directory } = Fixture::new();
        db.connection.pragma_update(None, VERSION_PRAGMA, version).unwrap();
        drop(db);
        let error = refused(&directory.path().join("state.db"));
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
    }
}

type Damage = fn(&Path);

#[test]
fn damage_is_found_on_opening_and_never_repaired_by_starting_anew() {
    let damages: [(&str, Damage); 4] = [
        ("a text", |path| fs::write(path, "a letter to a friend\n".repeat(100)).unwrap()),
        ("its header", |path| write_at(path, 20, &[0xff; 60])),
        ("a page in the middle", |path| write_at(path, 3 * 4096, &[0xa5; 4096])),
        ("its second half", |path| {
            let half = fs::metadata(path).unwrap().len() / 2;
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(half).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let Fixture { mut db, directory } = Fixture::new();
        let tasks: Vec<_> = (0..100).map(|number| accepted(&id(number), None)).collect();
        db.transaction(&tasks).unwrap();
        drop(db);
        let path = directory.path().join("state.db");
        damage(&path);
        let error = refused(&path);
        assert!(matches!(error, StateError::Damaged { .. }), "{what}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("restore it from a copy"), "{text}");
        assert!(text.contains("move it"), "{text}");
    }
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

#[test]
fn a_place_where_nothing_can_be_made_is_named() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("missing").join("state.db");
    let error = StateDb::open(&path).unwrap_err();
    assert!(matches!(error, StateError::Create { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_link_in_the_place_of_the_database_or_of_a_file_beside_it_is_not_followed() {
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db-journal"] {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        fs::write(&precious, "").unwrap();
        std::os::unix::fs::symlink(&precious, directory.path().join(name)).unwrap();
        let error = StateDb::open(&directory.path().join("state.db")).unwrap_err();
        assert!(matches!(error, StateError::NotAFile { .. }), "{name}: {error}");
        assert_eq!(fs::read(&precious).unwrap(), b"");
    }
}
