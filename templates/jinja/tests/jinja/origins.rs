//! Who wrote each byte of a prompt: what a caller supplied is never taken for the template's, from no field.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use wasmlx_template_jinja::{Origin, Template};
use wasmlx_template_support::json::Json;

/// A letter that no template writes, and that no change of case, trimming or escaping alters.
const FOREIGN: char = 'ꙮ';

/// Applies `change` to the `index`th string of a JSON value, keys included; returns how many strings there are.
fn change_string(json: &mut Json, index: usize, change: &dyn Fn(&str) -> String) -> usize {
    fn walk(json: &mut Json, next: &mut usize, index: usize, change: &dyn Fn(&str) -> String) {
        match json {
            Json::String(text) => {
                if *next == index {
                    *text = change(text);
                }
                *next += 1;
            }
            Json::Array(items) => items.iter_mut().for_each(|item| walk(item, next, index, change)),
            Json::Object(entries) => {
                for (key, value) in entries {
                    if *next == index {
                        *key = change(key);
                    }
                    *next += 1;
                    walk(value, next, index, change);
                }
            }
            _ => {}
        }
    }
    let mut next = 0;
    walk(json, &mut next, index, change);
    next
}

/// The parts of a context that a caller supplies.
const SUPPLIED: [&str; 3] = ["messages", "tools", "documents"];

#[test]
fn no_byte_of_the_callers_is_trusted_from_any_field() {
    let Some(cases) = crate::shared::cases() else { return };
    // Whole markers, and halves of them that the template's own text might complete.
    let changes: [&dyn Fn(&str) -> String; 3] = [
        &|text| format!("{text}{FOREIGN}"),
        &|text| format!("{FOREIGN}<think>{FOREIGN}\n{text}\n</think>{FOREIGN}"),
        &|_| format!("{FOREIGN} {FOREIGN}"),
    ];
    let (mut rendered, mut seen) = (0, 0);
    for case in &cases {
        let template = Template::parse(&case.source).unwrap();
        for field in SUPPLIED {
            let Some(place) = case.context.iter().position(|(name, _)| name == field) else { continue };
            let count = change_string(&mut case.context[place].1.clone(), usize::MAX, &|text| text.to_owned());
            for index in 0..count {
                // Taking turns with the changes keeps the test short, and each field sees each of them.
                let change = changes[(rendered + index) % changes.len()];
                let mut context = case.context.clone();
                change_string(&mut context[place].1, index, change);
                let Ok(text) = template.render(&context, &[], crate::shared::CLOCK) else { continue };
                rendered += 1;
                for (piece, origin) in text.runs() {
                    let foreign = piece.contains(FOREIGN);
                    assert!(!foreign || origin == Origin::Caller, "{}, {field} {index}: {piece:?}", case.name);
                    seen += usize::from(foreign);
                }
            }
        }
    }
    assert!(rendered > 20_000 && seen > 20_000, "{rendered} renderings, {seen} pieces");
}

/// Pieces that look like markers: `<|name|>`, `<name>`, `</name>`, `[NAME]`.
fn markers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.char_indices().filter(|(_, c)| "<[".contains(*c)).filter_map(|(at, c)| {
        let close = if c == '<' { '>' } else { ']' };
        let end = at + text[at..].find(close)? + 1;
        let name = text[at + 1..end - 1].trim_start_matches('/').trim_matches('|');
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        is_name.then(|| (at, &text[at..end]))
    })
}

/// Whether a marker is made of a string that the caller supplied.
fn is_supplied(supplied: &str, marker: &str) -> bool {
    let name = marker.trim_matches(|c| "<>[]/".contains(c)).to_lowercase();
    supplied.contains(marker) || supplied.contains(&format!("\"{name}\""))
}

#[test]
fn markers_that_the_template_writes_are_trusted() {
    let Some(cases) = crate::shared::cases() else { return };
    let (mut trusted, mut failed) = (0, Vec::new());
    for case in &cases {
        let is_token = |(name, _): &&(String, Json)| name.ends_with("_token");
        let tokens: Vec<_> = case.context.iter().filter(is_token).cloned().collect();
        let template = Template::parse(&case.source).unwrap();
        let Ok(text) = template.render(&case.context, &tokens, crate::shared::CLOCK) else { continue };
        // A template may write a caller's word as a tag (`<type>`, from the keys of a schema): that stays the caller's.
        let supplied = case.context.iter().filter(|(name, _)| SUPPLIED.contains(&name.as_str()));
        let supplied: String = supplied.map(|(_, json)| json.dumps()).collect();
        let mut origins = Vec::new();
        text.runs().for_each(|(piece, origin)| origins.extend(std::iter::repeat_n(origin, piece.len())));
        for (at, marker) in markers(text.as_str()).filter(|(_, marker)| !is_supplied(&supplied, marker)) {
            match origins[at..at + marker.len()].iter().all(|origin| *origin == Origin::Template) {
                true => trusted += 1,
                false => failed.push(format!("{}: {marker}", case.name)),
            }
        }
    }
    println!("{trusted} trusted");
    failed.sort();
    failed.dedup();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Texts of a caller's that mean something to what formats, unescapes, splits or prints.
fn callers_text() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "ꙮ",
        "{0:ꙮ<9}",
        "{:ꙮ^9}",
        "{0:ꙮ=9}",
        "{0:{1}>9}",
        "{:c}",
        "{!r}",
        "{}",
        "{",
        "%c",
        "%5s",
        "%-9d",
        "%(ꙮ)s",
        "%ꙮ",
        "%%",
        "&lt;ꙮ&gt;",
        "<ꙮ>",
        "\"",
        "'",
        "\\",
        " ",
        "\n",
        "\t",
        "a",
        "7",
    ]);
    prop::collection::vec(fragment, 1..4).prop_map(|fragments| fragments.concat())
}

/// Expressions of every filter and method that gives text, over a caller's values and the template's.
fn expression() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "text", "other", "number", "list", "dict", "list[0]", "'T'", "'{:>9}'", "'%5s'", "(3)",
    ]);
    let change = prop::sample::select(vec![
        "E|capitalize",
        "E|center(9)",
        "E|default(A, true)",
        "E|dictsort|list",
        "E|escape",
        "E|first",
        "E|float",
        "E|forceescape",
        "E|format(A)",
        "E|format(A, B)",
        "E|groupby(A)|list",
        "E|indent(A)",
        "E|indent(2, true)",
        "E|int",
        "E|items|list",
        "E|join(A)",
        "E|last",
        "E|list",
        "E|lower",
        "E|map('upper')|list",
        "E|max",
        "E|replace(A, B)",
        "E|reverse|list",
        "E|safe",
        "E|slice(2, A)|list",
        "E|batch(2, A)|list",
        "E|sort",
        "E|string",
        "E|striptags",
        "E|sum",
        "E|title",
        "E|tojson",
        "E|tojson(indent=A)",
        "E|tojson(separators=[A, B])",
        "E|trim(A)",
        "E|truncate(5, true, A, 0)",
        "E|unique|list",
        "E|upper",
        "E|urlencode",
        "E.capitalize()",
        "E.casefold()",
        "E.center(9, A)",
        "E.expandtabs(A)",
        "E.format(A, B)",
        "E.format(A, A, B)",
        "E.format_map({A: B})",
        "E.format_map(dict)",
        "E.get(A, B)",
        "E.join([A, B])",
        "E.ljust(9, A)",
        "E.lstrip(A)",
        "E.partition(A)",
        "E.removeprefix(A)",
        "E.replace(A, B)",
        "E.rjust(9, A)",
        "E.rsplit(A)",
        "E.split(A)",
        "E.splitlines()",
        "E.strip(A)",
        "E.swapcase()",
        "E.title()",
        "E.zfill(9)",
        "(E % A)",
        "(E % (A, B))",
        "(E ~ A)",
        "(E + A)",
        "(E * 2)",
        "E[1:]",
        "E[::-1]",
        "E[A]",
        "[E, A]",
        "{E: A}",
        "dict(k=E)",
        "strftime_now(E)",
        "(E if A else B)",
    ]);
    let step = (change, atom.clone(), atom.clone());
    (atom, prop::collection::vec(step, 1..5)).prop_map(|(first, steps)| {
        steps.into_iter().fold(first.to_owned(), |inner, (change, a, b)| {
            let part = |c: char| match c {
                'E' => inner.clone(),
                'A' => a.to_owned(),
                'B' => b.to_owned(),
                c => c.to_string(),
            };
            format!("({})", change.chars().map(part).collect::<String>())
        })
    })
}

#[test]
fn no_expression_makes_a_callers_character_the_templates() {
    let strategy = (expression(), callers_text(), callers_text());
    let mut runner = TestRunner::deterministic();
    let (mut rendered, mut seen) = (0, 0);
    for _ in 0..60_000 {
        let (expression, text, other) = strategy.new_tree(&mut runner).unwrap().current();
        let strings = Json::Array(vec![other.as_str().into(), text.as_str().into()]);
        let context = [
            ("text", text.as_str().into()),
            ("other", other.as_str().into()),
            // Whoever gives this number gives this letter.
            ("number", Json::Integer(i128::from(u32::from(FOREIGN)))),
            ("dict", Json::Object(vec![(text.clone(), strings.clone()), (other.clone(), text.as_str().into())])),
            ("list", strings),
        ];
        let context = context.map(|(name, json)| (name.to_owned(), json));
        let template = Template::parse(&format!("{{{{ {expression} }}}}")).unwrap();
        let Ok(printed) = template.render(&context, &[], crate::shared::CLOCK) else { continue };
        rendered += 1;
        let pieces: String = printed.runs().map(|(piece, _)| piece).collect();
        assert_eq!(pieces, printed.as_str(), "{expression} of {context:?}");
        for (piece, origin) in printed.runs() {
            let foreign = piece.contains(FOREIGN);
            assert!(!foreign || origin == Origin::Caller, "{expression} of {context:?}: {piece:?}");
            seen += usize::from(foreign);
        }
    }
    assert!(rendered > 15_000 && seen > 5_000, "{rendered} renderings, {seen} pieces");
}
