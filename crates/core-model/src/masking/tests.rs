use proptest::{prelude::*, sample::select};

use super::*;

const KEY: &str = "sk-or/v1+Zx%41=é\\9";

fn masked(secret: &str, text: &str) -> String {
    SecretMask::new([secret]).mask(text)
}

#[test]
fn a_key_is_found_in_every_form() {
    for text in [
        "sk-or/v1+Zx%41=é\\9",
        "sk-or\\/v1\\u002BZx%41=\\u00e9\\\\9",
        "\\u0073k-or/v1+Zx%41=é\\u005C9",
        "sk-or%2Fv1%2bZx%2541%3D%C3%A9%5C9",
        "sk-or/v1%2BZx\\u00254\\u0031=&#233;&#x5C;9",
        "sk-or&#x2F;v1&#43;Zx&percnt;41&equals;é&bsol;9",
        "sk-or\\x2fv1+Zx%41=\\u{e9}\\9",
    ] {
        assert_eq!(
            masked(KEY, &format!("bad <{text}>!")),
            format!("bad <{MASK}>!"),
            "{text}"
        );
    }
    // A text in a text.
    let twice = serde_json::to_string(&serde_json::to_string(KEY).unwrap()).unwrap();
    assert_eq!(masked(KEY, &twice), format!(r#""\"{MASK}\"""#));
    // The text before a key is not part of an escape.
    assert_eq!(masked("41/bcdefg", "%41\\/bcdefg"), format!("%{MASK}"));
}

#[test]
fn a_key_is_found_in_base64_wherever_it_begins() {
    let key = "sk-ü?~>secret";
    for before in ["", "a", "user:", "it is "] {
        for after in ["", "z", "zz", "zzz"] {
            let text = format!("{before}{key}{after}");
            for encoded in [
                STANDARD_NO_PAD.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                base64::engine::general_purpose::STANDARD.encode(&text),
                STANDARD_NO_PAD
                    .encode(&text)
                    .replace('/', "\\/")
                    .replace('+', "%2B"),
            ] {
                let shown = masked(key, &format!("<{encoded}>"));
                assert!(shown.contains(MASK), "{text}: {shown}");
                // Not even a part is left.
                let left = shown.len() - MASK.len();
                assert!(
                    left <= 2 + 8 * (before.len() + after.len()).div_ceil(6) + 2 * 4,
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn short_secrets_and_other_text_stay() {
    assert_eq!(masked("abc", "abc"), "abc");
    assert_eq!(masked("  ", "a  b"), "a  b");
    assert_eq!(masked("abcd", "abcd"), MASK);
    let shorter = STANDARD_NO_PAD.encode("hunter2");
    assert_eq!(masked("hunter2", &shorter), shorter);
    assert_eq!(SecretMask::default().mask("text"), "text");
    assert_eq!(
        masked("secret-1", "secret-1secret-1 secret-12"),
        format!("{MASK} {MASK}2")
    );
    assert!(!format!("{:?}", SecretMask::new(["secret-1"])).contains("secret"));
    for cut in [
        "\\",
        "\\u",
        "\\u00",
        "\\ud83d",
        "\\ud83d\\u",
        "\\u{",
        "\\x",
        "%",
        "%4",
        "&",
        "&#",
        "&#x",
        "&#1",
    ] {
        assert_eq!(masked("secret-1", cut), cut);
        assert_eq!(
            masked("secret-1", &format!("secret-1{cut}")),
            format!("{MASK}{cut}")
        );
    }
}

fn written(c: char, how: usize) -> String {
    let json = || {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units);
        units
            .iter()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect::<String>()
    };
    match how {
        0 => c.to_string(),
        1 => json(),
        2 => json().to_lowercase(),
        3 => c
            .to_string()
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect(),
        4 => c
            .to_string()
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect(),
        5 => format!("&#{};", u32::from(c)),
        6 => format!("&#x{:x};", u32::from(c)),
        _ if matches!(c, '/' | '"' | '\\') => format!("\\{c}"),
        _ => c.to_string(),
    }
}

/// The whole text once more in an encoding.
fn wrapped(text: &str, how: usize) -> String {
    match how {
        0 => text.to_owned(),
        1 => {
            let quoted = serde_json::to_string(text).unwrap();
            // Only the marks around it: the text may end in one of its own.
            quoted[1..quoted.len() - 1].to_owned()
        }
        2 => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        _ => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;"),
    }
}

proptest! {
    /// In any mixture of encodings, all of a key is masked, and nothing else.
    #[test]
    fn no_mixture_of_encodings_hides_a_key(
        key in "[!-~äß€😀]{8,40}",
        ways in prop::collection::vec(0_usize..8, 40),
        outer in prop::collection::vec(0_usize..4, 0..3),
        before in "[a-z ,(]{0,12} ",
        after in " [a-z ,)]{0,12}",
    ) {
        let mut text: String = key.chars().zip(ways).map(|(c, how)| written(c, how)).collect();
        for how in outer {
            text = wrapped(&text, how);
        }
        let shown = masked(&key, &format!("{before}{text}{after}"));
        prop_assert_eq!(shown, format!("{before}{MASK}{after}"));
    }

    /// Of a key in Base64, nothing that could be decoded is left.
    #[test]
    fn no_base64_hides_a_key(
        key in "[!-~]{8,40}",
        before in "[ -~]{0,9}",
        after in "[ -~]{0,9}",
        engine in select(vec![STANDARD_NO_PAD, URL_SAFE_NO_PAD]),
    ) {
        let encoded = engine.encode(format!("{before}{key}{after}"));
        let shown = masked(&key, &encoded);
        prop_assert!(shown.contains(MASK));
        let rest = shown.replace(MASK, "");
        let most = encoded.len() - key.len();
        prop_assert!(rest.len() <= most, "{} of {}", rest, encoded);
    }

    /// A text that the key is not in stays as it is, whatever escapes it has.
    #[test]
    fn a_text_without_the_key_is_unchanged(
        key in "KEY-[A-Z]{8,20}",
        text in "[a-z\\\\%&#;/x0-9 äß€]{0,200}",
    ) {
        // An escape gives a key's letter in capitals only with that letter's own code.
        prop_assume!(!text.to_lowercase().contains("4b") && !text.contains("75"));
        prop_assert_eq!(masked(&key, &text), text);
    }

    /// Wherever a text is cut, no part of a key is left before the cut.
    #[test]
    fn no_cut_leaves_a_part_of_a_key(
        key in "[!-~äß€😀]{8,40}",
        ways in prop::collection::vec(0_usize..8, 40),
        outer in prop::collection::vec(0_usize..4, 0..3),
        before in "[a-z ,(]{0,12} ",
        share in 0.0..1.0,
    ) {
        // Only the mask and the text before the key may be left; the beginning of an escape of the first
        // character reveals nothing of the key.
        let mut forms: Vec<String> = Vec::new();
        for (c, how) in key.chars().zip(ways) {
            let mut form = written(c, how);
            for how in &outer {
                form = wrapped(&form, *how);
            }
            forms.push(form);
        }
        let text = forms.concat();
        let first = before.len() + forms[0].len();
        let last = before.len() + text.len() - 1;
        let limit = first + ((last - first) as f64 * share) as usize;
        let shown = SecretMask::new([&key]).mask_up_to(&format!("{before}{text}"), limit);
        prop_assert_eq!(shown, format!("{before}{MASK}"));
    }

    /// Base64 that is cut reveals nothing either.
    #[test]
    fn no_cut_leaves_a_part_of_a_key_in_base64(
        key in "[!-~]{8,40}",
        before in "[ -~]{0,9}",
        engine in select(vec![STANDARD_NO_PAD, URL_SAFE_NO_PAD]),
        share in 0.0..1.0,
    ) {
        let encoded = engine.encode(format!("{before}{key}"));
        let first = (8 * before.len()).div_ceil(6) + 1;
        let limit = first + ((encoded.len() - 1 - first) as f64 * share) as usize;
        let shown = SecretMask::new([&key]).mask_up_to(&encoded, limit);
        let left = shown.strip_suffix(MASK);
        prop_assert!(left.is_some_and(|left| left.len() < first), "{}", shown);
    }
}

#[test]
fn only_a_text_that_is_cut_may_end_in_a_part_of_a_key() {
    let mask = SecretMask::new(["secret-1"]);
    assert_eq!(mask.mask_up_to("some secret", 100), "some secret");
    assert_eq!(mask.mask_up_to("some secret-1", 11), format!("some {MASK}"));
    assert_eq!(mask.mask_up_to("some é", 6), "some ");
    assert!(mask.is_in("%73ecret-1") && !mask.is_in("secret-2"));
}
