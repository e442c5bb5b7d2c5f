//! The page with a key, and pages of other sites.

use std::io::{Read, Write};
use std::net::TcpListener;

use picresize::access::{Key, KeyFile, KeyText};
use serde_json::{Value, json};

use super::{DESKTOP, Stage, png_size};

#[tokio::test]
async fn the_page_asks_for_a_key_and_makes_links_without_one() {
    let text = KeyText::generate().expect("a key");
    let opened = Stage::open_with(DESKTOP, |data| {
        let key = Key::new("page", &text).expect("a name");
        let file = KeyFile::at(data.join("keys"));
        file.add(&key).expect("a file of keys");
    });
    let Some(stage) = opened.await else {
        return;
    };
    let page = &stage.page;
    page.pick(&stage.picture("harbour.png", 64, 48)).await;
    page.fill("width", "32").await;
    page.click("send").await;
    page.until("$('key-dialog').open").await;
    let wrong = KeyText::generate().expect("a key");
    page.fill("key", wrong.expose()).await;
    page.click("key-use").await;
    page.until("$('key-dialog').open && $('key-reason').textContent")
        .await;
    page.fill("key", text.expose()).await;
    page.click("key-use").await;
    page.until("!$('download').hidden").await;

    page.click("share-copy").await;
    page.until("$('share').value").await;
    let link = page.value("share").await;
    let bytes = reqwest::get(&link).await.expect("an answer");
    assert_eq!(bytes.status(), 200, "{link}");
    assert_eq!(png_size(&bytes.bytes().await.expect("a picture")), (32, 24));
    stage.close().await;
}

/// A page of another site: the same machine by another name and port.
fn foreign_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!(
        "http://localhost:{}",
        listener.local_addr().expect("it").port()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut header = [0; 4096];
            let _ = stream.read(&mut header);
            let body = "<!doctype html><title>elsewhere</title><h1>Elsewhere</h1>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_the_service() {
    let Some(stage) = Stage::open(DESKTOP).await else {
        return;
    };
    let page = &stage.page;
    page.pick(&stage.picture("harbour.png", 64, 48)).await;
    page.fill("width", "32").await;
    page.click("send").await;
    page.until("!$('download').hidden").await;
    let id = page.text("identifier").await;
    let service = &stage.address;

    page.goto(&foreign_page()).await;
    let tried = page
        .script(&format!(
            "return (async () => {{
                 const canvas = document.createElement('canvas');
                 const body = await new Promise((made) => canvas.toBlob(made));
                 const attempt = (path, init) => fetch('{service}' + path, init).then(
                     async (answer) => answer.type === 'opaque' ? 'opaque' : `read ${{answer.status}}`,
                     () => 'refused');
                 const image = (path) => new Promise((told) => {{
                     const shown = new Image();
                     shown.onload = () => told('shown');
                     shown.onerror = () => told('refused');
                     shown.src = '{service}' + path;
                 }});
                 return {{
                     post: await attempt('/api/?width=20', {{ method: 'POST', body }}),
                     simple: await attempt('/api/?width=21', {{ method: 'POST', body: 'x', mode: 'no-cors' }}),
                     erase: await attempt('/api/{id}', {{ method: 'DELETE' }}),
                     lookup: await attempt('/api/lookup', {{ method: 'POST', body }}),
                     read: await attempt('/api/{id}'),
                     image: await image('/api/{id}'),
                 }};
             }})()"
        ))
        .await;
    for what in ["post", "erase", "lookup", "read", "image"] {
        assert_eq!(tried[what], Value::from("refused"), "{tried}");
    }
    // A page cannot see the answer to such a request, so whether it did anything is asked for below.
    assert_ne!(tried["simple"], json!("read 201"), "{tried}");

    // A form of the other site leads here, and is refused.
    page.script(&format!(
        "const form = document.createElement('form');
         Object.assign(form, {{ method: 'post', action: '{service}/api/?width=22', enctype: 'multipart/form-data' }});
         const field = Object.assign(document.createElement('input'), {{ name: 'image', value: 'x' }});
         form.append(field);
         document.body.append(form);
         form.submit();"
    ))
    .await;
    page.until("document.body.textContent.includes('foreign-origin')")
        .await;

    let status = reqwest::get(format!("{service}/api/{id}/status")).await;
    assert_eq!(
        status.expect("an answer").status(),
        200,
        "nothing was erased"
    );
    stage.close().await;
}
