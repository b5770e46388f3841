//! How single values of the model are spelt in a recording, where that is not how the output has them.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::model::Name;

/// A number wider than readers of JSON take numbers to be, as decimal text.
pub mod wide {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A name that a process chose, whatever bytes it is made of: valid UTF-8 as it is, any other byte as
/// `\xNN`, and a backslash doubled.
#[derive(Clone, Debug)]
pub struct Escaped(pub Name);

impl Serialize for Escaped {
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

impl<'de> Deserialize<'de> for Escaped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unescape(&text)
            .ok_or_else(|| D::Error::custom(format_args!("the name `{text}` is escaped wrongly")))?;
        Ok(Self(Name::from_bytes(&bytes)))
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut pieces = text.split('\\');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            // A doubled backslash: what follows the second one is plain.
            bytes.push(b'\\');
            bytes.extend_from_slice(pieces.next()?.as_bytes());
        } else {
            let (digits, rest) = piece.strip_prefix('x')?.split_at_checked(2)?;
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
    fn wrong_escapes_are_refused() {
        assert_eq!(unescape(r"a\xffb\\c").as_deref(), Some(&b"a\xffb\\c"[..]));
        assert_eq!(unescape(r"\\\\").as_deref(), Some(&br"\\"[..]));
        for wrong in [r"\", r"\q", r"\x", r"\xf", r"\xzz", r"\x+f", "\\x\u{e9}"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
