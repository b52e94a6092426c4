//! Who wrote each byte of a prompt: what a caller supplied is never taken for the template's, from no field.

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
                let Ok(text) = template.render(&context, crate::shared::CLOCK) else { continue };
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
        let Ok(text) = Template::parse(&case.source).unwrap().render(&case.context, crate::shared::CLOCK) else {
            continue;
        };
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
