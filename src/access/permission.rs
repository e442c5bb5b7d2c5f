//! What a key may be used for.

use std::fmt;
use std::str::FromStr;

/// One thing that a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Post pictures, and make tickets with which others post.
    Post,
    /// Read results and histories, and make links to results.
    Read,
    /// Erase operations.
    Erase,
    /// Find operations by a picture.
    LookUp,
    /// Read what operators need: the state of the log, the table and the workers.
    Operate,
}

impl Permission {
    const ALL: [Self; 5] = [
        Self::Post,
        Self::Read,
        Self::Erase,
        Self::LookUp,
        Self::Operate,
    ];

    /// The name in a list of permissions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Read => "read",
            Self::Erase => "erase",
            Self::LookUp => "lookup",
            Self::Operate => "operate",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Several permissions, written as `post,read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Every permission.
    pub fn all() -> Self {
        Self(
            Permission::ALL
                .into_iter()
                .fold(0, |all, it| all | it.bit()),
        )
    }

    /// What a client needs: all but [`Permission::Operate`].
    pub fn of_a_client() -> Self {
        Self(Self::all().0 & !Permission::Operate.bit())
    }

    /// Whether `permission` is one of them.
    pub fn include(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Permission::ALL.into_iter().filter(|it| self.include(*it));
        let names: Vec<_> = names.map(Permission::name).collect();
        f.write_str(&names.join(","))
    }
}

/// The text is not a list of permissions.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a permission: expected post, read, erase, lookup or operate, with commas between"
)]
pub struct MalformedPermission(String);

impl FromStr for Permissions {
    type Err = MalformedPermission;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = 0;
        for name in text.split(',') {
            let named = Permission::ALL
                .into_iter()
                .find(|it| it.name() == name.trim());
            let malformed = || MalformedPermission(name.chars().take(80).collect());
            all |= named.ok_or_else(malformed)?.bit();
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_survive_their_text_form() {
        for text in [
            "post",
            "post,read",
            "read,lookup",
            "post,read,erase,lookup,operate",
        ] {
            assert_eq!(text.parse::<Permissions>().unwrap().to_string(), text);
        }
        let client = Permissions::of_a_client();
        assert!(client.include(Permission::Erase) && !client.include(Permission::Operate));
        for text in ["", "post,", "write", "POST"] {
            assert!(text.parse::<Permissions>().is_err(), "{text:?}");
        }
    }
}
