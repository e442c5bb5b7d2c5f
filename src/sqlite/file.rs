//! What a file must be before it is used, and the space that it gives back.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::error::DatabaseError;
use crate::private;

/// The size of a page of a new file.
const PAGE_BYTES: u32 = 4096;
/// A file up to this size is checked completely when it is opened, which takes a part of a second.
const CHECKED_BYTES: u64 = 32 << 20;
/// Fewer free pages are kept for later writes.
const SPARE_PAGES: i64 = 2048;
/// So many pages are given back in one transaction.
const STEP_PAGES: i64 = 512;

/// Makes the file if there is none, so that only this user may read it; SQLite gives the files beside it
/// the same permissions. Refuses a link, which could lead to a file of somebody else.
pub(super) fn create_private(path: &Path) -> Result<(), DatabaseError> {
    if private::is_link(path) {
        return Err(DatabaseError::Damaged {
            path: path.to_owned(),
            reason: "it is a symbolic link".to_owned(),
        });
    }
    if !path.exists() {
        // If it cannot be made, opening it says why.
        let _ = private::open_file(path);
    }
    Ok(())
}

/// Checks the file, prepares it for use, and brings its schema up to date.
pub(super) fn prepare(
    path: &Path,
    table: &str,
    migrations: &[&str],
    connection: &mut Connection,
) -> Result<(), DatabaseError> {
    check(path, table, connection)?;
    // These two are for new files only.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    migrate(path, connection, migrations)
}

/// Refuses a file that is damaged, or that another program wrote.
fn check(path: &Path, table: &str, connection: &Connection) -> Result<(), DatabaseError> {
    let refused = |reason: String| DatabaseError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let (tables, ours): (u32, u32) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name = ?1) FROM sqlite_schema",
        [table],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if tables == 0 {
        return Ok(());
    }
    if ours == 0 {
        return Err(refused(format!(
            "it is the file of another program, because it has no table {table}"
        )));
    }
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    let logged = std::fs::metadata(wal_path(path)).map_or(0, |file| file.len());
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let expected = pages.saturating_mul(page_bytes).unsigned_abs();
    // The last pages may still be in the write-ahead log.
    if logged == 0 && bytes < expected {
        return Err(refused(format!(
            "it is truncated: it has {bytes} bytes instead of {expected}"
        )));
    }
    if bytes <= CHECKED_BYTES {
        let finding: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if finding != "ok" {
            let finding = finding.lines().last().unwrap_or_default();
            return Err(refused(format!("it is damaged ({finding})")));
        }
    }
    Ok(())
}

fn migrate(
    path: &Path,
    connection: &mut Connection,
    migrations: &[&str],
) -> Result<(), DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).expect("a handful of migrations");
    if found > known {
        return Err(DatabaseError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for migration in &migrations[found as usize..] {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

/// How many free pages should be given back. Files of earlier versions cannot give any back.
pub(super) fn excess_pages(connection: &Connection) -> rusqlite::Result<i64> {
    let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let is_incremental = value("auto_vacuum")? == 2;
    let (free, pages) = (value("freelist_count")?, value("page_count")?);
    let kept = SPARE_PAGES.max((pages - free) / 8);
    Ok(if is_incremental && free > 2 * kept {
        free - kept
    } else {
        0
    })
}

/// Splits pages to give back into transactions.
pub(super) fn steps(pages: i64) -> impl Iterator<Item = i64> {
    (0..pages)
        .step_by(STEP_PAGES as usize)
        .map(move |done| STEP_PAGES.min(pages - done))
}

/// Gives so many free pages back. The file is shortened by the next checkpoint.
pub(super) fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    // Each step gives back one page.
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// The write-ahead log of a file.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
