//! One operation, from its request to its end: what a careful client does, and what it notes.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::load::Shared;
use super::picture::Kind;
use super::plan::Random;

/// How long a client waits for an answer to a post. Longer than what the service may take, so that
/// late answers are seen.
const POST: Duration = Duration::from_secs(45);
const GET: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(700);

/// How an operation ended, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// No answer to its post was a 201.
    NotAccepted,
    /// The last that was seen of it.
    Unfinished(String),
    Done,
    Failed(String),
    Erased,
}

/// What happened to one operation.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) number: u64,
    pub(crate) is_slow: bool,
    pub(crate) id: String,
    pub(crate) end: End,
    pub(crate) begun: Instant,
    pub(crate) accepted: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    /// Answers to its posts other than 201, by status; 0 is no answer.
    pub(crate) refusals: BTreeMap<u16, u32>,
    pub(crate) slowest_accept: Duration,
    pub(crate) slowest_refusal: Duration,
    pub(crate) attempts: u64,
    /// Answers of 404 after the 201.
    pub(crate) missing: Vec<String>,
    /// Results and answers that are wrong.
    pub(crate) wrong: Vec<String>,
    /// Answers that showed it after its erasure.
    pub(crate) visible: Vec<String>,
}

impl Story {
    fn new(number: u64, is_slow: bool) -> Self {
        Self {
            number,
            is_slow,
            id: String::new(),
            end: End::NotAccepted,
            begun: Instant::now(),
            accepted: None,
            ended: None,
            refusals: BTreeMap::new(),
            slowest_accept: Duration::ZERO,
            slowest_refusal: Duration::ZERO,
            attempts: 0,
            missing: Vec::new(),
            wrong: Vec::new(),
            visible: Vec::new(),
        }
    }
}

/// A pause that grows.
struct Pause(Duration);

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// The client of one operation.
pub(crate) struct Operating<'a> {
    shared: &'a Shared,
    random: Random,
    /// Which server is asked next.
    server: usize,
    story: Story,
}

impl<'a> Operating<'a> {
    pub(crate) fn new(shared: &'a Shared, number: u64, is_slow: bool) -> Self {
        let random = Random::new(shared.seed ^ number.wrapping_mul(0x9e37_79b9));
        Self {
            shared,
            random,
            server: number as usize,
            story: Story::new(number, is_slow),
        }
    }

    pub(crate) async fn run(mut self) -> Story {
        // One of 10 has a key, and one of 20 is erased, at once or a little later.
        let has_key = self.random.below(10) == 0;
        let is_erased = self.random.below(20) == 0 && !self.story.is_slow;
        if !self.submit(has_key).await {
            return self.story;
        }
        // The other server must know it too.
        self.server += 1;
        if is_erased {
            if self.random.below(2) == 0 {
                let later = self.random.between(FIRST_PAUSE, LONGEST_PAUSE * 2);
                sleep(later).await;
            }
            self.erase().await;
        } else {
            self.follow().await;
        }
        self.story
    }

    fn kind(&self) -> &'a Kind {
        self.shared
            .pictures
            .kind(self.story.number, self.story.is_slow)
    }

    fn url(&self, path: &str) -> String {
        let urls = &self.shared.urls;
        format!("{}{path}", urls[self.server % urls.len()])
    }

    fn client(&self) -> &'a Client {
        &self.shared.client
    }

    /// Whether the operation has been followed for long enough.
    fn is_over(&self) -> bool {
        let since = self.story.accepted.unwrap_or(self.story.begun);
        self.shared.is_over(since)
    }

    /// Posts the picture until it is accepted. A request without an answer is sent again.
    async fn submit(&mut self, has_key: bool) -> bool {
        let key = has_key.then(|| format!("key {:x} {}", self.shared.seed, self.story.number));
        let mut pause = Pause(FIRST_PAUSE * 2);
        while !self.is_over() {
            let asked = Instant::now();
            let answer = timeout(POST, self.post(key.as_deref()).send()).await;
            let status = match answer {
                Ok(Ok(response)) if response.status() == StatusCode::CREATED => {
                    self.story.slowest_accept = self.story.slowest_accept.max(asked.elapsed());
                    let id = response.headers()["identifier"].to_str().unwrap();
                    id.clone_into(&mut self.story.id);
                    self.story.accepted = Some(Instant::now());
                    self.story.end = End::Unfinished("accepted".to_owned());
                    return true;
                }
                Ok(Ok(response)) => {
                    let slowest = self.story.slowest_refusal.max(asked.elapsed());
                    self.story.slowest_refusal = slowest;
                    response.status().as_u16()
                }
                _ => 0,
            };
            *self.story.refusals.entry(status).or_default() += 1;
            if (400..500).contains(&status) && ![408, 409, 429].contains(&status) {
                let wrong = format!("a good request was answered with {status}");
                self.story.wrong.push(wrong);
                return false;
            }
            pause.wait().await;
            self.server += 1;
        }
        false
    }

    fn post(&self, key: Option<&str>) -> RequestBuilder {
        let (number, kind) = (self.story.number, self.kind());
        let picture = kind.unique(number, self.shared.seed);
        let mut request = if number.is_multiple_of(3) {
            let image = base64::engine::general_purpose::STANDARD.encode(picture);
            let mut body = serde_json::Map::new();
            body.insert("image".to_owned(), image.into());
            for (name, value) in kind.options {
                body.insert((*name).to_owned(), (*value).into());
            }
            self.client()
                .post(self.url("/api/"))
                .json(&Value::Object(body))
        } else {
            let query: Vec<_> = kind
                .options
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            self.client()
                .post(self.url(&format!("/api/?{}", query.join("&"))))
                .header("content-type", "application/octet-stream")
                .body(picture)
        };
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request
    }

    /// Asks for the result until the operation has ended.
    async fn follow(&mut self) {
        let mut pause = Pause(FIRST_PAUSE);
        while !self.is_over() {
            if let Some(end) = self.fetch().await {
                self.story.ended = Some(Instant::now());
                self.story.end = end;
                self.read_attempts().await;
                return;
            }
            pause.wait().await;
        }
    }

    /// One look at the operation: its end, if it has ended.
    async fn fetch(&mut self) -> Option<End> {
        let url = self.url(&format!("/api/{}", self.story.id));
        let request = self.client().get(url).header("accept", "image/*");
        let seen = look(request, self.kind()).await;
        match &seen {
            Seen::Nothing(_) => self.server += 1,
            Seen::Unknown => self.note_missing("GET"),
            _ => {}
        }
        let end = match seen {
            Seen::Nothing(what) | Seen::Pending(what) => {
                self.story.end = End::Unfinished(what);
                return None;
            }
            Seen::Unknown => {
                self.story.end = End::Unfinished("404".to_owned());
                return None;
            }
            Seen::Result => End::Done,
            Seen::Wrong(what) => {
                self.story.wrong.push(what);
                End::Done
            }
            Seen::Failed(reason) => End::Failed(reason),
            Seen::Gone => {
                if !self.shared.may_fail {
                    let wrong = "410, although nobody erased it";
                    self.story.wrong.push(wrong.to_owned());
                }
                End::Failed("410".to_owned())
            }
        };
        Some(end)
    }

    fn note_missing(&mut self, method: &str) {
        let after = self.story.accepted.unwrap().elapsed();
        let when = format!(
            "{method} got 404 {:.1} s after the 201",
            after.as_secs_f32()
        );
        self.story.missing.push(when);
    }

    async fn read_attempts(&mut self) {
        for _ in 0..20 {
            let url = self.url(&format!("/api/{}/status", self.story.id));
            let answer = timeout(GET, self.client().get(url).send()).await;
            if let Ok(Ok(response)) = answer
                && response.status() == StatusCode::OK
                && let Ok(answer) = response.json::<Value>().await
            {
                self.story.attempts = answer["attempts"].as_u64().unwrap_or(0);
                return;
            }
            self.server += 1;
            sleep(LONGEST_PAUSE).await;
        }
    }

    /// Erases the operation; from then on, nobody may see it.
    async fn erase(&mut self) {
        let path = format!("/api/{}", self.story.id);
        let mut pause = Pause(FIRST_PAUSE);
        loop {
            if self.is_over() {
                return;
            }
            let request = self.client().delete(self.url(&path));
            match timeout(GET, request.send()).await {
                Ok(Ok(response)) if response.status() == StatusCode::OK => break,
                Ok(Ok(response)) if response.status() == StatusCode::NOT_FOUND => {
                    self.note_missing("DELETE");
                    self.story.end = End::Unfinished("404 to its erasure".to_owned());
                }
                Ok(Ok(response)) => {
                    let status = response.status();
                    self.story.end = End::Unfinished(format!("{status} to its erasure"));
                }
                _ => self.story.end = End::Unfinished("no answer to its erasure".to_owned()),
            }
            self.server += 1;
            pause.wait().await;
        }
        let erased = Instant::now();
        self.story.ended = Some(erased);
        self.story.end = End::Erased;
        for _ in 0..4 {
            let request = self
                .client()
                .get(self.url(&path))
                .header("accept", "image/*");
            match look(request, self.kind()).await {
                Seen::Gone | Seen::Nothing(_) => {}
                Seen::Unknown => self.note_missing("GET"),
                seen => {
                    let after = erased.elapsed().as_secs_f32();
                    let visible = format!("{seen:?} {after:.1} s after its erasure");
                    self.story.visible.push(visible);
                }
            }
            self.server += 1;
            pause.wait().await;
        }
    }
}

/// One answer to a look at an operation.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// No answer, or one that says nothing about the operation.
    Nothing(String),
    Unknown,
    Pending(String),
    Result,
    Wrong(String),
    Failed(String),
    Gone,
}

pub(crate) async fn look(request: RequestBuilder, kind: &Kind) -> Seen {
    let answered = timeout(GET, async {
        let response = request.send().await?;
        let status = response.status();
        Ok::<_, reqwest::Error>((status, response.bytes().await?))
    });
    let Ok(Ok((status, body))) = answered.await else {
        return Seen::Nothing("no answer".to_owned());
    };
    let text = |name: &str| {
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        body[name].as_str().unwrap_or("?").to_owned()
    };
    match (status.as_u16(), &kind.expected) {
        (200, Some(expected)) if body == expected.as_slice() => Seen::Result,
        (200, Some(expected)) => Seen::Wrong(format!(
            "the result has {} other bytes; {} were expected",
            body.len(),
            expected.len()
        )),
        (200, None) => Seen::Wrong("a damaged picture has a result".to_owned()),
        (202, _) => Seen::Pending(text("status")),
        (404, _) => Seen::Unknown,
        (410, _) => Seen::Gone,
        (422, _) => Seen::Failed(text("detail")),
        (500.., _) | (408 | 429, _) => Seen::Nothing(status.to_string()),
        _ => Seen::Wrong(format!("an answer of {status}")),
    }
}
