//! JSON, against another implementation of it and against Python's spelling.

use proptest::prelude::*;
use wasmlx_template_support::json::Json;

#[test]
fn reads_what_is_json() {
    let cases = [
        (
            r#" {"b" : [1, 2.0, null, true ], "a":{"é\"\u0001\n": {}}, "": []} "#,
            r#"{"b": [1, 2.0, null, true], "a": {"é\"\u0001\n": {}}, "": []}"#,
        ),
        (r#"{"a": 1, "b": 2, "a": 3, "a": 4}"#, r#"{"a": 4, "b": 2}"#),
        (r#""\ud83d\ude00\u00e9\/\ud83d""#, "\"😀é/\u{fffd}\""),
        ("-0", "0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1E2", "100.0"),
        ("2.5e-7", "2.5e-07"),
        ("1e999", "Infinity"),
        ("3.141592653589793238", "3.141592653589793"),
    ];
    for (text, expected) in cases {
        assert_eq!(Json::read(text).unwrap().dumps(), expected);
    }
    assert_eq!(
        Json::read(r#"{"a": [1, {}], "b": []}"#).unwrap().dumps_indented(2),
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
    );
}

#[test]
fn refuses_what_is_not() {
    let cases = [
        ("", "expected a value at byte 0"),
        ("{", "expected a string at byte 1"),
        (r#"{"a" 1}"#, "expected : at byte 5"),
        ("[1,]", "expected a value at byte 3"),
        ("[1 2]", "expected ] at byte 3"),
        ("01", "expected a number at byte 0"),
        ("1.", "expected a number at byte 0"),
        ("-", "expected a number at byte 0"),
        ("1 x", "expected the end of the text at byte 2"),
        ("\"a", "expected the end of a string at byte 1"),
        ("\"\n\"", "expected an escape in place of a control character at byte 1"),
        (r#""\q""#, "expected an escape at byte 1"),
        (r#""\u+123""#, "expected four hexadecimal digits at byte 1"),
        ("nul", "expected a value at byte 0"),
    ];
    for (text, expected) in cases {
        assert_eq!(Json::read(text).unwrap_err().to_string(), expected, "{text}");
    }
    assert!(Json::read(&"[".repeat(100_000)).is_err());
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        "\\PC{0,8}|[\"\\\\\n\t\u{1}/]{0,4}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec(("\\PC{0,4}", inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_serde_json(value in value()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let written = Json::read(&text).unwrap().dumps();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value.clone());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[{}\\[\\]\",:0-9eE+.\\\\untrfals -]{0,24}") {
        let other = serde_json::from_str::<serde_json::Value>(&text);
        // serde_json refuses numbers beyond floats, and half a surrogate pair.
        if other.is_ok() {
            prop_assert!(Json::read(&text).is_ok());
        } else if let Ok(value) = Json::read(&text) {
            prop_assert!(text.contains(['e', 'E']) || text.contains("\\u"), "{:?} read as {:?}", text, value);
        }
    }

    #[test]
    fn floats_read_back(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
        prop_assert_eq!(Json::read(&Json::Float(number).dumps()).unwrap(), Json::Float(number));
    }
}
