//! `POST /api/lookup`: finds the operations whose source or result is a given picture, or looks
//! like it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::access::Caller;
use super::fields::clip;
use super::operations::operation_json;
use super::problem::Problem;
use super::state::ApiState;
use super::submission::{ParsedSubmission, Submission};
use crate::access::Permission;
use crate::operation::{Digest, FieldError, Fingerprint, Operation, Tenant};
use crate::picture_store::{MOST_DISTANCE, Page};
use crate::processing::ProcessingError;

/// The number of matches in an answer: the default and the maximum.
const USUAL_LIMIT: u32 = 20;
const MOST_LIMIT: u32 = 100;
/// The most matches that a request may skip.
const MOST_SKIPPED: u32 = 100_000;

/// `POST /api/lookup`: the operations with exactly these bytes as source or result, then those
/// whose result looks like the picture.
pub(super) async fn lookup(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    caller
        .must(Permission::LookUp)
        .and_then(|()| state.quotas.of(&caller.tenant).take_request())
        .map_err(Problem::and_close)?;
    let submission = Submission::read(request, &state).await?;
    let most = state.max_picture_bytes;
    let look_up = tokio::task::spawn_blocking(move || LookUp::read(submission, most))
        .await
        .map_err(|error| Problem::internal(&error))??;
    let fingerprint = fingerprint(&state, &look_up).await?;
    let options = &look_up.parsed.options;
    let (matches, next) =
        find(&state, &caller.tenant, look_up.digest, fingerprint, options).await?;
    Ok(Json(json!({
        "digest": look_up.digest,
        "fingerprint": fingerprint.map(|hash| hash.to_string()),
        "matches": matches,
        "next": next.map(Cursor::text),
    })))
}

/// A picture to be looked up.
struct LookUp {
    parsed: ParsedSubmission<Options>,
    digest: Digest,
}

impl LookUp {
    fn read(submission: Submission, max_picture_bytes: u64) -> Result<Self, Problem> {
        let parsed = submission.parse(Options::from_pairs, max_picture_bytes)?;
        Ok(Self {
            digest: Digest::of(&parsed.picture),
            parsed,
        })
    }
}

/// The picture's perceptual hash. A picture that can't be decoded has none. That is not an error:
/// it may be the source of a failed operation, which is found by its bytes.
async fn fingerprint(
    state: &Arc<ApiState>,
    look_up: &LookUp,
) -> Result<Option<Fingerprint>, Problem> {
    let ParsedSubmission {
        picture, memory, ..
    } = &look_up.parsed;
    let needed = state.processor.header(picture).await?.memory_bytes;
    if needed > state.uploads.total().saturating_sub(memory.size()) {
        return Ok(None);
    }
    let memory = memory.extend(needed).await?;
    match state.processor.fingerprint(picture, memory).await {
        Ok(hash) => Ok(hash),
        Err(error @ ProcessingError::NoProcess(_)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// One page of matches, and where the next one begins.
async fn find(
    state: &ApiState,
    tenant: &Tenant,
    digest: Digest,
    fingerprint: Option<Fingerprint>,
    options: &Options,
) -> Result<(Vec<Value>, Option<Cursor>), Problem> {
    let limit = options.limit;
    let mut matches = Vec::new();
    let mut skip = 0;
    match options.from {
        Cursor::Similar(from) => skip = from,
        Cursor::Exact(from) => {
            let page = page(from, limit);
            let mut found = state.store.with_digest(tenant, digest, page).await?;
            let more = cut(&mut found, limit);
            matches.extend(found.iter().map(|operation| exact(operation, digest)));
            if more {
                return Ok((matches, Some(Cursor::Exact(from + limit))));
            }
        }
    }
    let Some(fingerprint) = fingerprint else {
        return Ok((matches, None));
    };
    let room = limit - matches.len() as u32;
    let page = page(skip, room);
    let found = state
        .store
        .similar(tenant, fingerprint, options.distance, digest, page);
    let mut found = found.await?;
    let next = cut(&mut found, room).then_some(Cursor::Similar(skip + room));
    let similar = found
        .iter()
        .map(|(distance, operation)| match_of(operation, "result", "similar", *distance));
    matches.extend(similar);
    Ok((matches, next))
}

/// Takes one row more than asked for, which shows whether there is a next page.
fn page(skip: u32, limit: u32) -> Page {
    Page {
        skip,
        take: limit + 1,
    }
}

/// Cuts a page to its length; returns whether there was more.
fn cut<T>(found: &mut Vec<T>, limit: u32) -> bool {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    more
}

fn exact(operation: &Operation, digest: Digest) -> Value {
    let is_source = operation.source.digest == digest;
    let of = if is_source { "source" } else { "result" };
    match_of(operation, of, "exact", 0)
}

fn match_of(operation: &Operation, of: &str, kind: &str, distance: u32) -> Value {
    let mut found = operation_json(operation);
    found["of"] = of.into();
    found["match"] = kind.into();
    found["distance"] = distance.into();
    found
}

/// Where a page begins: how many matches of the kind are skipped. Exact matches come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Exact(u32),
    Similar(u32),
}

impl Cursor {
    fn text(self) -> String {
        match self {
            Self::Exact(skip) => format!("exact:{skip}"),
            Self::Similar(skip) => format!("similar:{skip}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, skip) = text.split_once(':')?;
        let skip = skip.parse().ok().filter(|skip| *skip <= MOST_SKIPPED)?;
        match kind {
            "exact" => Some(Self::Exact(skip)),
            "similar" => Some(Self::Similar(skip)),
            _ => None,
        }
    }
}

/// The options of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    limit: u32,
    distance: u32,
    from: Cursor,
}

impl Options {
    pub(super) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, Vec<FieldError>> {
        let mut options = Self {
            limit: USUAL_LIMIT,
            distance: MOST_DISTANCE,
            from: Cursor::Exact(0),
        };
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for (key, value) in pairs {
            let outcome = if seen.contains(&key) {
                Err("is given more than once".to_owned())
            } else {
                options.set(&key, value.trim())
            };
            if let Err(message) = outcome {
                errors.push(FieldError::new(clip(&key), message));
            }
            seen.push(key);
        }
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(errors)
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "limit" => self.limit = number(value, 1, MOST_LIMIT)?,
            "distance" => self.distance = number(value, 0, MOST_DISTANCE)?,
            "from" => {
                self.from = Cursor::parse(value).ok_or_else(|| {
                    format!(
                        "{:?} is not a place to continue from: use the \"next\" of an answer, \
                         such as similar:20 (at most {MOST_SKIPPED})",
                        clip(value)
                    )
                })?;
            }
            _ => {
                return Err(
                    "is not an option of a look-up; the options are limit, distance and from"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            format!(
                "{:?} is not a whole number from {least} to {most}",
                clip(text)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<Options, Vec<FieldError>> {
        let pairs = pairs.iter();
        Options::from_pairs(
            pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn options_have_defaults_and_bounds() {
        let usual = options(&[]).unwrap();
        assert_eq!((usual.limit, usual.distance), (20, 7));
        assert_eq!(usual.from, Cursor::Exact(0));
        let given = options(&[("limit", "100"), ("distance", " 0"), ("from", "similar:40")]);
        assert_eq!(given.unwrap().from, Cursor::Similar(40));
        for (key, value) in [
            ("limit", "0"),
            ("limit", "101"),
            ("limit", "many"),
            ("distance", "8"),
            ("distance", "-1"),
            ("from", "40"),
            ("from", "exact:100001"),
            ("from", "near:4"),
            ("width", "320"),
        ] {
            let errors = options(&[(key, value)]).unwrap_err();
            assert_eq!(errors[0].field, key, "{value}");
        }
        assert!(options(&[("limit", "1"), ("limit", "1")]).is_err());
    }

    #[test]
    fn a_cursor_survives_its_text_form() {
        for cursor in [Cursor::Exact(0), Cursor::Similar(1234)] {
            assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }
    }
}
