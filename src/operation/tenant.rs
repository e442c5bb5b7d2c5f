//! Whom an operation belongs to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The most characters of a tenant's name.
const MOST_CHARACTERS: usize = 63;
const DEFAULT: &str = "default";

/// Whom an operation belongs to. Nobody can see or change the operations of another tenant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The name as text.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is the tenant of everybody who has no other one.
    pub fn is_default(&self) -> bool {
        &*self.0 == DEFAULT
    }
}

/// The tenant of requests without a key, and of all operations from before there were tenants.
impl Default for Tenant {
    fn default() -> Self {
        Self(DEFAULT.into())
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({self})")
    }
}

impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not the name of a tenant.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not the name of a tenant: expected 1 to {MOST_CHARACTERS} lower-case letters, digits, \
     \"-\" and \"_\""
)]
pub struct MalformedTenant(String);

impl FromStr for Tenant {
    type Err = MalformedTenant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if text.is_empty() || text.len() > MOST_CHARACTERS || !text.bytes().all(is_allowed) {
            return Err(MalformedTenant(text.chars().take(80).collect()));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        let longest = "a".repeat(MOST_CHARACTERS);
        for name in ["default", "team-7", "a", "0", "x_y", &longest] {
            assert_eq!(name.parse::<Tenant>().unwrap().name(), name);
        }
        let too_long = "a".repeat(MOST_CHARACTERS + 1);
        for name in ["", "Team", "a b", "a/b", "ä", "a\n", "a.b", &too_long] {
            assert!(name.parse::<Tenant>().is_err(), "{name}");
        }
        assert!(Tenant::default().is_default());
    }
}
