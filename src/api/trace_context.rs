//! Reads the trace that a request belongs to (W3C Trace Context) from its `traceparent` header.

use axum::http::HeaderMap;

const TRACE_PARENT: &str = "traceparent";
/// Bytes of the header's four fields in version 00: `00-<trace>-<parent>-<flags>`.
const LENGTH: usize = 55;

/// The `traceparent` of a request, if it has exactly one valid one. An invalid one is not an error:
/// a new trace begins.
pub(super) fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(TRACE_PARENT).iter();
    let (value, None) = (all.next()?.to_str().ok()?, all.next()) else {
        return None;
    };
    is_valid(value).then(|| value.to_owned())
}

/// Section 3.2 of the recommendation. Later versions may append fields.
fn is_valid(value: &str) -> bool {
    if !value.is_ascii() || value.len() < LENGTH || value.len() > 2 * LENGTH {
        return false;
    }
    let (fields, rest) = value.split_at(LENGTH);
    let fields: Vec<&str> = fields.split('-').collect();
    let [version, trace, parent, flags] = fields[..] else {
        return false;
    };
    let is_hex = |field: &str, length| {
        field.len() == length
            && field
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let ends_well = rest.is_empty() || (version != "00" && rest.starts_with('-'));
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
        && ends_well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_trace_parents_are_taken() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        for (value, expected) in [
            (format!("00-{trace}-{parent}-01"), true),
            (format!("cc-{trace}-{parent}-01-later"), true),
            (format!("00-{trace}-{parent}-01-later"), false),
            (format!("cc-{trace}-{parent}-01later"), false),
            (format!("ff-{trace}-{parent}-01"), false),
            (format!("00-{}-{parent}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{parent}-01", trace.to_uppercase()), false),
            (format!("00-{trace}-{parent}-1"), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACE_PARENT, value.parse().unwrap());
            assert_eq!(trace_parent(&headers).is_some(), expected, "{value}");
            headers.append(TRACE_PARENT, value.parse().unwrap());
            assert_eq!(trace_parent(&headers), None, "two are none");
        }
    }
}
