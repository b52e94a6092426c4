//! Every case of the real chat templates, against what transformers rendered.

use wasmlx_template_jinja::{ErrorKind, Template};

#[test]
fn renders_as_transformers_does() {
    let Some(cases) = crate::shared::cases() else { return };
    let mut failed = Vec::new();
    for case in &cases {
        let rendered = Template::parse(&case.source)
            .and_then(|template| template.render(&case.context, &[], crate::shared::CLOCK))
            .map(|text| text.as_str().to_owned());
        let passes = match (&rendered, &case.expected) {
            (Ok(text), Ok(expected)) => text == expected,
            (Err(error), Err((kind, message))) if kind == "raise_exception" => {
                error.kind() == ErrorKind::Raised && error.message() == message
            }
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !passes {
            failed.push(format!("{}\n  expected {:?}\n  got {:?}", case.name, case.expected, rendered));
        }
    }
    println!("{} passed, {} failed", cases.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
