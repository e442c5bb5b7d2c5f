//! Who may do what: keys, what each may do, and the secrets that sign links.

mod key;
mod keyring;
mod permission;
mod secrets;

pub use key::{KeyText, MalformedKey};
pub use keyring::{Key, KeyFile, KeyFileError, Keyring};
pub use permission::{MalformedPermission, Permission, Permissions};
pub use secrets::{MalformedSecret, Purpose, Secrets};
