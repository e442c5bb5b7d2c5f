//! Limits for each tenant: requests, bytes and pixels in a minute, and operations in progress.
//!
//! The first three are token buckets (the generic cell rate algorithm). A minute's worth can be used at
//! once; after that it comes back evenly. Each process counts for itself. An answer says what is left, in
//! the fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::response::Response;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::problem::{Kind, Problem};
use crate::operation::Tenant;
use crate::picture_store::PictureStore;
use crate::settings::Settings;

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>;

/// Bytes and pixels are counted in thousands, rounded up.
const UNIT: u64 = 1_000;
/// A minute in seconds, as in the policies.
const WINDOW_SECONDS: u64 = 60;
/// How long the number of operations in progress is believed.
const COUNT_AGE: Duration = Duration::from_secs(1);
/// After this time, a client that has too many operations in progress may ask again.
const PROGRESS_SECONDS: u64 = 1;

/// The limits of each tenant; 0 is no limit.
#[derive(Clone, Copy, Debug)]
struct Rules {
    requests: u64,
    kilobytes: u64,
    kilopixels: u64,
    operations: u32,
}

/// What each tenant has used.
#[derive(Debug)]
pub(super) struct Quotas {
    rules: Rules,
    tenants: Mutex<HashMap<Tenant, Arc<Allowance>>>,
}

/// What one tenant has used.
#[derive(Debug)]
pub(super) struct Allowance {
    requests: Option<Metered>,
    bytes: Option<Metered>,
    pixels: Option<Metered>,
    operations: Option<InProgress>,
}

/// A bucket with its name in answers.
struct Metered {
    name: &'static str,
    a_minute: u32,
    bucket: Bucket,
    /// What was left after the last request.
    left: AtomicU32,
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metered({}, {} a minute)", self.name, self.a_minute)
    }
}

/// Operations in progress, as the table said a moment ago, and those that were accepted since.
#[derive(Debug)]
struct InProgress {
    most: u32,
    counted: Mutex<Option<(Instant, u32)>>,
}

impl Quotas {
    pub(super) fn new(settings: &Settings) -> Self {
        let quotas = &settings.quotas;
        Self {
            rules: Rules {
                requests: quotas.requests_per_minute.into(),
                kilobytes: u64::from(quotas.megabytes_per_minute) * UNIT,
                kilopixels: u64::from(quotas.megapixels_per_minute) * UNIT,
                operations: quotas.operations,
            },
            tenants: Mutex::default(),
        }
    }

    /// What a tenant may still do.
    pub(super) fn of(&self, tenant: &Tenant) -> Arc<Allowance> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant) {
            return Arc::clone(known);
        }
        let rules = self.rules;
        let allowance = Arc::new(Allowance {
            requests: Metered::new("requests", rules.requests),
            bytes: Metered::new("kilobytes", rules.kilobytes),
            pixels: Metered::new("kilopixels", rules.kilopixels),
            operations: (rules.operations > 0).then(|| InProgress {
                most: rules.operations,
                counted: Mutex::default(),
            }),
        });
        tenants.insert(tenant.clone(), Arc::clone(&allowance));
        allowance
    }
}

impl Allowance {
    /// Takes one request.
    pub(super) fn take_request(&self) -> Result<(), Problem> {
        Metered::take(self.requests.as_ref(), 1)
    }

    /// Takes the bytes of a picture.
    pub(super) fn take_bytes(&self, bytes: u64) -> Result<(), Problem> {
        Metered::take(self.bytes.as_ref(), bytes.div_ceil(UNIT))
    }

    /// Takes the pixels of a picture.
    pub(super) fn take_pixels(&self, pixels: u64) -> Result<(), Problem> {
        Metered::take(self.pixels.as_ref(), pixels.div_ceil(UNIT))
    }

    /// Takes a place among the operations in progress.
    pub(super) async fn take_operation(
        &self,
        tenant: &Tenant,
        store: &dyn PictureStore,
    ) -> Result<(), Problem> {
        let Some(progress) = &self.operations else {
            return Ok(());
        };
        if progress.is_old() {
            let unfinished = store.unfinished(tenant, progress.most).await?;
            progress.set(unfinished);
        }
        let in_progress = progress.add();
        if in_progress <= progress.most {
            return Ok(());
        }
        let detail = format!(
            "{} operations are in progress, and the limit is {}; wait until some have ended",
            in_progress - 1,
            progress.most
        );
        Err(Problem::new(Kind::TooMany, detail).retry_after(PROGRESS_SECONDS))
    }

    /// Says in an answer what is left.
    pub(super) fn describe(&self, response: &mut Response) {
        let metered = [&self.requests, &self.bytes, &self.pixels];
        let metered: Vec<_> = metered.into_iter().flatten().collect();
        if metered.is_empty() {
            return;
        }
        let list = |item: fn(&Metered) -> String| {
            let items: Vec<_> = metered.iter().map(|metered| item(metered)).collect();
            HeaderValue::from_str(&items.join(", ")).ok()
        };
        let headers = response.headers_mut();
        if let (Some(policy), Some(left)) = (list(Metered::policy), list(Metered::left)) {
            headers.insert("ratelimit-policy", policy);
            headers.insert("ratelimit", left);
        }
    }
}

impl Metered {
    /// `None` if there is no limit.
    fn new(name: &'static str, a_minute: u64) -> Option<Self> {
        let a_minute = NonZeroU32::new(u32::try_from(a_minute).unwrap_or(u32::MAX))?;
        let bucket = RateLimiter::direct_with_clock(Quota::per_minute(a_minute), MonotonicClock);
        Some(Self {
            name,
            a_minute: a_minute.get(),
            bucket: bucket.with_middleware(),
            left: AtomicU32::new(a_minute.get()),
        })
    }

    fn take(this: Option<&Self>, amount: u64) -> Result<(), Problem> {
        let Some(this) = this else {
            return Ok(());
        };
        // What is more than a minute's worth takes all of it.
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(this.a_minute);
        let Some(amount) = NonZeroU32::new(amount) else {
            return Ok(());
        };
        let refused = match this.bucket.check_n(amount) {
            Ok(Ok(state)) => {
                this.left
                    .store(state.remaining_burst_capacity(), Ordering::Relaxed);
                return Ok(());
            }
            Ok(Err(refused)) => refused,
            // The amount is never more than a minute's worth.
            Err(_) => return Ok(()),
        };
        this.left.store(0, Ordering::Relaxed);
        let wait = refused.wait_time_from(MonotonicClock.now());
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        let detail = format!(
            "the limit is {} {} in a minute; try again in {seconds} s",
            this.a_minute, this.name
        );
        Err(Problem::new(Kind::TooMany, detail).retry_after(seconds))
    }

    /// `"requests";q=60;w=60`
    fn policy(&self) -> String {
        format!("{:?};q={};w={WINDOW_SECONDS}", self.name, self.a_minute)
    }

    /// `"requests";r=59;t=1`: what is left, and when all is back.
    fn left(&self) -> String {
        let left = self.left.load(Ordering::Relaxed);
        let missing = u64::from(self.a_minute - left);
        let seconds = (missing * WINDOW_SECONDS).div_ceil(self.a_minute.into());
        format!("{:?};r={left};t={seconds}", self.name)
    }
}

impl InProgress {
    fn is_old(&self) -> bool {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.is_none_or(|(at, _)| at.elapsed() > COUNT_AGE)
    }

    fn set(&self, number: u32) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted = Some((Instant::now(), number));
    }

    /// Counts one more; returns how many there are then.
    fn add(&self) -> u32 {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, number) = counted.get_or_insert((Instant::now(), 0));
        *number = number.saturating_add(1);
        *number
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn allowance(change: impl FnOnce(&mut Settings)) -> Arc<Allowance> {
        let mut settings = Settings::default();
        change(&mut settings);
        Quotas::new(&settings).of(&Tenant::default())
    }

    #[test]
    fn a_minutes_worth_can_be_used_at_once_and_no_more() {
        let allowance = allowance(|settings| {
            settings.quotas.requests_per_minute = 3;
            settings.quotas.megabytes_per_minute = 1;
        });
        for _ in 0..3 {
            allowance.take_request().unwrap();
        }
        let refused = allowance.take_request().unwrap_err().into_response();
        assert_eq!(refused.status(), 429);
        let seconds: u64 = refused.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
        // More than all of it is taken as all of it.
        allowance.take_bytes(5_000_000).unwrap();
        allowance.take_bytes(1).unwrap_err();
        allowance.take_pixels(1_000_000_000).unwrap();

        let mut response = ().into_response();
        allowance.describe(&mut response);
        let headers = response.headers();
        let policy = "\"requests\";q=3;w=60, \"kilobytes\";q=1000;w=60";
        assert_eq!(headers["ratelimit-policy"], policy);
        assert_eq!(
            headers["ratelimit"],
            "\"requests\";r=0;t=60, \"kilobytes\";r=0;t=60"
        );
    }

    #[test]
    fn tenants_do_not_share() {
        let mut settings = Settings::default();
        settings.quotas.requests_per_minute = 1;
        let quotas = Quotas::new(&settings);
        let other: Tenant = "other".parse().unwrap();
        for tenant in [Tenant::default(), other] {
            quotas.of(&tenant).take_request().unwrap();
            quotas.of(&tenant).take_request().unwrap_err();
        }
    }

    #[test]
    fn without_limits_nothing_is_said() {
        let allowance = allowance(|_| {});
        let mut response = ().into_response();
        allowance.describe(&mut response);
        assert!(response.headers().is_empty());
        allowance.take_request().unwrap();
    }
}
