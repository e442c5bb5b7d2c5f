//! One operation of a client: post a picture, ask until its result is there, check the result.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::header;
use crate::http::{Answer, Connection};
use crate::pictures::{Picture, Pictures};
use crate::request::{Requests, ResultForm};
use crate::tally::{End, Step, Tally};

#[derive(Clone, Debug, Args)]
pub(crate) struct Patience {
    /// Milliseconds before a result is asked for again, the first time
    #[arg(long, value_name = "MS", default_value_t = 1.0)]
    pub(crate) first_pause: f64,
    /// Later pauses are this part of the time that the operation has taken so far: the smaller it
    /// is, the more exact are the times, and the more requests the service gets
    #[arg(long, value_name = "PART", default_value_t = 0.125)]
    pub(crate) pause_part: f64,
    /// The most milliseconds before a result is asked for again
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    pub(crate) longest_pause: f64,
    /// Seconds after which an operation counts as stuck
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) timeout: f64,
}

/// What all operations of a run share.
pub(crate) struct Operator {
    pub(crate) requests: Requests,
    pub(crate) pictures: Pictures,
    pub(crate) patience: Patience,
    /// The first result of each picture, if all others must have the same bytes.
    pub(crate) expected: Option<RefCell<Vec<Option<Vec<u8>>>>>,
    pub(crate) tally: RefCell<Tally>,
}

impl Operator {
    /// Runs one operation. Its times count from `start`, when it should have begun. Returns how it
    /// ended, and the connection if it can be used again.
    pub(crate) async fn run(
        &self,
        number: u64,
        start: Instant,
        mut connection: Option<Connection>,
    ) -> (End, Option<Connection>) {
        let picture = &self.pictures.all[number as usize % self.pictures.all.len()];
        let accepted = Cell::new(false);
        let steps = async {
            match &self.requests.form.get {
                Some(path) => self.get(path, picture, &mut connection).await,
                None => {
                    self.post(picture, number, start, &accepted, &mut connection)
                        .await
                }
            }
        };
        let ended = timeout(Duration::from_secs_f64(self.patience.timeout), steps).await;
        let end = match ended {
            Ok(Ok(result)) => {
                self.tally.borrow_mut().result_bytes += result.len() as u64;
                self.check(picture, number, &result)
            }
            Ok(Err(end)) => end,
            Err(_) => {
                // An answer may still arrive on it.
                connection = None;
                match accepted.get() {
                    true => End::Stuck,
                    false => End::Broken(format!("no answer in {} s", self.patience.timeout)),
                }
            }
        };
        let mut tally = self.tally.borrow_mut();
        if matches!(end, End::Done) {
            tally.time(Step::Whole, start.elapsed());
        }
        tally.end(&end);
        (end, connection)
    }

    async fn get(
        &self,
        path: &str,
        picture: &Picture,
        connection: &mut Option<Connection>,
    ) -> Result<Vec<u8>, End> {
        let head = self.requests.fetch(&path.replace("{file}", &picture.name));
        let answer = self.send(connection, "GET", &[head.as_bytes()]).await;
        let answer = answer.map_err(|error| End::Broken(format!("GET: {error}")))?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(End::Refused(problem("GET", &answer))),
        }
    }

    async fn post(
        &self,
        picture: &Picture,
        number: u64,
        start: Instant,
        accepted: &Cell<bool>,
        connection: &mut Option<Connection>,
    ) -> Result<Vec<u8>, End> {
        let post = self.requests.post(picture, number);
        let answer = self.send(connection, "POST", &post.parts()).await;
        let answer = answer.map_err(|error| End::Broken(format!("POST: {error}")))?;
        if answer.status != 201 {
            return Err(End::Refused(problem("POST", &answer)));
        }
        accepted.set(true);
        self.tally.borrow_mut().time(Step::Accept, start.elapsed());
        let Some(path) = self.result_path(&answer) else {
            return Err(End::Wrong(format!("{}: no ID", problem("POST", &answer))));
        };
        let head = self.requests.fetch(&path);
        loop {
            let begin = Instant::now();
            // After a failed connection it asks again, on a new one: the operation was accepted.
            if let Ok(answer) = self.send(connection, "GET", &[head.as_bytes()]).await {
                match answer.status {
                    200 => {
                        if let Some(result) = self.result(answer)? {
                            let mut tally = self.tally.borrow_mut();
                            tally.time(Step::Ready, begin - start);
                            tally.time(Step::Fetch, begin.elapsed());
                            return Ok(result);
                        }
                    }
                    422 => return Err(End::Failed(problem("GET", &answer))),
                    _ => {}
                }
            }
            let pause = start.elapsed().as_secs_f64() * 1e3 * self.patience.pause_part;
            let pause = pause
                .min(self.patience.longest_pause)
                .max(self.patience.first_pause);
            sleep(Duration::from_secs_f64(pause / 1e3)).await;
        }
    }

    /// Sends a request, on a new connection if there is none, and counts the answer.
    async fn send(
        &self,
        connection: &mut Option<Connection>,
        method: &'static str,
        parts: &[&[u8]],
    ) -> io::Result<Answer> {
        let answered = async {
            let mut used = match connection.take().filter(Connection::is_open) {
                Some(open) => open,
                None => Connection::open(&self.requests.address).await?,
            };
            let answer = used.request(parts).await?;
            *connection = answer.keep.then_some(used);
            Ok(answer)
        };
        let answered = answered.await;
        let status = answered.as_ref().map_or(0, |answer: &Answer| answer.status);
        let sent = parts.iter().map(|part| part.len()).sum();
        let received = answered.as_ref().map_or(0, |answer| answer.body.len());
        self.tally
            .borrow_mut()
            .request(method, status, sent, received);
        answered
    }

    /// Where the result will be: as `Location` says, or by the ID in the body.
    fn result_path(&self, answer: &Answer) -> Option<String> {
        #[derive(Deserialize)]
        struct Accepted<'a> {
            identifier: &'a str,
        }
        answer.location.clone().or_else(|| {
            let accepted: Accepted<'_> = serde_json::from_slice(&answer.body).ok()?;
            Some(format!(
                "{}{}",
                self.requests.form.path, accepted.identifier
            ))
        })
    }

    /// The picture in an answer; `None` if JSON says that it is not there yet.
    fn result(&self, answer: Answer) -> Result<Option<Vec<u8>>, End> {
        #[derive(Deserialize)]
        struct Body<'a> {
            image: Option<&'a str>,
        }
        if self.requests.form.result == ResultForm::Picture {
            return Ok(Some(answer.body));
        }
        let wrong = |what: String| End::Wrong(format!("GET: 200 {what}"));
        let body = serde_json::from_slice::<Body<'_>>(&answer.body);
        let image = body.map_err(|error| wrong(error.to_string()))?.image;
        let decoded = image.map(|image| STANDARD.decode(image)).transpose();
        decoded.map_err(|error| wrong(error.to_string()))
    }

    fn check(&self, picture: &Picture, number: u64, result: &[u8]) -> End {
        let (width, height) = picture.result_size;
        // Programs round the side that follows from the aspect ratio in different ways.
        let near = |(w, h): (u32, u32)| w.abs_diff(width) <= 1 && h.abs_diff(height) <= 1;
        match header::size(result) {
            Some(size) if near(size) => {}
            size => {
                let found = match size {
                    Some((w, h)) => format!("{w} × {h}"),
                    None => format!("no picture, {} bytes", result.len()),
                };
                let name = &picture.name;
                return End::Wrong(format!("{name}: {found}, not {width} × {height}"));
            }
        }
        let Some(expected) = &self.expected else {
            return End::Done;
        };
        let count = self.pictures.all.len();
        let first = &mut expected.borrow_mut()[number as usize % count];
        match first {
            Some(first) if first != result => {
                End::Wrong(format!("{}: other bytes than the first time", picture.name))
            }
            Some(_) => End::Done,
            None => {
                *first = Some(result.to_vec());
                End::Done
            }
        }
    }
}

fn problem(method: &str, answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
    format!("{method}: {} {body}", answer.status)
}
