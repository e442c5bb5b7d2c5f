//! Tests the web page in a real browser: Chromium, driven through chromedriver, with the real
//! program.
//!
//! If either of the two is missing, the tests report that and pass, except with `CI=true`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

#[path = "page/access.rs"]
mod access;
#[path = "page/webdriver.rs"]
mod webdriver;

use webdriver::{BACKSPACE, Browser, ENTER, LEFT, RIGHT, SHIFT, Stroke, TAB};

/// The limit of every wait: far more than any step takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (360, 740);

#[tokio::test]
async fn a_picture_is_picked_resized_shown_downloaded_and_opened_again() {
    let Some(stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let page = &stage.page;
    let picture = stage.picture("harbour.png", 640, 480);
    page.pick(&picture).await;
    assert_eq!(page.text("picture-name").await, "harbour.png");
    assert!(page.text("picture-facts").await.starts_with("640 × 480"));

    page.fill("width", "320").await;
    assert_eq!(
        page.value("height").await,
        "240",
        "the lock fills the height"
    );
    page.fill("height", "120").await;
    assert_eq!(page.value("width").await, "160", "the lock fills the width");
    page.click("lock").await;
    page.fill("width", "200").await;
    assert_eq!(
        page.value("height").await,
        "120",
        "without the lock it stays"
    );

    page.click("send").await;
    page.until("!$('download').hidden").await;
    let before = std::fs::metadata(&picture).unwrap().len();
    assert_eq!(page.text("from-pixels").await, "640 × 480");
    assert_eq!(page.text("to-pixels").await, "200 × 120");
    assert_eq!(page.text("to-format").await, "PNG");
    assert_eq!(page.natural_size("before").await, (640, 480));
    assert_eq!(page.natural_size("after").await, (200, 120));

    page.click("download").await;
    let bytes = stage.downloaded("harbour-200x120.png").await;
    assert_eq!(png_size(&bytes), (200, 120));
    assert_eq!(page.text("from-bytes").await, bytes_text(before));
    assert_eq!(page.text("to-bytes").await, bytes_text(bytes.len() as u64));
    assert_eq!(
        page.text("headline").await,
        change_text(before, bytes.len() as u64)
    );

    let id = page.text("identifier").await;
    let link = page.value("link").await;
    assert_eq!(link, format!("{}/result?id={id}", stage.address));
    page.goto(&link).await;
    page.until("!$('download').hidden").await;
    assert_eq!(page.natural_size("after").await, (200, 120));
    assert_eq!(
        page.text("from-pixels").await,
        "640 × 480",
        "told by the service"
    );
    assert!(
        page.is("$('before-figure').hidden").await,
        "the original is not stored"
    );
    page.click("history").await;
    assert!(
        page.text("history-list")
            .await
            .contains("width 200, height 120")
    );

    page.goto(&stage.address).await;
    assert_eq!(page.text("recent-list").await, "harbour.png\n200 × 120");
    stage.close().await;
}

#[tokio::test]
async fn a_picture_can_be_dropped_or_pasted() {
    let Some(stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let page = &stage.page;
    for (event, carrier) in [
        ("DragEvent('drop'", "dataTransfer"),
        ("ClipboardEvent('paste'", "clipboardData"),
    ] {
        let name = format!("{carrier}.png");
        page.is(&format!(
            "(() => {{
                const canvas = Object.assign(document.createElement('canvas'), {{ width: 60, height: 40 }});
                const bytes = Uint8Array.from(atob(canvas.toDataURL().split(',')[1]), (c) => c.charCodeAt(0));
                const carried = new DataTransfer();
                carried.items.add(new File([bytes], '{name}', {{ type: 'image/png' }}));
                return document.body.dispatchEvent(new {event}, {{ {carrier}: carried, bubbles: true, cancelable: true }}));
            }})()"
        ))
        .await;
        page.until("$('picture-facts').textContent.startsWith('60')")
            .await;
        assert_eq!(page.text("picture-name").await, name);
    }
    stage.close().await;
}

#[tokio::test]
async fn what_is_wrong_stands_where_it_is_wrong() {
    let Some(stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let page = &stage.page;

    page.fill("width", "100").await;
    page.click("send").await;
    assert_eq!(page.text("picture-error").await, "Choose a picture first");
    assert_eq!(page.focus().await, "picture");

    page.pick(&stage.picture("harbour.png", 64, 48)).await;
    assert!(
        page.is("$('picture-error').hidden").await,
        "a new picture clears the error"
    );
    for (width, words) in [
        ("0", "0 is too small"),
        ("1.5", "not a whole number"),
        ("abc", "not a whole number"),
    ] {
        page.fill("width", width).await;
        page.click("send").await;
        let shown = page.text("width-error").await;
        assert!(shown.contains(words), "{width}: {shown}");
        assert_eq!(page.focus().await, "width");
        assert!(
            page.is("$('width').getAttribute('aria-invalid') === 'true'")
                .await
        );
        assert!(
            page.is("$('width').getAttribute('aria-describedby') === 'width-error'")
                .await
        );
    }

    // Refused by the service, and shown at the field.
    page.fill("width", "999999").await;
    page.click("send").await;
    page.until("$('width-error').textContent.includes('999999')")
        .await;
    assert_eq!(page.focus().await, "width");
    assert!(page.is("location.pathname === '/'").await);

    let notes = stage.folder.path().join("notes.txt");
    std::fs::write(&notes, "This is no picture.").unwrap();
    page.pick(&notes).await;
    page.fill("width", "100").await;
    page.click("send").await;
    page.until("!$('picture-error').hidden").await;
    assert_eq!(page.focus().await, "picture");

    for id in ["01890a5d-ac96-774b-bcce-b302099a8057", "nonsense", ""] {
        page.goto(&format!("{}/result?id={id}", stage.address))
            .await;
        page.until("['No such picture here', 'This link is incomplete'].includes($('headline').textContent)")
            .await;
        assert!(!page.text("subline").await.is_empty());
        assert!(page.is("$('download').hidden").await);
    }
    stage.close().await;
}

#[tokio::test]
async fn a_service_that_is_away_is_said_and_can_be_tried_again() {
    let Some(mut stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let picture = stage.picture("harbour.png", 64, 48);
    stage.page.pick(&picture).await;
    stage.page.fill("width", "32").await;
    stage.server.kill().await.unwrap();
    stage.page.click("send").await;
    stage.page.until("$('alert').querySelector('button')").await;
    assert!(
        stage
            .page
            .text("alert")
            .await
            .contains("could not be reached")
    );
    assert_eq!(
        stage.page.value("width").await,
        "32",
        "nothing typed is lost"
    );
    stage.close().await;
}

#[tokio::test]
async fn the_keyboard_alone_is_enough() {
    let Some(stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let page = &stage.page;
    let picture = stage.picture("harbour.png", 640, 480);

    page.tab_to("picture").await;
    // A driver can't use the system's file dialog, which the space bar opens.
    page.pick(&picture).await;
    page.until("$('picture-facts').textContent.startsWith('640')")
        .await;

    page.tab_to("width").await;
    page.press("300").await;
    page.tab_to("lock").await;
    page.press(" ").await;
    page.tab_to("height").await;
    page.press(&format!("{}100", backspaces(3))).await;
    page.tab_to("summary").await;
    page.press(&enter()).await;
    page.tab_to("fit=fill").await;
    page.press(&RIGHT.to_string()).await;
    assert_eq!(page.focus().await, "fit=cover");
    page.tab_to("format").await;
    page.press("J").await;
    page.tab_to("quality").await;
    page.press(&LEFT.to_string()).await;
    assert_eq!(page.text("quality-says").await, "79");
    page.tab_to("send").await;
    page.press(&enter()).await;

    page.until("!$('download').hidden").await;
    assert_eq!(page.focus().await, "headline");
    assert!(
        page.is("$('live').textContent.startsWith('Done: 300')")
            .await,
        "announced"
    );
    page.tab_to("download").await;
    page.press(&enter()).await;
    let bytes = stage.downloaded("harbour-300x100.jpg").await;
    assert!(bytes.starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    assert_eq!(page.natural_size("after").await, (300, 100));

    page.back_to("view=beside").await;
    page.press(&RIGHT.to_string()).await;
    page.tab_to("cut").await;
    page.press(&LEFT.to_string()).await;
    assert!(
        page.is("$('wipe').style.getPropertyValue('--cut') === '49%'")
            .await
    );

    page.tab_to("adjust").await;
    page.press(&enter()).await;
    assert_eq!(page.focus().await, "width");
    assert_eq!(
        page.value("height").await,
        "100",
        "the form is as it was left"
    );
    stage.close().await;
}

#[tokio::test]
async fn nothing_overflows_on_a_phone() {
    let Some(stage) = Stage::open(PHONE).await else {
        return;
    };
    let page = &stage.page;
    page.fits("empty").await;
    page.click("send").await;
    page.fits("with errors").await;
    let name = format!("{}.png", "a-rather-long-name-".repeat(6));
    page.pick(&stage.picture(&name, 640, 480)).await;
    page.fill("width", "12345").await;
    page.is("$('options').open = true").await;
    page.fits("filled").await;
    page.fill("width", "320").await;
    page.click("send").await;
    page.until("!$('download').hidden").await;
    page.is("$('history').open = true").await;
    page.fits("done").await;
    page.is("document.querySelector('[value=compare]').click()")
        .await;
    page.fits("comparing").await;
    page.goto(&stage.address).await;
    page.fits("with a recent operation").await;
    stage.close().await;
}

/// The program, a browser that shows its page, and a folder for pictures and downloads.
struct Stage {
    page: Page,
    /// `http://127.0.0.1:PORT`
    address: String,
    folder: TempDir,
    server: Child,
    driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// `None`, with the reason printed, if there is no browser.
    async fn open(size: (u32, u32)) -> Option<Self> {
        Self::open_with(size, |_| {}).await
    }

    /// The same after the data folder was prepared.
    async fn open_with((width, height): (u32, u32), prepare: impl FnOnce(&Path)) -> Option<Self> {
        // Browsers are heavy: one at a time.
        static TURN: Mutex<()> = Mutex::const_new(());

        let driver = program(&["chromedriver"]);
        let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
        let (Some(driver), Some(browser)) = (driver, browser) else {
            eprintln!("SKIPPED: chromedriver or chromium is not on the PATH");
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "CI has to have a browser"
            );
            return None;
        };
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(&folder.path().join("data"));
        let (server, address) = serve(folder.path()).await;
        let driver = Driver::start(&driver).await;
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": browser,
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
                "mobileEmulation": {
                    "deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0, "touch": false, "mobile": width < 600},
                },
                "prefs": {"download.default_directory": folder.path().join("downloads")},
            },
            "timeouts": {"script": (2 * PATIENCE).as_millis() as u64},
        });
        let page = Page {
            browser: Browser::start(driver.port, &capabilities).await,
        };
        page.goto(&address).await;
        Some(Self {
            page,
            address,
            folder,
            server,
            driver,
            _turn: turn,
        })
    }

    /// A PNG of this size: two gradients and a checkerboard, so that it neither compresses to
    /// nothing nor looks the same everywhere.
    fn picture(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let check = ((x / 8 + y / 8) % 2 * 90) as u8;
                pixels.extend([(x * 255 / width) as u8, (y * 255 / height) as u8, check]);
            }
        }
        let path = self.folder.path().join(name);
        let file = std::fs::File::create(&path).expect("a picture file");
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().expect("a PNG header");
        writer.write_image_data(&pixels).expect("PNG data");
        writer.finish().expect("a whole PNG");
        path
    }

    /// The bytes of a download once it is complete. Until then it has another name.
    async fn downloaded(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join("downloads").join(name);
        let appears = async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            while !path.exists() {
                looks.tick().await;
            }
        };
        let appeared = tokio::time::timeout(PATIENCE, appears).await;
        appeared.unwrap_or_else(|_| panic!("{name} was not downloaded"));
        std::fs::read(&path).expect("the download")
    }

    async fn close(self) {
        self.page.browser.close().await;
        drop(self.driver);
    }
}

/// The open page. Elements are found by their ids.
struct Page {
    browser: Browser,
}

impl Page {
    async fn goto(&self, address: &str) {
        self.browser.goto(address).await;
    }

    async fn pick(&self, path: &Path) {
        let path = path.to_str().expect("a UTF-8 path");
        self.browser.send_keys("picture", path).await;
        let name = path.rsplit('/').next().unwrap_or(path);
        self.until(&format!("$('picture-name').textContent === '{name}'"))
            .await;
        self.until("!$('preview').hidden || !$('no-preview').hidden")
            .await;
    }

    async fn fill(&self, id: &str, text: &str) {
        self.browser.clear(id).await;
        self.browser.send_keys(id, text).await;
    }

    async fn click(&self, id: &str) {
        self.browser.click(id).await;
    }

    /// The visible text, with plain spaces.
    async fn text(&self, id: &str) -> String {
        self.browser.text(id).await.replace('\u{a0}', " ")
    }

    async fn value(&self, id: &str) -> String {
        self.browser.value(id).await
    }

    /// The size of an image in pixels, independent of its size on the page.
    async fn natural_size(&self, id: &str) -> (u64, u64) {
        let size = self
            .script(&format!(
                "return [$('{id}').naturalWidth, $('{id}').naturalHeight]"
            ))
            .await;
        (
            size[0].as_u64().expect("a width"),
            size[1].as_u64().expect("a height"),
        )
    }

    /// The element with the focus: its id, `name=value` for one of a group, else its tag's name.
    async fn focus(&self) -> String {
        let focus = self
            .script(
                "const at = document.activeElement;
                 return at.id || (at.name ? `${at.name}=${at.value}` : at.localName)",
            )
            .await;
        focus.as_str().expect("a name").to_owned()
    }

    /// Presses the keys one after the other, at the current focus.
    async fn press(&self, keys: &str) {
        let strokes = keys
            .chars()
            .flat_map(|key| [Stroke::Down(key), Stroke::Up(key)]);
        self.browser.press(strokes).await;
    }

    /// Presses the tab key until `name` has the focus (see [`focus`](Self::focus)).
    async fn tab_to(&self, name: &str) {
        self.walk_to(name, &[Stroke::Down(TAB), Stroke::Up(TAB)])
            .await;
    }

    /// The same backwards.
    async fn back_to(&self, name: &str) {
        let stroke = [
            Stroke::Down(SHIFT),
            Stroke::Down(TAB),
            Stroke::Up(TAB),
            Stroke::Up(SHIFT),
        ];
        self.walk_to(name, &stroke).await;
    }

    async fn walk_to(&self, name: &str, stroke: &[Stroke]) {
        let mut passed = Vec::new();
        while passed.len() < 20 {
            self.browser.press(stroke.iter().copied()).await;
            passed.push(self.focus().await);
            if passed.last().is_some_and(|at| at == name) {
                return;
            }
        }
        panic!("{name} was not reached by the tab key, only {passed:?}");
    }

    async fn is(&self, condition: &str) -> bool {
        self.script(&format!("return Boolean({condition})")).await == Value::Bool(true)
    }

    /// Waits inside the page until the condition holds.
    async fn until(&self, condition: &str) {
        let script = format!(
            "const $ = (id) => document.getElementById(id);
             const done = arguments[arguments.length - 1];
             const end = performance.now() + {};
             const look = () => {{
                 if ({condition}) done('');
                 else if (performance.now() > end) done(document.body.innerText);
                 else setTimeout(look, 10);
             }};
             look();",
            PATIENCE.as_millis(),
        );
        let seen = self.browser.execute_async(&script).await;
        assert_eq!(seen, json!(""), "waited in vain for {condition}");
    }

    /// Checks that nothing is wider than the window.
    async fn fits(&self, state: &str) {
        let widths = self
            .script("return [document.documentElement.scrollWidth, innerWidth]")
            .await;
        assert_eq!(widths, json!([PHONE.0, PHONE.0]), "{state}");
    }

    async fn script(&self, script: &str) -> Value {
        let script = format!("const $ = (id) => document.getElementById(id); {script}");
        self.browser.execute(&script).await
    }
}

/// chromedriver, which ends its browsers when it is shut down.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    async fn start(path: &Path) -> Self {
        let mut child = Command::new(path)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts");
        let said = said_after(child.stdout.take(), "started successfully on port ").await;
        let port = said
            .trim_end_matches('.')
            .parse()
            .expect("chromedriver's port");
        Self { child, port }
    }
}

impl Drop for Driver {
    /// Shuts it down, also when a test panics: killed, it would leave its browsers running.
    fn drop(&mut self) {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return;
        };
        let bounded = connection.set_read_timeout(Some(Duration::from_secs(10)));
        let request = format!(
            "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.port
        );
        if bounded.is_ok() && connection.write_all(request.as_bytes()).is_ok() {
            // It answers first, and closes the connection when it has ended.
            let _ = connection.read_to_end(&mut Vec::new());
        }
        let _ = self.child.start_kill();
    }
}

/// Starts the program on a free port, in a folder without settings.
async fn serve(folder: &Path) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_picresize"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let address = said_after(server.stdout.take(), "picresize is ready at ").await;
    (server, address)
}

/// The text after `words` on the first line that has them. Keeps reading in the background, so that
/// the writer never blocks.
async fn said_after(
    output: Option<impl AsyncRead + Send + Unpin + 'static>,
    words: &str,
) -> String {
    let mut lines = BufReader::new(output.expect("a captured output")).lines();
    let found = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.expect("readable output") {
            if let Some((_, rest)) = line.split_once(words) {
                return rest.trim().to_owned();
            }
        }
        panic!("it ended without saying {words:?}");
    });
    let said = found
        .await
        .unwrap_or_else(|_| panic!("it never said {words:?}"));
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    said
}

/// The path of the first of these programs that is on the `PATH`.
fn program(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

fn png_size(bytes: &[u8]) -> (u32, u32) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .expect("a PNG header");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size that fits")];
    let info = reader.next_frame(&mut pixels).expect("whole PNG data");
    (info.width, info.height)
}

/// A number of bytes in the page's format, for the small numbers of these tests.
fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..9950 => format!("{:.1} kB", bytes as f64 / 1e3).replace(".0 ", " "),
        _ => format!("{:.0} kB", bytes as f64 / 1e3),
    }
}

fn change_text(before: u64, after: u64) -> String {
    format!(
        "{:.0}% smaller",
        (1.0 - after as f64 / before as f64) * 100.0
    )
}

fn enter() -> String {
    ENTER.to_string()
}

fn backspaces(count: usize) -> String {
    BACKSPACE.to_string().repeat(count)
}
