//! picresize: an asynchronous picture-resizing service in one executable.
//!
//! The map, from the outside in. Dependencies run one way, downwards; a test holds the rule.
//!
//! | layer | modules |
//! |---|---|
//! | the words of the domain | [`operation`] |
//! | the ports and the work itself | [`imaging`] |

pub mod imaging;
pub mod operation;
