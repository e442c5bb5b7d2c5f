//! The pictures that users of other resizers reported, by kind: what each must give.

mod hdr;
