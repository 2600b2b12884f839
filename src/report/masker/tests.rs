//! Secrets in the encodings in which programs print them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn masker(secrets: &[&str]) -> Masker {
    let mut masker = Masker::default();
    for secret in secrets {
        masker.hide(secret.as_bytes());
    }
    masker
}

fn masking(secret: &str, text: &str) -> String {
    masker(&[secret]).mask(text).into_owned()
}

fn percent(secret: &str, spare: &str, lower: bool) -> String {
    secret.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            _ if byte.is_ascii_alphanumeric() || spare.as_bytes().contains(&byte) => all.push(byte.into()),
            _ if lower => write!(all, "%{byte:02x}").unwrap(),
            _ => write!(all, "%{byte:02X}").unwrap(),
        }
        all
    })
}

fn escaped(secret: &str, escape: impl Fn(char) -> Option<String>) -> String {
    secret.chars().map(|one| escape(one).unwrap_or_else(|| one.to_string())).collect()
}

fn json(secret: &str) -> String {
    let text = serde_json::Value::from(secret).to_string();
    text[1..text.len() - 1].to_owned()
}

/// `json.Marshal` of Go.
fn go(secret: &str) -> String {
    escaped(&json(secret), |one| {
        matches!(one, '<' | '>' | '&' | '\u{2028}' | '\u{2029}').then(|| format!("\\u{:04x}", u32::from(one)))
    })
}

/// `json.dumps` of Python, and `json_encode` of PHP, which writes `\/` too.
fn ascii(secret: &str) -> String {
    escaped(&json(secret), |one| {
        let mut units = [0; 2];
        let units = one.encode_utf16(&mut units).iter();
        (!one.is_ascii()).then(|| units.map(|unit| format!("\\u{unit:04x}")).collect())
    })
}

fn hex(secret: &str) -> String {
    secret.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn html(secret: &str) -> String {
    escaped(secret, |one| {
        let name = match one {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            'é' => "&eacute;",
            _ => return None,
        };
        Some(name.to_owned())
    })
}

fn ansi(secret: &str) -> String {
    let bytes = secret.bytes().map(|byte| match byte {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\n' => "\\n".to_owned(),
        0x20..0x7f => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    });
    format!("$'{}'", bytes.collect::<String>())
}

/// Every form in which programs write a text.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        percent(secret, "", false),
        percent(secret, "", true),
        percent(secret, "-._~!$'()*,/:@", false),
        percent(secret, " ", false).replace(' ', "+"),
        json(secret),
        go(secret),
        ascii(secret),
        ascii(secret).replace('/', "\\/"),
        json(&json(secret)),
        html(secret),
        escaped(secret, |one| (!one.is_ascii_alphanumeric()).then(|| format!("&#{};", u32::from(one)))),
        escaped(secret, |one| (!one.is_ascii_alphanumeric()).then(|| format!("&#x{:X};", u32::from(one)))),
        hex(secret),
        hex(secret).to_uppercase(),
        format!("'{}'", secret.replace('\'', r"'\''")),
        escaped(secret, |one| (one.is_ascii() && !one.is_ascii_alphanumeric()).then(|| format!("\\{one}"))),
        format!("\"{}\"", escaped(secret, |one| "\\\"$`".contains(one).then(|| format!("\\{one}")))),
        ansi(secret),
        STANDARD.encode(STANDARD.encode(secret)),
        STANDARD.encode(secret).replace('/', "\\/"),
    ];
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        forms.push(engine.encode(secret));
    }
    forms
}

/// The secret in the middle of base64, and the characters there that depend on it alone.
fn inside_base64(secret: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        for before in ["u:", "me:", "bot:", "four:"] {
            let whole = engine.encode(format!("{before}{secret}\n"));
            let first = (before.len() * 8).div_ceil(6);
            let inside = whole[first..(before.len() + secret.len()) * 8 / 6].to_owned();
            found.push((whole, inside));
        }
    }
    found
}

#[test]
fn a_secret_is_masked_in_every_form() {
    let secret = "p@ss w/rd+42 <&>'\"\\ é$`";
    for form in forms(secret) {
        for text in [form.clone(), format!("login {form} ok"), format!("it's \"{form}")] {
            let masked = masking(secret, &text);
            assert!(masked.contains(MASK) && !masked.contains(&form), "{text}: {masked}");
        }
    }
    for (whole, inside) in inside_base64(secret) {
        let masked = masking(secret, &format!("Authorization: Basic {whole}"));
        assert!(masked.contains(MASK) && !masked.contains(&inside), "{whole}: {masked}");
    }
    assert_eq!(masking("p@ss w/rd", "https://me:p%40ss%20w%2frd@host"), "https://me:[MASKED]@host");
    assert_eq!(masking("say \"open\"", r#"{"text":"say \"open\""}"#), r#"{"text":"[MASKED]"}"#);
    assert_eq!(masking("hunter22", "data: aHVudGVyMjI="), "data: [MASKED]=");
}

#[test]
fn every_library_encodes_for_urls_in_its_own_way() {
    let secret = "p@ss/w+rd:1%x!(z) é";
    for encoded in [
        "p%40ss/w%2Brd%3A1%25x%21%28z%29%20%C3%A9",
        "p%40ss%2Fw%2Brd%3A1%25x!(z)%20%C3%A9",
        "p%40ss%2fw%2brd%3a1%25x%21%28z%29+%c3%a9",
        "p@ss/w+rd:1%25x!(z)%20é",
    ] {
        assert_eq!(masking(secret, &format!("<{encoded}>")), "<[MASKED]>", "{encoded}");
    }
}

#[test]
fn white_space_may_change_and_the_rest_is_shown() {
    assert_eq!(masking("correct  horse\tbattery", "a correct horse\n  battery b"), "a [MASKED] b");
    assert_eq!(masking("hunter22", "nothing of that kind: hunter2"), "nothing of that kind: hunter2");
    assert_eq!(masking("hunter22", "hunter22hunter22 é hunter22"), "[MASKED] é [MASKED]");
    assert_eq!(masking("abcabcabc", "abcabcabcabc"), "[MASKED]");
}

#[test]
fn what_is_short_or_public_is_shown() {
    assert_eq!(masking("hunter2", "hunter2 aHVudGVyMg=="), "hunter2 aHVudGVyMg==");
    let mut masker = masker(&["shopuser", "prod-registry.example.com/team", "on"]);
    masker.publish("shopuser");
    masker.publish("prod-registry.example.com");
    for text in ["prod-registry.example.com/shopuser/web@sha256:00", "turn it on"] {
        assert_eq!(masker.mask(text), text);
    }
    assert_eq!(masker.mask("prod-registry.example.com/team"), MASK);
}

#[test]
fn lines_of_a_key_are_masked_one_by_one() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\nXyzzyXyzzy\n-----END KEY-----";
    assert_eq!(masking(key, "key MIIEvQIBADANBg read"), "key [MASKED] read");
    assert_eq!(masking(key, "XyzzyXyzzy"), MASK);
    assert_eq!(masking(key, "MIIEvQIB -----BEGIN KEY----- ab"), "MIIEvQIB -----BEGIN KEY----- ab");
    assert_eq!(masking(key, &key.replace('\n', "\\n")), MASK);
}

#[test]
fn the_lines_of_a_long_base64_are_masked_one_by_one() {
    let key: String = (0..40).map(|number| format!("line {number} of a key\n")).collect();
    let whole = STANDARD.encode(key.trim());
    for width in [60, 64, 76, 100] {
        for line in whole.as_bytes().chunks(width) {
            let line = std::str::from_utf8(line).unwrap();
            let masked = masking(&key, line);
            // White space at the ends of a piece does not count.
            assert!(masked.contains(MASK) && masked.len() < MASK.len() + 4, "{line} {masked}");
        }
    }
}

#[test]
fn what_is_left_of_a_secret_that_was_cut_is_masked() {
    let secret = "correct-horse-battery";
    assert_eq!(masking(secret, "the password correct-horse-b… is wrong"), "the password [MASKED]… is wrong");
    assert_eq!(masking(secret, "…rse-battery is wrong"), "…[MASKED] is wrong");
    assert_eq!(masking(secret, "…rect-horse-bat..."), "…[MASKED]...");
    assert_eq!(masking(secret, "it is corre… and …tery"), "it is [MASKED]… and …[MASKED]");
    assert_eq!(masking(secret, "correct-horses"), "correct-horses");
    let long = "x".repeat(16 << 10);
    assert_eq!(masking(secret, &format!("{long} correct-hor")), format!("{long} [MASKED]"));
    // Of a long one any piece is enough.
    let key: String = (0..100).map(|number| format!("{:08x}", number * 7919_u32)).collect();
    for start in 0..60 {
        assert_eq!(masking(&key, &format!("<{}>", &key[start..start + PIECE])), "<[MASKED]>", "{start}");
    }
}

#[test]
fn a_large_secret_costs_little() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let bytes: Vec<u8> = (0..(3 << 20) / 32).flat_map(|_| random()).collect();
    let encoded = STANDARD.encode(&bytes);
    let wrapped: Vec<&str> =
        encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let secret = wrapped.join("\n");
    let began = Instant::now();
    let mut masker = Masker::default();
    masker.hide(secret.as_bytes());
    let took = began.elapsed();
    for line in &wrapped[100..200] {
        assert_eq!(masker.mask(line), MASK);
    }
    assert!(took < Duration::from_secs(2), "{took:?}");
    let entry = size_of::<Entry>() + size_of::<(u64, NonZeroU32)>() * 2;
    let size = masker.entries.capacity() * entry + masker.values[0].bytes.capacity();
    assert!(size < 20 << 20, "{size}");
    for repeated in ["a".repeat(1 << 16), "0123456789".repeat(1 << 13)] {
        assert_eq!(masking(&repeated, &repeated), MASK);
    }
}

fn secrets() -> impl Strategy<Value = String> {
    let shown = |secret: &String| Secret::of(secret.as_bytes()).bytes.len() >= SHORTEST;
    prop_oneof!["[!-~]{8,40}", "[a-z<>&'\"\\\\/%+$ =éß€😀-]{8,40}", "[ -~\n]{12,200}", "\\PC{8,30}",]
        .prop_map(|secret| secret.trim().to_owned())
        .prop_filter("it is too short", shown)
}

proptest! {
    #[test]
    fn no_form_of_a_secret_is_shown(
        secret in secrets(), before in "([a-z =:'\"%&]{0,11}[ =:'\"])?", after in "[a-z ,'\"}]{0,12}",
    ) {
        let masker = masker(&[&secret]);
        for form in forms(&secret) {
            let text = format!("{before}{form} {after}");
            let masked = masker.mask(&text);
            prop_assert!(!masked.contains(&form), "{text} {masked}");
        }
        for (whole, inside) in inside_base64(&secret) {
            let masked = masker.mask(&whole);
            prop_assert!(!masked.contains(&inside), "{whole} {masked}");
        }
    }

    #[test]
    fn nothing_panics_and_nothing_else_is_masked(secret in ".{0,40}", text in ".{0,80}") {
        let masker = masker(&[&secret]);
        let masked = masker.mask(&text);
        if !masked.contains(MASK) {
            prop_assert_eq!(&masked, &text);
        }
    }
}

#[test]
fn a_part_of_a_name_is_shown() {
    let mut masker = Masker::default();
    masker.hide(b"inventory");
    masker.publish("inventory-api");
    let text = "Deployment/inventory-api connects as inventory to inventory_v2, not inventory-apis";
    let shown = "Deployment/inventory-api connects as [MASKED] to [MASKED]_v2, not [MASKED]-apis";
    assert_eq!(masker.mask(text), shown);
}
