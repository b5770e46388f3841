//! Held against what serde makes of the same.

use proptest::{collection::vec, prelude::*};

use super::dotted;
use crate::{
    model::{Clock, Event},
    record::{Lines, Object, arbitrary},
};

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![2 => arbitrary::event(), 6 => arbitrary::derived(), 1 => arbitrary::end()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_line_is_what_its_object_comes_to(
        events in vec(event(), 1..8),
        offset in prop_oneof![Just(None), any::<i64>().prop_map(Some)],
    ) {
        let clock = offset.map(|offset| Clock { realtime_offset_ns: offset.into() });
        let mut lines = Lines::default();
        // Twice, since owners are kept from line to line.
        for event in events.iter().chain(&events) {
            let mut line = Vec::new();
            let is_there = lines.write(event, clock, &mut line).expect("memory takes everything");
            let object = Object::of(event, clock);
            prop_assert_eq!(is_there, object.is_some());
            let expected = object.map(|object| serde_json::to_string(&object).expect("JSON") + "\n");
            prop_assert_eq!(String::from_utf8(line).expect("text"), expected.unwrap_or_default());
        }
    }
}

#[test]
fn every_octet() {
    for octet in 0..=255 {
        let mut text = [0; 4];
        let length = dotted(octet, &mut text);
        assert_eq!(text[..length], *format!("{octet}.").as_bytes());
    }
}
