//! The text of a key.
//!
//! It is `picresize_`, 43 random characters (256 bits), and 6 characters with the CRC-32 of all
//! before. The prefix and the checksum let scanners of source code recognise a key that was
//! published by mistake, without asking the service.

use secrecy::{ExposeSecret, SecretString};

use crate::operation::Digest;

/// What every key begins with.
const PREFIX: &str = "picresize_";
const RANDOM_BYTES: usize = 32;
/// Characters that hold 256 bits, and 32 bits.
const RANDOM_CHARACTERS: usize = 43;
const CHECK_CHARACTERS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text of a key. It is never stored: only its digest is.
#[derive(Debug)]
pub struct KeyText(SecretString);

/// The text is not a key.
#[derive(Debug, thiserror::Error)]
#[error("it is not a key of picresize, or it is not complete")]
pub struct MalformedKey;

impl KeyText {
    /// A new key.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let body = format!("{PREFIX}{}", base62(&bytes, RANDOM_CHARACTERS));
        let check = checksum(&body);
        Ok(Self(format!("{body}{check}").into()))
    }

    /// Reads a key, and checks its form and its checksum.
    ///
    /// # Errors
    ///
    /// No version of this program makes such a key.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let length = PREFIX.len() + RANDOM_CHARACTERS + CHECK_CHARACTERS;
        let is_plain = text
            .bytes()
            .all(|byte| byte == b'_' || ALPHABET.contains(&byte));
        if text.len() != length || !is_plain || !text.starts_with(PREFIX) {
            return Err(MalformedKey);
        }
        let (body, check) = text.split_at(length - CHECK_CHARACTERS);
        if checksum(body) != check {
            return Err(MalformedKey);
        }
        Ok(Self(text.into()))
    }

    /// What is stored of it. A key has 256 random bits, so its digest needs no salt and no repetition.
    pub fn digest(&self) -> Digest {
        Digest::of(self.expose().as_bytes())
    }

    /// The text, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn checksum(body: &str) -> String {
    base62(
        &crc32fast::hash(body.as_bytes()).to_be_bytes(),
        CHECK_CHARACTERS,
    )
}

/// A number in big-endian bytes, written to the base of 62 with so many characters.
fn base62(bytes: &[u8], characters: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![0; characters];
    for character in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *character = ALPHABET[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_and_a_mistyped_one_is_not() {
        let key = KeyText::generate().unwrap();
        let text = key.expose().to_owned();
        assert_eq!(KeyText::parse(&text).unwrap().digest(), key.digest());
        assert_ne!(KeyText::generate().unwrap().digest(), key.digest());
        assert!(!format!("{key:?}").contains(&text[PREFIX.len()..]));
        let shorter = &text[..text.len() - 1];
        let longer = format!("{text}0");
        let other = text.replacen(
            &text[15..16],
            if &text[15..16] == "a" { "b" } else { "a" },
            1,
        );
        let unlike = text.replace(PREFIX, "picresise_");
        for wrong in [
            "",
            PREFIX,
            shorter,
            &longer,
            &other,
            &unlike,
            &"é".repeat(60),
        ] {
            assert!(KeyText::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_written_to_the_base_of_62() {
        assert_eq!(base62(&[0], 2), "00");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[1, 0], 2), "48");
        assert_eq!(base62(&[255; 4], 6), "4gfFC3");
    }
}
