//! A small W3C WebDriver client with the few commands that these tests need. A client crate would
//! add thirty dependencies, and some of them would make other crates compile twice.

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The JSON key of an element's reference in WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys without a letter (WebDriver, section 17.4.2).
pub(crate) const BACKSPACE: char = '\u{e003}';
pub(crate) const TAB: char = '\u{e004}';
pub(crate) const ENTER: char = '\u{e007}';
pub(crate) const SHIFT: char = '\u{e008}';
pub(crate) const LEFT: char = '\u{e012}';
pub(crate) const RIGHT: char = '\u{e014}';

/// A key that goes down or up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stroke {
    Down(char),
    Up(char),
}

/// A browser with one window. A failed command panics with the driver's message.
pub(crate) struct Browser {
    http: Client,
    /// `http://127.0.0.1:PORT/session/ID`
    session: String,
}

impl Browser {
    /// Starts a browser through the driver at this port.
    pub(crate) async fn start(port: u16, capabilities: &Value) -> Self {
        let http = Client::new();
        let sessions = format!("http://127.0.0.1:{port}/session");
        let wanted = json!({"capabilities": {"alwaysMatch": capabilities}});
        let started = send(&http, Method::POST, &sessions, Some(wanted)).await;
        let id = started["sessionId"].as_str().expect("a session");
        Self {
            http,
            session: format!("{sessions}/{id}"),
        }
    }

    pub(crate) async fn close(&self) {
        send(&self.http, Method::DELETE, &self.session, None).await;
    }

    pub(crate) async fn goto(&self, address: &str) {
        self.post("/url", json!({"url": address})).await;
    }

    /// Types into the element with this ID, or sets the path of a file input.
    pub(crate) async fn send_keys(&self, id: &str, text: &str) {
        let element = self.element(id).await;
        self.post(&format!("{element}/value"), json!({"text": text}))
            .await;
    }

    pub(crate) async fn clear(&self, id: &str) {
        let element = self.element(id).await;
        self.post(&format!("{element}/clear"), json!({})).await;
    }

    pub(crate) async fn click(&self, id: &str) {
        let element = self.element(id).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// The visible text of an element.
    pub(crate) async fn text(&self, id: &str) -> String {
        let element = self.element(id).await;
        let text = self.get(&format!("{element}/text")).await;
        text.as_str().expect("a text").to_owned()
    }

    /// The value of a field.
    pub(crate) async fn value(&self, id: &str) -> String {
        let element = self.element(id).await;
        let value = self.get(&format!("{element}/property/value")).await;
        value.as_str().unwrap_or_default().to_owned()
    }

    /// The return value of a script.
    pub(crate) async fn execute(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.post("/execute/sync", body).await
    }

    /// The value that a script passes to its last argument.
    pub(crate) async fn execute_async(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.post("/execute/async", body).await
    }

    /// Presses and releases keys at the current focus.
    pub(crate) async fn press(&self, strokes: impl IntoIterator<Item = Stroke>) {
        let strokes: Vec<Value> = strokes
            .into_iter()
            .map(|stroke| match stroke {
                Stroke::Down(key) => json!({"type": "keyDown", "value": key}),
                Stroke::Up(key) => json!({"type": "keyUp", "value": key}),
            })
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.post("/actions", json!({"actions": [keyboard]})).await;
    }

    /// The path of the element with this ID.
    async fn element(&self, id: &str) -> String {
        let wanted = json!({"using": "css selector", "value": format!("#{id}")});
        let found = self.post("/element", wanted).await;
        format!("/element/{}", found[ELEMENT].as_str().expect("an element"))
    }

    async fn get(&self, path: &str) -> Value {
        let address = format!("{}{path}", self.session);
        send(&self.http, Method::GET, &address, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let address = format!("{}{path}", self.session);
        send(&self.http, Method::POST, &address, Some(body)).await
    }
}

/// Sends a command and returns the `value` of its answer.
async fn send(http: &Client, method: Method, address: &str, body: Option<Value>) -> Value {
    let mut request = http.request(method, address);
    if let Some(body) = &body {
        request = request.json(body);
    }
    let response = request.send().await.expect("chromedriver answers");
    let status = response.status();
    let mut answer: Value = response.json().await.expect("an answer in JSON");
    assert!(
        status.is_success(),
        "{address} with {body:?}: {}: {}",
        answer["value"]["error"],
        answer["value"]["message"]
    );
    answer["value"].take()
}
