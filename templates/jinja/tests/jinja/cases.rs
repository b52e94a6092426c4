//! The cases that stand beside the template.

use std::path::Path;

use wasmlx_template_jinja::ModelTemplate;
use wasmlx_template_support::cases;

#[test]
fn cases_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    match cases::run::<ModelTemplate>(&folder) {
        Ok(count) => assert!(count > 5, "{count} cases"),
        Err(failures) => panic!("{failures}"),
    }
}
