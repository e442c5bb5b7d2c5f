//! Chooses between JSON and the picture's own bytes by the `Accept` header (RFC 9110, section
//! 12.5.1).

use axum::http::{HeaderMap, header};
use mediatype::names::{_STAR, APPLICATION, HTML, IMAGE, JSON, Q, TEXT};
use mediatype::{MediaType, MediaTypeList, ReadParams};

use super::problem::{Kind, Problem};

/// The form in which a result is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Picture,
}

/// How well a range of the header fits an offered type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `*/*`
    Any,
    /// `image/*`
    Type,
    /// `image/jpeg`
    Exact,
}

/// The form with the higher weight. On a tie it is the picture if the client names pictures or asks for
/// a page, otherwise JSON. A client whose header fits neither gets JSON, unless it only accepts pictures of
/// other types.
///
/// # Errors
///
/// [`Kind::NotAcceptable`] when the client accepts neither form.
pub(super) fn preferred_form(headers: &HeaderMap, content_type: &str) -> Result<Form, Problem> {
    let texts: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|value| value.to_str().unwrap_or("*/*"))
        .collect();
    // Malformed media ranges are ignored.
    let ranges: Vec<MediaType<'_>> = texts
        .iter()
        .flat_map(|text| MediaTypeList::new(text).flatten())
        .collect();

    let picture = MediaType::parse(content_type)
        .ok()
        .and_then(|offered| best(&ranges, &offered));
    let json = best(&ranges, &MediaType::new(APPLICATION, JSON));
    let accepts_others = ranges
        .iter()
        .any(|range| range.ty != IMAGE && weight(range) > 0);

    let refused = || {
        Problem::new(
            Kind::NotAcceptable,
            format!(
                "the result is {content_type}; ask for that, for image/* or for application/json"
            ),
        )
    };
    match (picture, json) {
        (None | Some((_, 0)), None) if ranges.is_empty() || accepts_others => Ok(Form::Json),
        (None | Some((_, 0)), None | Some((_, 0))) => Err(refused()),
        (None | Some((_, 0)), Some(_)) => Ok(Form::Json),
        (Some(_), None | Some((_, 0))) => Ok(Form::Picture),
        (Some((fit, picture)), Some((_, json))) => {
            // A browser that opens the address wants to see something.
            let is_page = ranges
                .iter()
                .any(|range| range.ty == TEXT && range.subty == HTML);
            let named = fit > Fit::Any || is_page;
            if picture > json || (picture == json && named) {
                Ok(Form::Picture)
            } else {
                Ok(Form::Json)
            }
        }
    }
}

/// The most specific range that fits, with its weight. `None` if no range fits.
fn best(ranges: &[MediaType<'_>], offered: &MediaType<'_>) -> Option<(Fit, u16)> {
    ranges
        .iter()
        .filter_map(|range| Some((fit(range, offered)?, weight(range))))
        .max()
}

fn fit(range: &MediaType<'_>, offered: &MediaType<'_>) -> Option<Fit> {
    if range.essence() == offered.essence() {
        Some(Fit::Exact)
    } else if range.subty != _STAR {
        None
    } else if range.ty == offered.ty {
        Some(Fit::Type)
    } else if range.ty == _STAR {
        Some(Fit::Any)
    } else {
        None
    }
}

/// The range's `q` in thousandths: it has at most three decimals. An invalid or missing `q` counts
/// as 1.
fn weight(range: &MediaType<'_>) -> u16 {
    range
        .get_param(Q)
        .and_then(|q| q.as_str().parse::<f32>().ok())
        .filter(|q| q.is_finite())
        .map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        preferred_form(&headers, "image/jpeg").ok()
    }

    #[test]
    fn the_accept_header_chooses_between_picture_and_json() {
        const JSON: Option<Form> = Some(Form::Json);
        const PICTURE: Option<Form> = Some(Form::Picture);
        for (accept, expected) in [
            // One kind of thing.
            ("", JSON),
            ("*/*", JSON),
            ("application/json", JSON),
            ("Application/JSON; charset=utf-8", JSON),
            ("application/*", JSON),
            ("image/*", PICTURE),
            ("image/jpeg", PICTURE),
            ("IMAGE/JPEG", PICTURE),
            // The highest weight wins.
            ("image/avif,image/webp,image/*,*/*;q=0.8", PICTURE),
            ("application/json, image/*;q=0.5", JSON),
            ("image/*, application/json;q=0.5", PICTURE),
            ("image/*;q=0.5, */*", JSON),
            ("image/*; Q=0.501, application/json; q=0.5", PICTURE),
            (
                "image/png , image/jpeg ; q=0.4 , application/json ; q=0.3",
                PICTURE,
            ),
            // A tie is a picture only where pictures are named, or a page.
            ("image/*, application/json", PICTURE),
            ("application/json;q=0.5, image/jpeg;q=0.5", PICTURE),
            ("text/html,image/webp,*/*;q=0.8", PICTURE),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", PICTURE),
            // The more specific range has precedence.
            ("image/jpeg;q=0.1, image/*, application/json;q=0.5", JSON),
            ("image/jpeg, image/*;q=0.1, application/json;q=0.5", PICTURE),
            // A weight of 0 means not acceptable.
            ("image/*;q=0, */*", JSON),
            ("application/json;q=0, */*", PICTURE),
            ("image/jpeg;q=0, image/*", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            // Neither form is named.
            ("text/html", JSON),
            ("text/html, image/png", JSON),
            ("image/png", None),
            ("image/png, image/webp", None),
            // Malformed ranges are ignored, and a malformed weight is 1.
            ("text/html, image/jpeg, *; q=.2, */*; q=.2", PICTURE),
            ("image/*;q=high, application/json;q=0.9", PICTURE),
            ("text/html;note=\"a, image/png\"", JSON),
        ] {
            assert_eq!(preferred(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn without_the_header_or_with_several_it_works_alike() {
        let mut headers = HeaderMap::new();
        assert_eq!(preferred_form(&headers, "image/png").ok(), Some(Form::Json));
        for range in ["application/json;q=0.5", "image/*"] {
            headers.append(header::ACCEPT, range.parse().unwrap());
        }
        assert_eq!(
            preferred_form(&headers, "image/png").ok(),
            Some(Form::Picture)
        );
    }
}
