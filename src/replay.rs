//! Replay: plays the log back. The log is the truth; the table is a view of it.
//!
//! Requests are read in no consumer group, so nobody's position moves, and are worked on by as
//! many cores as a worker uses, each admitted by the memory it is estimated to need. What was
//! announced about them is read before. Everything is safe to run twice: a row that is right
//! already is not touched.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::context::ReplayContext;
use self::history::History;
use self::play::Player;
pub use self::report::{
    Compared, Comparison, DeadLetter, Finding, Observer, Outcome, Shown, Summary, Sums,
};
pub use self::task::{Ended, Range, ReplayError, Speed, Task};
use crate::event_log::Topic;
use crate::settings::Settings;
use crate::storage::Storage;

mod context;
mod dead_letters;
mod history;
mod play;
mod rebuild;
mod report;
mod shadow;
mod task;
mod verify;

pub use self::dead_letters::dead_letters;
pub use self::shadow::check_overrides;

/// Plays requests until the end of the log as it is now, or until `stop`. `name` stands in the
/// table beside what no worker had made before.
///
/// # Errors
///
/// The log can't be read from the start; what happens later is in [`Ended`].
pub async fn play(
    storage: &Storage,
    settings: &Settings,
    name: String,
    range: &Range,
    task: Task,
    observer: &mut (dyn Observer + Send),
    stop: &CancellationToken,
) -> Result<Ended, ReplayError> {
    // Opened before the history is read: what is finished of it by then is known.
    let reader = storage.log.read(Topic::Requests, &range.from).await?;
    let history = match task {
        Task::Verify => History::default(),
        Task::Rebuild | Task::Shadow { .. } => History::read(&*storage.log, range, stop).await?,
    };
    observer.begins(reader.total());
    let context = ReplayContext::new(Arc::clone(&storage.store), settings, name, history);
    Ok(Player::new(reader, context, task)
        .run(range, observer, stop)
        .await)
}
