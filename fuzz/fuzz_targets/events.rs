//! A record of the log, in the form of the files in `tests/golden/events`: the key, a line for each
//! header, an empty line, and the value. An event that can be read is written and read again as the
//! same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use picresize::event::{Event, Record};
use picresize_fuzz::bounded;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(record) = record(input) else {
        return Corpus::Reject;
    };
    let read = bounded(input.len(), 8, 64 << 10, || Event::from_record(&record));
    if let Ok(event) = read {
        let written = event.to_record();
        let again = Event::from_record(&written).expect("what was written can be read");
        assert_eq!(again, event);
        assert_eq!(again.to_record(), written);
    }
    if record.set_aside_reason().is_none() {
        let set_aside = record.clone().set_aside("a reason");
        assert_eq!(set_aside.set_aside_reason().as_deref(), Some("a reason"));
        assert_eq!(set_aside.put_back(), record);
    }
    Corpus::Keep
});

fn record(input: &[u8]) -> Option<Record> {
    let end = memchr::memmem::find(input, b"\n\n")?;
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let key = text(lines.next()?);
    let headers = lines.filter_map(|line| {
        let at = memchr::memmem::find(line, b": ")?;
        Some((text(&line[..at]), line[at + 2..].to_vec()))
    });
    Some(Record {
        key,
        headers: headers.collect(),
        value: Bytes::copy_from_slice(&input[end + 2..]),
    })
}
