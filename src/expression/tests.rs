//! What expressions are worth, what is refused, and that nothing in one does harm.

use serde_json::{Value as Json, json};

use super::*;

fn object() -> Json {
    json!({
        "apiVersion": "example.com/v1", "kind": "Database",
        "metadata": {"name": "db", "generation": 3, "labels": {"app.kubernetes.io/name": "db"}},
        "spec": {"replicas": 3, "names": ["a", "b"], "ratio": 0.5, "paused": false},
        "status": {
            "observedGeneration": 3, "readyReplicas": 2, "phase": "Running", "since": "2026-10-03T14:00:00Z",
            "none": null, "empty": [],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Up"},
                {"type": "Synced", "status": "False", "reason": "Late", "message": "later"},
            ],
        },
    })
}

fn holds(text: &str) -> Result<bool, String> {
    let expression = Expression::compile(text).map_err(|fault| format!("{}: {}", fault.at, fault.message))?;
    expression.holds(&object())
}

/// Lines of the specification and of what people have in their Flux.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_true_is_true() {
    for text in [
        "status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')",
        "status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
        "has(status.conditions) && !has(status.nothing)",
        "!has(status.nothing) || status.nothing.deeper == 1",
        "metadata.generation == status.observedGeneration",
        "status.readyReplicas + 1 == spec.replicas",
        "status.readyReplicas < spec.replicas && spec.replicas <= 3 && 3.0 >= spec.replicas",
        "spec.replicas == 3.0 && 3u == spec.replicas && spec.ratio * 2.0 == 1.0",
        "spec.replicas != '3' && status.none == null",
        "status.?nothing.?deeper.orValue('x') == 'x'",
        "status.?phase.orValue('') == 'Running'",
        "status.?nothing.hasValue() == false && status.?phase.hasValue()",
        "status.?phase.optMap(p, p + '!').value() == 'Running!'",
        "status.?nothing.or(status.?phase).value() == 'Running'",
        "optional.of(1).optFlatMap(n, optional.none()).orValue(2) == 2",
        "optional.ofNonZeroValue('').hasValue() == false",
        "status.conditions[?5].?type.orValue('none') == 'none'",
        "status.conditions[1].type == 'Synced' && status['phase'] == 'Running'",
        "metadata.labels['app.kubernetes.io/name'] == 'db'",
        "'app.kubernetes.io/name' in metadata.labels && !('x' in metadata.labels)",
        "status.phase in ['Running', 'Ready'] && !(4 in [1, 2, 3])",
        "status.conditions.exists_one(c, c.type == 'Ready')",
        "status.conditions.map(c, c.type) == ['Ready', 'Synced']",
        "status.conditions.map(c, c.status == 'True', c.type) == ['Ready']",
        "status.conditions.filter(c, c.reason.startsWith('L'))[0].message == 'later'",
        "size(status.conditions) == 2 && status.conditions.size() == 2 && 'é'.size() == 1 && status.empty.size() == 0",
        "timestamp(status.since) < timestamp('2026-10-03T14:00:01.5Z')",
        "timestamp(status.since) + duration('1h30m') == timestamp('2026-10-03T15:30:00Z')",
        "timestamp('2026-10-03T15:30:00Z') - timestamp(status.since) == duration('5400s')",
        "timestamp(status.since).getHours() == 14 && timestamp(status.since).getHours('Europe/Berlin') == 16",
        "timestamp(status.since).getHours('-02:30') == 11 && timestamp(status.since).getMinutes('-02:30') == 30",
        "timestamp(status.since).getMonth() == 9 && timestamp(status.since).getDate() == 3",
        "timestamp(status.since).getDayOfWeek() == 6 && timestamp(status.since).getDayOfMonth() == 2",
        "duration('-1.5s').getMilliseconds() == -500 && duration('100ms') < duration('1s') && duration('0') == duration('0s')",
        "string(duration('1m30s')) == '90s' && string(3) == '3' && string(true) == 'true'",
        "int('7') == 7 && int(3.9) == 3 && double('1.5') == 1.5 && uint(7) == 7u && bool('true')",
        "type(1) == int && type('') == string && type([]) == list && type({}) == map && type(null) == null_type",
        "'abc'.contains('b') && 'abc'.endsWith('c') && 'a1'.matches('^[a-z][0-9]$') && matches('x', '.')",
        "'abc'.charAt(1) == 'b' && 'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3 && 'abc'.indexOf('z') == -1",
        "'abcb'.indexOf('b', 2) == 3 && 'abcb'.lastIndexOf('b', 2) == 1",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && 'a,b,c'.split(',') == ['a', 'b', 'c']",
        "'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'abc'.split('') == ['a', 'b', 'c']",
        "'Ab'.lowerAscii() == 'ab' && 'Ab'.upperAscii() == 'AB' && ' a '.trim() == 'a' && 'abc'.reverse() == 'cba'",
        "'aaa'.replace('a', 'b', 2) == 'bba' && 'äbc'.substring(1) == 'bc' && 'abc'.substring(0, 2) == 'ab'",
        "'%s is %d of %.1f, %x'.format(['db', 2, 2.5, 255]) == 'db is 2 of 2.5, ff'",
        "'%s'.format([[1, 'a', true]]) == '[1, a, true]'",
        "sets.contains([1, 2, 3], [3, 1]) && !sets.contains([1], [2]) && sets.intersects([1, 2], [2, 5])",
        "sets.equivalent([1, 2, 2], [2, 1]) && !sets.equivalent([1, 2], [1]) && !sets.equivalent([1], [1, 2])",
        "base64.encode(b'hello') == 'aGVsbG8=' && base64.decode('aGVsbG8') == b'hello'",
        "{'a': 1}.a == 1 && {'a': 1, ?'b': status.?nothing} == {'a': 1} && [1, ?status.?nothing] == [1]",
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 % 3 == -1 && 10 - 2 - 3 == 5 && -9223372036854775808 < 0",
        "true ? true : false ? false : false",
        "(1 == 1 ? 'a' : 'b') == 'a' && !!true",
        "r'\\d' == '\\\\d' && '\\u00e9' == 'é' && '''a'b''' == \"a'b\" && '\\x41\\101' == 'AA'",
        "[[1], [2]].exists(x, x == [2]) && {1: 'a'}[1] == 'a' && {'x': 1}.exists(k, k == 'x')",
        "dyn(1) == 1 && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2] && 'a' < 'b'",
        // An error does not matter where another part decides.
        "status.nothing == 1 || true",
        "!(status.nothing == 1 && false)",
        "[1, 2].exists(x, x / 0 == 1 || x == 2)",
        "kind == 'Database' && apiVersion == 'example.com/v1' // as people write",
        "status.conditions.exists(status, status.type == 'Ready')",
    ] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    for (text, why) in [
        ("status.nothing == 1", "no such key: nothing"),
        ("data.x == 1", "the object has no `data`"),
        ("has(status.nothing.deeper)", "no such key: nothing"),
        ("status.phase", "its value is a string, not true or false"),
        ("status.phase.size() + 1.0 == 2.0", "`+` does not take a int and a double"),
        ("9223372036854775807 + 1 == 0", "the result of `+` is too large"),
        ("-9223372036854775808 / -1 == 0", "the result of `/` is too large"),
        ("1 / 0 == 1", "division by zero"),
        ("1u - 2u == 0u", "the result of `-` is too large"),
        ("status.conditions[2].type == ''", "the list has no such item"),
        ("status.phase < 3", "a string cannot be compared with a int"),
        ("timestamp('soon') == timestamp(0)", "`soon` is not a time"),
        ("duration('1 day') == duration('0')", "`1 day` is not a duration such as 90s or 1h30m"),
        ("int('seven') == 7", "`seven` cannot be converted"),
        (
            "status.phase.matches(status.phase + '(')",
            "the pattern `Running(` is not a regular expression (RE2)",
        ),
        ("spec.replicas.startsWith('a')", "a int has no method `startsWith(string)`"),
        ("status.?nothing.value() == 1", "the optional has no value"),
        ("'abc'.substring(2, 1) == ''", "a substring from 2 to 1 ends before it begins"),
        (
            "timestamp('9999-12-01T00:00:00Z') + duration('1000000h') > timestamp(0)",
            "the result of `+` is too large",
        ),
    ] {
        assert_eq!(holds(text), Err(why.to_owned()), "{text}");
    }
}

#[test]
fn a_mistake_is_found_when_it_is_read() {
    let fault = |text: &str| {
        let fault = Expression::compile(text).expect_err(text);
        format!("{} {} ({})", fault.at, fault.message, fault.hint.unwrap_or_default())
    };
    for (text, wanted) in [
        ("", "0 the expression is empty (such as `status.phase == 'Ready'`)"),
        ("status.phase ==", "15 expected a value, found the end ()"),
        ("status.phase = 'a'", "13 `=` has no meaning here (write `==` to compare)"),
        ("status.phase 'a'", "13 expected an operator, found the string 'a' ()"),
        ("(1", "2 expected `)`, found the end ()"),
        ("'abc", "0 the string that begins here has no closing ' ()"),
        ("statu.phase", "0 unknown variable `statu` (did you mean `status`?)"),
        (
            "object.status.x",
            "0 unknown variable `object` (the object's fields are variables: `status`, not `object.status`)",
        ),
        (
            "status.x.hasPrefix('a')",
            "9 unknown method `hasPrefix` (the functions are those of CEL with strings, sets, encoders and optionals)",
        ),
        ("status.x.startWith('a')", "9 unknown method `startWith` (did you mean `startsWith`?)"),
        ("contains(status.x, 'a')", "0 unknown function `contains` (it is a method: `x.contains(…)`)"),
        ("status.x.contains()", "9 wrong number of arguments for `contains` ()"),
        (
            "set.contains([1], [1])",
            "0 unknown variable `set` (the variables are apiVersion, kind, metadata, spec, status, data; strings are in quotes)",
        ),
        ("has(status)", "4 `has` asks for a field (such as `has(status.phase)`)"),
        (
            "status.a.exists('x', true)",
            "16 `exists` needs a name for each item first (such as `status.conditions.exists(c, c.type == 'Ready')`)",
        ),
        ("status.a.all(x, true, false)", "9 wrong number of arguments for `all` ()"),
        ("status.a.matches('(')", "17 the pattern `(` is not a regular expression (RE2) ()"),
        ("99999999999999999999", "0 the number is too large ()"),
        ("for == 1", "0 `for` is a reserved word ()"),
        ("status.x && é", "12 `é` has no meaning here ()"),
        (r"'\q'", "1 unknown escape in a string (write `\\\\` for a backslash, or r'…')"),
    ] {
        assert_eq!(fault(text), wanted, "{text}");
    }
}

/// Whatever an expression costs, it ends soon; and however deep it is, the stack holds.
#[test]
fn what_costs_too_much_ends() {
    let many = json!({"status": {"items": (0..2000).collect::<Vec<_>>(), "text": "a".repeat(100_000)}});
    let of = |text: &str| {
        Expression::compile(text).map_err(|fault| fault.message).and_then(|one| one.holds(&many))
    };
    let too_long = Err("the expression takes more than 400000 steps".to_owned());
    let start = std::time::Instant::now();
    let nested = "status.items.all(a, status.items.all(b, status.items.all(c, true)))";
    assert_eq!(of(nested), too_long);
    assert_eq!(of("status.items.map(a, status.items.map(b, status.text + status.text)) == []"), too_long);
    assert_eq!(of("status.items.all(a, status.text.matches('(a+)+' + string(a) + '$') || true)"), too_long);
    assert_eq!(
        of("status.items.all(a, status.items + status.items == status.items + status.items)"),
        too_long
    );
    assert_eq!(of("status.text.replace('a', status.text) == ''"), too_long);
    assert_eq!(
        of("status.items.all(a, '%.99f'.format([1.0]) != '')"),
        Err("`format` writes 40 digits at most".to_owned())
    );
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());

    for (open, close) in [("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("true ? 1 : ", ""), ("{'a': ", "}")]
    {
        let text = format!("{}true{}", open.repeat(500), close.repeat(500));
        assert_eq!(of(&text), Err("the expression is nested more than 48 levels deep".to_owned()), "{open}");
    }
    for part in [" + 1", ".a", "[0]", ".map(a, a)"] {
        let text = format!("status.items{}", part.repeat(600));
        assert_eq!(of(&text), Err("the expression is nested more than 48 levels deep".to_owned()), "{part}");
    }
    assert_eq!(of(&format!("true{}", " && true".repeat(900))), Ok(true));
    assert_eq!(of(&"a".repeat(LONGEST + 1)), Err(format!("the expression is longer than {LONGEST} bytes")));
    assert_eq!(of(&format!("'{}'.matches('a')", "x".repeat(2000))), Ok(false));
    assert_eq!(of("'a'.matches('((a{1000}){1000}){1000}')"), Err("the pattern is too large".to_owned()));
}

/// Pieces of expressions in any order, and expressions with a piece missing: nothing panics.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn no_text_makes_it_panic() {
    const PIECES: &[&str] = &[
        "status",
        "spec",
        ".",
        "?",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "'",
        "\"",
        "'''",
        "\\",
        "r'",
        "b'\\xff'",
        "é",
        "0",
        "1",
        "-",
        "9223372036854775808",
        "9223372036854775807",
        "0x",
        "1e999",
        "1u",
        ".5",
        "==",
        "!=",
        "<",
        "in",
        "&&",
        "||",
        "!",
        "+",
        "*",
        "/",
        "%",
        "conditions",
        "exists(c, c)",
        "map(x, x)",
        "all",
        "filter(c, c.type)",
        "has(status.a)",
        "duration('1h')",
        "timestamp('2026-10-03T14:00:00Z')",
        "getHours('x:y')",
        "substring(1, 9)",
        "charAt(-1)",
        "split('')",
        "replace('', 'x')",
        "format(['%s'])",
        "'%'",
        "matches('[')",
        "sets.contains([1], [x])",
        "optional.of(1)",
        "value()",
        "orValue(1)",
        "null",
        "true",
        "int('')",
        "double('NaN')",
        "type(1)",
        " ",
        "\n",
        "//",
    ];
    let mut state = 20_261_130_u64;
    let mut random = |most: usize| {
        // xorshift: the same each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % most as u64).expect("it is below `most`")
    };
    let object = object();
    let mut compiled = 0;
    for turn in 0..20_000 {
        let mut text = String::new();
        if turn % 2 == 0 {
            for _ in 0..=random(12) {
                text += PIECES[random(PIECES.len())];
            }
        } else {
            let whole: Vec<char> = "status.conditions.filter(e, e.type == 'Ready').map(e, e.status)[?0].orValue('x') == \
                                    string(1 + spec.replicas) || timestamp(status.since).getHours('Europe/Berlin') > -3"
                .chars()
                .collect();
            let (from, to) = (random(whole.len()), random(whole.len()));
            text.extend(&whole[..from.min(to)]);
            text += PIECES[random(PIECES.len())];
            text.extend(&whole[from.max(to)..]);
        }
        if let Ok(expression) = Expression::compile(&text) {
            compiled += 1;
            let _ = (expression.holds(&object), expression.words(&object), expression.asks_all_of_a_filter());
        }
    }
    assert!(compiled > 100, "{compiled}");
}
