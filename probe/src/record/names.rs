//! How single values of the model are spelt in a recording; for `#[serde(with = "…")]`.

/// Spells a type whose values have a `name`.
macro_rules! by_name {
    ($module:ident, $what:literal, $type:ident: $($value:ident)*) => {
        #[doc = concat!("A ", $what, " by its name.")]
        pub mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            use crate::model::$type;

            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(value.name())
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let name = String::deserialize(deserializer)?;
                [$($type::$value),*]
                    .into_iter()
                    .find(|value| value.name() == name)
                    .ok_or_else(|| D::Error::custom(format_args!("there is no {} `{name}`", $what)))
            }
        }
    };
}

by_name!(backend, "backend", Backend: TpBtf Tracepoint);
by_name!(family, "address family", Family: Ipv4 Ipv6);
by_name!(known, "way of knowing an owner", Known: Exact Listener Seen Unknown);
by_name!(protocol, "protocol", Protocol: Tcp Mptcp);
by_name!(state, "state", State:
    Established SynSent SynRecv FinWait1 FinWait2 TimeWait Close CloseWait LastAck Listen Closing NewSynRecv);

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

/// A task's name, whatever bytes it is made of: valid UTF-8 as it is, any other byte as `\xNN`, and
/// a backslash doubled.
pub mod comm {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::Name;

    pub fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(name.as_bytes().len());
        for chunk in name.as_bytes().utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unescape(&text)
            .ok_or_else(|| D::Error::custom(format_args!("the name `{text}` is escaped wrongly")))?;
        Ok(Name::from_bytes(&bytes))
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
}
