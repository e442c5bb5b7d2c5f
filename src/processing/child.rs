//! The inside of a pixel process: answers the requests of its parent, one after the other, until
//! the parent closes the connection.
//!
//! It is started with the connection as its standard input and the shared file as its standard
//! output, and it has nothing else.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::protocol::{Outcome, Planned, Request, TaskForm, frame, message_length};
use super::shared_file::{Contents, View};
use crate::imaging::{self, Format, ImagingError, Limits, Plan, Source};
use crate::operation::ResizeOptions;

#[cfg(debug_assertions)]
mod fault;
mod sandbox;

/// The message of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Runs a pixel process until its parent closes the connection. `reads_heic` says whether to load
/// the library for HEIC, which cannot be loaded any more once the process is confined.
pub fn run(reads_heic: bool) -> ExitCode {
    match serve(reads_heic) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent ended, or what started this process is not a parent.
        Err(error) => {
            eprintln!("a pixel process stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(reads_heic: bool) -> io::Result<()> {
    sandbox::close_inherited_files();
    super::allocator::keep_some_for_the_next_picture();
    let (parent, shared) = sandbox::take_over()?;
    let mut parent = BufReader::new(parent);
    std::panic::set_hook(Box::new(|info| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    if reads_heic {
        imaging::preload(Format::Heic);
    }
    let protection = sandbox::confine();
    let mut session = Session {
        shared: View::of(shared),
        work: None,
    };
    send(parent.get_mut(), &Outcome::Started(protection))?;
    while let Some(request) = receive(&mut parent)? {
        let outcome = catch_unwind(AssertUnwindSafe(|| session.answer(request)));
        let outcome = outcome.unwrap_or_else(|_| {
            session.work = None;
            Outcome::Panicked(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone())
        });
        send(parent.get_mut(), &outcome)?;
    }
    Ok(())
}

/// The next request; `None` if the parent closed the connection.
fn receive(parent: &mut BufReader<UnixStream>) -> io::Result<Option<Request>> {
    let mut head = [0; 4];
    match parent.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = message_length(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut message = vec![0; length];
    parent.read_exact(&mut message)?;
    Ok(Some(serde_json::from_slice(&message)?))
}

fn send(parent: &mut UnixStream, outcome: &Outcome) -> io::Result<()> {
    parent.write_all(&frame(outcome))
}

/// The work between two requests.
struct Session {
    shared: View,
    work: Option<Work>,
}

/// A planned task and the pictures it needs.
struct Work {
    task: PlannedTask,
    /// All pictures, one after the other.
    pictures: Contents,
    lengths: Vec<usize>,
    limits: Limits,
}

enum PlannedTask {
    Resize(Box<Plan>),
    Fingerprint(Source),
    /// The plans of the two references. Without a plan there is no score.
    Score(Box<[Option<Plan>; 2]>),
}

impl Session {
    fn answer(&mut self, request: Request) -> Outcome {
        match request {
            Request::Plan {
                task,
                lengths,
                limits,
                granted,
            } => match self.plan(&task, lengths, limits) {
                Outcome::Planned(planned) if granted.is_some_and(|g| planned.memory_bytes <= g) => {
                    self.proceed()
                }
                outcome => outcome,
            },
            Request::Proceed => self.proceed(),
        }
    }

    fn plan(&mut self, task: &TaskForm, lengths: Vec<usize>, limits: Limits) -> Outcome {
        self.work = None;
        let pictures = match self.shared.first(lengths.iter().sum()) {
            Ok(pictures) => pictures,
            Err(error) => return broken(&error),
        };
        let picture = &pictures[..lengths.first().copied().unwrap_or_default()];
        #[cfg(debug_assertions)]
        fault::at_header(picture);
        let planned = imaging::inspect(picture, &limits)
            .and_then(|source| Ok((PlannedTask::of(task, &source, &limits)?, source)));
        match planned {
            Ok((task, source)) => {
                let planned = Planned {
                    format: source.format(),
                    width: source.width(),
                    height: source.height(),
                    memory_bytes: task.memory_bytes(),
                };
                self.work = Some(Work {
                    task,
                    pictures,
                    lengths,
                    limits,
                });
                Outcome::Planned(planned)
            }
            Err(error) => Outcome::Refused(error),
        }
    }

    fn proceed(&mut self) -> Outcome {
        let Some(work) = self.work.take() else {
            return Outcome::Unusable("nothing was planned".to_owned());
        };
        let Work {
            task,
            pictures,
            lengths,
            limits,
        } = work;
        let mut rest = &pictures[..];
        let mut parts = lengths.iter().map(|&length| {
            let (part, after) = rest.split_at(length);
            rest = after;
            part
        });
        let picture = parts.next().unwrap_or_default();
        #[cfg(debug_assertions)]
        fault::at_pixels(picture);
        match task {
            PlannedTask::Fingerprint(source) => {
                let hash = source.fingerprint(picture, &limits);
                Outcome::Fingerprinted(hash.map(|hash| hash.0))
            }
            PlannedTask::Score(plans) => {
                let results = [parts.next(), parts.next()].map(Option::unwrap_or_default);
                Outcome::Scored(scores(picture, &plans, results, &limits))
            }
            PlannedTask::Resize(plan) => {
                let started = Instant::now();
                let resized = match plan.resize(picture) {
                    Ok(resized) => resized,
                    Err(error) => return Outcome::Refused(error),
                };
                let fingerprint = imaging::fingerprint(&resized.bytes, &limits);
                let microseconds = started.elapsed().as_micros() as u64;
                drop(pictures);
                if let Err(error) = self.shared.replace(&resized.bytes) {
                    return broken(&error);
                }
                Outcome::Resized {
                    width: resized.width,
                    height: resized.height,
                    format: resized.format,
                    bytes: resized.bytes.len(),
                    fingerprint: fingerprint.map(|hash| hash.0),
                    microseconds,
                }
            }
        }
    }
}

impl PlannedTask {
    fn of(form: &TaskForm, source: &Source, limits: &Limits) -> Result<Self, ImagingError> {
        Ok(match form {
            TaskForm::Resize(options) => {
                Self::Resize(Box::new(source.plan(&read(options)?, limits)?))
            }
            TaskForm::Fingerprint => Self::Fingerprint(source.clone()),
            TaskForm::Score([first, second]) => {
                let plans = [read(first)?, read(second)?];
                Self::Score(Box::new(
                    plans.map(|options| source.plan(&options, limits).ok()),
                ))
            }
        })
    }

    /// The memory that the task needs in addition to its pictures.
    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Resize(plan) => plan.memory_bytes(),
            Self::Fingerprint(source) => source.fingerprint_bytes(),
            Self::Score(plans) => {
                let needs = plans.iter().flatten().map(|reference| {
                    let comparing =
                        imaging::similarity_bytes(reference.width(), reference.height());
                    reference.memory_bytes().max(comparing)
                });
                needs.max().unwrap_or_default()
            }
        }
    }
}

/// Options from their text form.
fn read(options: &[(String, String)]) -> Result<ResizeOptions, ImagingError> {
    let pairs = options
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    ResizeOptions::from_pairs(pairs).map_err(|mut errors| errors.swap_remove(0).into())
}

/// The scores of two results of a picture, each against its reference.
fn scores(
    picture: &[u8],
    plans: &[Option<Plan>; 2],
    results: [&[u8]; 2],
    limits: &Limits,
) -> [Option<f64>; 2] {
    let mut scores = [None, None];
    for ((plan, result), score) in plans.iter().zip(results).zip(&mut scores) {
        let reference = plan.as_ref().and_then(|plan| plan.resize(picture).ok());
        *score =
            reference.and_then(|reference| imaging::similarity(result, &reference.bytes, limits));
    }
    scores
}

/// The shared file cannot be used.
fn broken(error: &io::Error) -> Outcome {
    Outcome::Unusable(format!("the shared file cannot be used: {error}"))
}
