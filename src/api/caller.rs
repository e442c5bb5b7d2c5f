//! Finds out who sends a request, before its handler runs.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::access::Caller;
use super::problem::Problem;
use super::state::ApiState;

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ApiState>,
    ) -> Result<Self, Self::Rejection> {
        // The body is not read.
        let caller = state.access.caller(&parts.headers);
        caller.map_err(Problem::and_close)
    }
}
