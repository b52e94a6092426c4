//! The language, piece by piece: `language.json` holds templates with what Jinja2 3.1.6 makes of them in the
//! environment that transformers 5.23.0 gives chat templates, `null` where it raises an error.

use wasmlx_template_jinja::Template;
use wasmlx_template_support::json::Json;

use crate::shared::CLOCK;

#[test]
fn each_piece_means_what_it_means_in_jinja() {
    let file = Json::read(include_str!("language.json")).unwrap();
    let context = file.get("context").unwrap().entries();
    let cases = file.get("cases").unwrap().items();
    let mut failed = Vec::new();
    for case in cases {
        let (source, expected) = (case.items()[0].as_str().unwrap(), case.items()[1].as_str());
        let rendered = Template::parse(source).and_then(|template| template.render(context, &[], CLOCK));
        let passes = match (&rendered, expected) {
            (Ok(text), Some(expected)) => text.as_str() == expected,
            (Err(_), None) => true,
            _ => false,
        };
        if !passes {
            failed.push(format!("{source}\n  expected {expected:?}\n  got {rendered:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(cases.len() > 800, "{} cases", cases.len());
}
