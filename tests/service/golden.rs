//! Tests the wire form of events against files that never change, so that every later version can
//! read today's logs.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use picresize::event::{
    Completed, Erased, Event, EventBody, Failed, PicturePayload, Record, Started,
};
use picresize::operation::{Digest, Format, PictureFacts, ResizeOptions, Tenant};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events")
}

/// The key, a line for each header, an empty line, and the value.
fn text(record: &Record) -> String {
    let mut text = format!("{}\n", record.key);
    for (name, value) in &record.headers {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value));
    }
    text + "\n" + &String::from_utf8_lossy(&record.value)
}

fn record(text: &str) -> Record {
    let (head, value) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let key = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.as_bytes().to_vec())
    });
    Record {
        key,
        headers: headers.collect(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn facts(format: Format, bytes: &[u8]) -> PictureFacts {
    PictureFacts {
        format,
        width: 640,
        height: 480,
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

fn event(body: EventBody) -> Event {
    Event {
        id: "01939a5e-6f0e-7d31-8d43-2f6c1f0f7b12".to_owned(),
        time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        operation: "01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11".parse().unwrap(),
        tenant: Tenant::default(),
        trace_parent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        body,
    }
}

fn requested(picture: PicturePayload) -> Event {
    let options = [("width", "320"), ("fit", "cover"), ("max_bytes", "9000")];
    event(EventBody::Requested {
        request: ResizeOptions::from_pairs(options).unwrap(),
        source: facts(Format::Jpeg, b"picture"),
        picture,
    })
}

fn events() -> Vec<(&'static str, Event)> {
    let (worker, engine) = ("host-17".to_owned(), "1".to_owned());
    vec![
        (
            "requested-carried",
            requested(PicturePayload::Carried(Bytes::from_static(b"picture"))),
        ),
        ("requested-deposited", requested(PicturePayload::ClaimCheck)),
        (
            "started",
            event(EventBody::Started(Started {
                worker: worker.clone(),
                attempt: 1,
            })),
        ),
        (
            "completed",
            event(EventBody::Completed(Completed {
                source: facts(Format::Jpeg, b"picture"),
                result: facts(Format::Webp, b"result"),
                worker: worker.clone(),
                engine: engine.clone(),
                elapsed_milliseconds: Some(12),
            })),
        ),
        (
            "failed",
            event(EventBody::Failed(Failed {
                reason: "the picture is cut short".to_owned(),
                retryable: false,
                worker,
                engine,
            })),
        ),
        ("erased", event(EventBody::Erased(Erased {}))),
    ]
}

#[test]
fn events_are_written_and_read_as_ever() {
    for (name, event) in events() {
        let golden = std::fs::read_to_string(folder().join(name)).unwrap();
        assert_eq!(text(&event.to_record()), golden, "{name}");
        assert_eq!(Event::from_record(&record(&golden)).unwrap(), event);
    }
}

#[test]
fn a_dead_letter_is_the_record_with_its_reason() {
    let golden = std::fs::read_to_string(folder().join("dead-letter")).unwrap();
    let event = requested(PicturePayload::Carried(Bytes::from_static(b"picture")));
    let came = event.to_record();
    let letter = came.clone().set_aside("no such type is known");
    assert_eq!(text(&letter), golden);
    let letter = record(&golden);
    let reason = letter.set_aside_reason();
    assert_eq!(reason.as_deref(), Some("no such type is known"));
    assert_eq!(letter.put_back(), came);
}

#[test]
fn what_is_added_is_ignored_and_what_is_new_is_refused() {
    for (name, event) in events() {
        let mut more = event.to_record();
        more.headers
            .push(("ce_imagined".to_owned(), b"later".to_vec()));
        if let Some(data) = more.value.strip_prefix(b"{\"") {
            more.value = [b"{\"imagined\":[1],\"", data].concat().into();
        }
        assert_eq!(Event::from_record(&more).unwrap(), event, "{name}");
        for (header, value) in [
            ("ce_specversion", "2.0"),
            ("ce_type", "resize.requested.v2"),
        ] {
            let mut newer = event.to_record();
            for (key, old) in &mut newer.headers {
                if key == header {
                    *old = value.into();
                }
            }
            let error = Event::from_record(&newer).unwrap_err().to_string();
            assert!(error.contains(header) && error.contains(value), "{error}");
        }
    }
}
