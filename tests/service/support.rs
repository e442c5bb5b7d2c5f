//! Helpers of the tests: starting a server, making pictures, and finding real servers and pictures.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use picresize::processing::PixelProcesses;
use picresize::settings::Settings;
use picresize::storage::Storage;
use picresize::{api, worker};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a test waits before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A whole service in this process, with a folder of its own.
pub(crate) struct TestServer {
    pub url: String,
    pub client: Client,
    pub storage: Storage,
    pub settings: Settings,
    stop: CancellationToken,
    roles: JoinSet<()>,
    _folder: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A service with some settings changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.data.folder = folder.path().join("data");
        change(&mut settings);
        settings.check().unwrap();
        let storage = Storage::open(&settings).await.unwrap();
        Self::start_on(storage, settings, folder).await
    }

    /// A service without a worker, so nothing that it accepts is done.
    pub(crate) async fn start_api_only() -> Self {
        Self::start_api_only_with(|_| {}).await
    }

    /// The same with some settings changed.
    pub(crate) async fn start_api_only_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.data.folder = folder.path().join("data");
        change(&mut settings);
        let storage = Storage::open(&settings).await.unwrap();
        Self::start_roles(storage, settings, folder, false).await
    }

    /// A service on the given storage.
    pub(crate) async fn start_on(storage: Storage, settings: Settings, folder: TempDir) -> Self {
        Self::start_roles(storage, settings, folder, true).await
    }

    async fn start_roles(
        storage: Storage,
        settings: Settings,
        folder: TempDir,
        has_worker: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let processes = pixel_processes("on");
        let mut roles = JoinSet::new();
        {
            let (storage, processes) = (storage.clone(), processes.clone());
            let (settings, stop) = (settings.clone(), stop.clone());
            let address = listener.local_addr().unwrap();
            let access = api::Access::open(&settings, address).unwrap();
            roles.spawn(async move {
                api::serve(listener, storage, processes, &settings, access, stop)
                    .await
                    .unwrap();
            });
        }
        if has_worker {
            let (storage, settings, stop) = (storage.clone(), settings.clone(), stop.clone());
            roles.spawn(async move {
                worker::run(
                    storage,
                    processes,
                    &settings,
                    "test-worker".to_owned(),
                    stop,
                )
                .await
                .unwrap();
            });
        }
        Self {
            url,
            client: Client::new(),
            storage,
            settings,
            stop,
            roles,
            _folder: folder,
        }
    }

    /// Stops as a stop signal would, and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.roles.join_next().await {
            ended.unwrap();
        }
    }

    pub(crate) async fn post(&self, body: &Value) -> Response {
        post(&self.client, &self.url, body).await
    }

    /// Posts a picture with options; returns the ID that it was accepted under.
    pub(crate) async fn submit(&self, picture: &[u8], options: Value) -> String {
        submit(&self.client, &self.url, picture, options).await
    }

    /// Waits until an operation is done or failed; returns that answer.
    pub(crate) async fn wait(&self, id: &str) -> (StatusCode, Value) {
        wait(&self.client, &self.url, id).await
    }

    /// Posts a picture and waits for its result.
    pub(crate) async fn resize(&self, picture: &[u8], options: Value) -> Picture {
        let id = self.submit(picture, options).await;
        let (status, answer) = self.wait(&id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        Picture::of(&answer)
    }

    /// The full history of an operation.
    pub(crate) async fn story(&self, id: &str) -> Value {
        story(&self.client, &self.url, id).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.url);
        self.client.get(url).send().await.unwrap()
    }
}

/// Pixel processes of the program. `faults` is the value of the variable with which pictures can ask
/// for faults.
pub(crate) fn pixel_processes(faults: &str) -> PixelProcesses {
    let program = env!("CARGO_BIN_EXE_picresize").into();
    let variable = ("PICRESIZE_TEST_FAULTS".to_owned(), faults.into());
    PixelProcesses::of(program, vec![variable]).unwrap()
}

/// A picture that makes its pixel process misbehave.
pub(crate) fn with_fault(mut picture: Vec<u8>, fault: &str) -> Vec<u8> {
    // Decoders ignore what follows the end.
    picture.extend(format!("picresize-fault:{fault}").bytes());
    picture
}

/// A result, as the JSON answer has it.
pub(crate) struct Picture {
    pub bytes: Vec<u8>,
    pub content_type: String,
    pub width: u64,
    pub height: u64,
}

impl Picture {
    pub(crate) fn of(answer: &Value) -> Self {
        assert!(answer.get("status").is_none(), "a result has no status");
        Self {
            bytes: decode(answer["image"].as_str().unwrap()),
            content_type: answer["content_type"].as_str().unwrap().to_owned(),
            width: answer["width"].as_u64().unwrap(),
            height: answer["height"].as_u64().unwrap(),
        }
    }
}

/// The JSON form of a request.
pub(crate) fn request(picture: &[u8], options: Value) -> Value {
    let mut body = json!({"image": encode(picture)});
    let Value::Object(options) = options else {
        panic!("options are an object");
    };
    body.as_object_mut().unwrap().extend(options);
    body
}

pub(crate) async fn post(client: &Client, url: &str, body: &Value) -> Response {
    let request = client.post(format!("{url}/api/")).json(body);
    request.send().await.unwrap()
}

/// Posts a picture with options; returns the ID that it was accepted under.
pub(crate) async fn submit(client: &Client, url: &str, picture: &[u8], options: Value) -> String {
    let response = post(client, url, &request(picture, options)).await;
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["identifier"].as_str().unwrap().to_owned()
}

/// The full history of an operation.
pub(crate) async fn story(client: &Client, url: &str, id: &str) -> Value {
    let request = client.get(format!("{url}/api/{id}/status"));
    request.send().await.unwrap().json().await.unwrap()
}

pub(crate) async fn wait(client: &Client, url: &str, id: &str) -> (StatusCode, Value) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = client.get(format!("{url}/api/{id}"));
        let response = request.send().await.unwrap();
        let status = response.status();
        let answer = response.json().await.unwrap();
        if status != StatusCode::ACCEPTED {
            return (status, answer);
        }
        assert!(Instant::now() < deadline, "{id} is still {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// A PNG of soft colours, different for every seed.
pub(crate) fn png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let red = (x * 255 / width) as u8;
            let green = (y * 255 / height) as u8;
            let blue = ((x * y + seed * 37) % 256) as u8;
            pixels.extend([red, green, blue]);
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A PNG of noise, which no format compresses.
pub(crate) fn noise_png(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u64;
    let pixels: Vec<u8> = (0..width * height * 3)
        .map(|_| {
            // xorshift64 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Format, width and height of a picture.
pub(crate) fn facts(bytes: &[u8]) -> (String, u32, u32) {
    let info = picresize::imaging::inspect(bytes, &picresize::imaging::Limits::default()).unwrap();
    (info.format().to_string(), info.width(), info.height())
}

/// Width and height of a PNG, by the `png` crate.
pub(crate) fn png_size(bytes: &[u8]) -> (u32, u32) {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    (reader.info().width, reader.info().height)
}

/// A folder of real pictures, if it is available. CI requires it.
pub(crate) fn pictures(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PICRESIZE_PICTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/pictures"),
        PathBuf::from,
    );
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    skipped(&format!("{} is not there", path.display()));
    None
}

const KAFKA: &str = "PICRESIZE_TEST_KAFKA";
pub(crate) const KAFKA_SASL: &str = "PICRESIZE_TEST_KAFKA_SASL";
const KAFKA_ZOOKEEPER: &str = "PICRESIZE_TEST_KAFKA_ZOOKEEPER";
pub(crate) const MYSQL: &str = "PICRESIZE_TEST_MYSQL";
pub(crate) const MARIADB: &str = "PICRESIZE_TEST_MARIADB";

/// A Kafka cluster to test on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cluster {
    Kraft,
    ZooKeeper,
}

impl Cluster {
    /// Its address, if it is available.
    pub(crate) fn bootstrap_servers(self) -> Option<String> {
        match self {
            Self::Kraft => address(KAFKA, "Kafka"),
            Self::ZooKeeper => address(KAFKA_ZOOKEEPER, "Kafka with ZooKeeper"),
        }
    }
}

/// The address of a service that `scripts/services` starts. CI requires it.
pub(crate) fn address(variable: &str, service: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        skipped(&format!(
            "there is no {service} here: {variable} is not set (see scripts/services)"
        ));
    }
    address
}

/// Reports that something was not tested, and why. In CI that is a failure.
pub(crate) fn skipped(reason: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("SKIPPED: {reason}");
}

/// All files in a folder and its subfolders, in order.
pub(crate) fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
