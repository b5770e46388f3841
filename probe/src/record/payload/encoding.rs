//! Values that a recording writes otherwise than the output does.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::model::Name;

/// An `i128` as decimal text: readers of JSON do not take numbers of that width.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A name that a process chose, which may be any bytes: valid UTF-8 as it is, any other byte as `\xNN`, and a
/// backslash as two.
#[derive(Clone, Debug)]
pub struct EscapedName(pub Name);

impl Serialize for EscapedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.as_bytes().len());
        for chunk in self.0.as_bytes().utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for EscapedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unescape(&text).ok_or_else(|| {
            D::Error::custom(format_args!("the name `{text}` has an escape other than `\\\\` and `\\xNN`"))
        })?;
        Ok(Self(Name::from_bytes(&bytes)))
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // Two backslashes: what follows the second one is not an escape.
            bytes.push(b'\\');
            bytes.extend_from_slice(parts.next()?.as_bytes());
        } else {
            let (digits, rest) = part.strip_prefix('x')?.split_at_checked(2)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            bytes.extend_from_slice(rest.as_bytes());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn invalid_escapes_are_rejected() {
        assert_eq!(unescape(r"a\xffb\\c").as_deref(), Some(&b"a\xffb\\c"[..]));
        assert_eq!(unescape(r"\\\\").as_deref(), Some(&br"\\"[..]));
        for wrong in [r"\", r"\q", r"\x", r"\xf", r"\xzz", r"\x+f", "\\x\u{e9}"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
