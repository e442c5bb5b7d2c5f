//! Replay: plays the log back. The log is the truth; the table is a view of it.
//!
//! A replay first reads the events about the requests, then the requests themselves. It reads
//! without a consumer group, so no group's offsets move. It uses as many cores as a worker, and
//! only processes as many pictures at once as fit into memory by their estimates. All replays are
//! safe to run twice: a row that is already right is not touched.

use tokio_util::sync::CancellationToken;

use self::context::ReplayContext;
use self::history::History;
use self::play::Player;
pub use self::report::{
    Compared, Comparison, DeadLetter, Finding, Observer, Outcome, Shown, Summary, Sums,
};
pub use self::task::{Ended, Range, ReplayError, Resources, Speed, Task};
use crate::event_log::Topic;

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

/// Plays requests until the current end of the log, or until `stop`.
///
/// # Errors
///
/// Reading the log failed at the start. Later errors are in [`Ended`].
pub async fn play(
    resources: Resources<'_>,
    range: &Range,
    task: Task,
    observer: &mut (dyn Observer + Send),
    stop: &CancellationToken,
) -> Result<Ended, ReplayError> {
    let Resources { storage, .. } = resources;
    // Open the reader before reading the history, so that the history covers all requests that are
    // finished by then.
    let reader = storage.log.read(Topic::Requests, &range.from).await?;
    let history = match task {
        Task::Verify => History::default(),
        Task::Rebuild | Task::Shadow { .. } => History::read(&*storage.log, range, stop).await?,
    };
    observer.begins(reader.total());
    let context = ReplayContext::new(resources, history);
    Ok(Player::new(reader, context, task, range.sample)
        .run(range, observer, stop)
        .await)
}
