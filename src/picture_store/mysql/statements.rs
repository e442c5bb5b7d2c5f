//! Statements that add a row or change the one that is there, in one round trip.
//!
//! MySQL and MariaDB name the values of the row that could not be added in different ways. Both write
//! all columns of a row that such a statement changes to the binary log, even the picture. So it
//! leaves rows with pictures alone, and says that it found one: they are for the plain statements.

use crate::picture_store::Begun;

/// The most rows that one statement adds.
pub(super) const MOST_ROWS: usize = 64;

/// Columns of a new row that come from the operation.
const COLUMNS: &str = "id, request, source_format, source_width, source_height, source_bytes,
    source_digest, position, queued_at, expires_at, tenant";
const COLUMN_COUNT: usize = 11;

/// A statement returns one of these as the last insert ID, or [`Statements::begin`] the number of the
/// attempt. No operation has as many attempts. A new row has none.
const FINISHED: u64 = 1 << 40;
const TAKEN: u64 = 2 << 40;
const DEPOSITED: u64 = 3 << 40;

/// Sets the position of a row that has none. Parameters: position, ID, request, the source's digest.
pub(super) const PLACE: &str = "UPDATE pictures SET position = ?
    WHERE id = ? AND request = ? AND source_digest = ? AND position IS NULL";

/// Begins a deposited operation, and returns the number of the attempt. Parameters: worker, time,
/// position, time of expiry, ID, request, the source's digest.
pub(super) const BEGIN_DEPOSITED: &str = "UPDATE pictures
    SET attempts = LAST_INSERT_ID(attempts + 1), worker = ?, started_at = ?,
        position = COALESCE(position, ?), expires_at = COALESCE(expires_at, ?),
        status = 'processing'
    WHERE id = ? AND request = ? AND source_digest = ? AND status IN ('queued', 'processing')";

/// What the last insert ID of [`Statements::begin`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BeginAnswer {
    Begun(Begun),
    /// The row has a picture: it is for [`BEGIN_DEPOSITED`].
    Deposited,
}

/// The statements for one kind of server.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    begin: String,
    /// With 1, 2, 4, … rows.
    inserts: Vec<String>,
}

impl Statements {
    /// `version` is the server's answer to `SELECT VERSION()`.
    pub(super) fn of(version: &str) -> Self {
        let names = if version.contains("MariaDB") {
            Names {
                alias: "",
                open: "VALUES(",
                close: ")",
            }
        } else {
            Names {
                alias: "AS new",
                open: "new.",
                close: "",
            }
        };
        let sizes = std::iter::successors(Some(1), |rows| Some(rows * 2));
        Self {
            begin: begin(&names),
            inserts: sizes
                .take_while(|rows| *rows <= MOST_ROWS)
                .map(|rows| insert(&names, rows))
                .collect(),
        }
    }

    /// Begins an operation, and adds its row if it is missing. Parameters: the [`COLUMNS`], the
    /// worker and the time.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }

    /// What the last insert ID of [`begin`](Self::begin) means.
    pub(super) fn begun(answer: Option<u64>) -> BeginAnswer {
        BeginAnswer::Begun(match answer {
            Some(DEPOSITED) => return BeginAnswer::Deposited,
            Some(TAKEN) => Begun::Taken,
            Some(FINISHED) => Begun::Finished,
            Some(attempt) => Begun::Attempt(u32::try_from(attempt).unwrap_or(u32::MAX)),
            None => Begun::Attempt(1),
        })
    }

    /// Whether the last insert ID of [`insert`](Self::insert) says that some row has a picture and
    /// lacks its position: it is for [`PLACE`].
    pub(super) fn lacks_a_position(answer: Option<u64>) -> bool {
        answer == Some(DEPOSITED)
    }

    /// Adds at least `rows` queued rows. An existing one only gets its position. Returns how many
    /// rows it adds. Parameters: the [`COLUMNS`] and the picture of each row.
    pub(super) fn insert(&self, rows: usize) -> (usize, &str) {
        let rows = rows.next_power_of_two();
        (rows, &self.inserts[rows.trailing_zeros() as usize])
    }
}

/// How a statement names the values of the row that could not be added.
struct Names {
    alias: &'static str,
    open: &'static str,
    close: &'static str,
}

impl Names {
    fn of_new_row(&self, column: &str) -> String {
        format!("{}{column}{}", self.open, self.close)
    }

    /// Whether the row that exists is of the same request.
    fn asks_the_same(&self) -> String {
        format!(
            "pictures.request = {} AND pictures.source_digest = {}",
            self.of_new_row("request"),
            self.of_new_row("source_digest")
        )
    }
}

fn insert(names: &Names, rows: usize) -> String {
    let places = format!("('queued'{})", ", ?".repeat(COLUMN_COUNT + 1));
    format!(
        "INSERT INTO pictures (status, {COLUMNS}, source) VALUES {} {}
         ON DUPLICATE KEY UPDATE
             position = COALESCE(pictures.position, CASE
                 WHEN NOT ({}) OR {position} IS NULL THEN NULL
                 WHEN pictures.source IS NULL THEN {position}
                 ELSE NULLIF(LAST_INSERT_ID({DEPOSITED}), {DEPOSITED}) END)",
        vec![places; rows].join(", "),
        names.alias,
        names.asks_the_same(),
        position = names.of_new_row("position"),
    )
}

/// Assignments are made in order, and see the ones before: the status is the last.
fn begin(names: &Names) -> String {
    let may_begin = format!(
        "pictures.status IN ('queued', 'processing') AND pictures.source IS NULL AND {}",
        names.asks_the_same()
    );
    let assignments: Vec<String> = [
        ("worker", names.of_new_row("worker")),
        ("started_at", names.of_new_row("started_at")),
        (
            "position",
            format!(
                "COALESCE(pictures.position, {})",
                names.of_new_row("position")
            ),
        ),
        (
            "expires_at",
            format!(
                "COALESCE(pictures.expires_at, {})",
                names.of_new_row("expires_at")
            ),
        ),
        ("status", "'processing'".to_owned()),
    ]
    .into_iter()
    .map(|(column, value)| format!("{column} = IF({may_begin}, {value}, pictures.{column})"))
    .collect();
    format!(
        "INSERT INTO pictures (status, attempts, {COLUMNS}, worker, started_at)
         VALUES ('processing', 1{}) {}
         ON DUPLICATE KEY UPDATE
             attempts = CASE
                 WHEN NOT ({}) THEN pictures.attempts + 0 * LAST_INSERT_ID({TAKEN})
                 WHEN pictures.status NOT IN ('queued', 'processing')
                     THEN pictures.attempts + 0 * LAST_INSERT_ID({FINISHED})
                 WHEN pictures.source IS NOT NULL
                     THEN pictures.attempts + 0 * LAST_INSERT_ID({DEPOSITED})
                 ELSE LAST_INSERT_ID(pictures.attempts + 1) END,
             {}",
        ", ?".repeat(COLUMN_COUNT + 2),
        names.alias,
        names.asks_the_same(),
        assignments.join(",\n             "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_statements_are_enough_for_any_number_of_rows() {
        for version in ["9.7.0", "10.11.14-MariaDB-log"] {
            let statements = Statements::of(version);
            for (asked, expected) in [(1, 1), (2, 2), (3, 4), (5, 8), (33, 64), (64, 64)] {
                let (rows, sql) = statements.insert(asked);
                assert_eq!(rows, expected);
                assert_eq!(sql.matches('?').count(), rows * (COLUMN_COUNT + 1));
            }
        }
    }

    #[test]
    fn an_answer_to_begin_is_an_attempt_or_a_reason() {
        for (answer, begun) in [
            (None, Begun::Attempt(1)),
            (Some(7), Begun::Attempt(7)),
            (Some(TAKEN), Begun::Taken),
            (Some(FINISHED), Begun::Finished),
        ] {
            assert_eq!(Statements::begun(answer), BeginAnswer::Begun(begun));
        }
        assert_eq!(Statements::begun(Some(DEPOSITED)), BeginAnswer::Deposited);
    }
}
