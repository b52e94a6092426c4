//! Llama 3 by its cases, and beside Llama 3.2's own template where that is at hand.

#![allow(clippy::unwrap_used, reason = "a test stops where its surroundings are not as they should be")]

use std::path::{Path, PathBuf};

use wasmlx_template_jinja::ModelTemplate;
use wasmlx_template_llama3::Llama3;
use wasmlx_template_support::json::Json;
use wasmlx_template_support::prompt::joined;
use wasmlx_template_support::{PromptTemplate, cases};

fn cases_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

#[test]
fn cases_pass() {
    match cases::run::<Llama3>(&cases_folder()) {
        Ok(count) => assert!(count > 5, "{count} cases"),
        Err(failures) => panic!("{failures}"),
    }
}

#[test]
fn writes_what_the_models_own_template_writes() {
    let shared = match std::env::var_os("WASMLX_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = shared.join("chat-templates/templates/llamacpp--meta-llama-Llama-3.2-3B-Instruct.jinja");
    let Ok(source) = std::fs::read_to_string(&path) else {
        println!("skipped: no {}; WASMLX_SHARED says where the chat templates are", path.display());
        return;
    };
    let text = std::fs::read_to_string(cases_folder().join("llama3.json")).unwrap();
    for case in Json::read(&text).unwrap().items() {
        let token = case.get("config").and_then(|config| config.get("bos_token")?.as_str());
        let token = token.unwrap_or("<|begin_of_text|>");
        let config = Json::object([("chat_template", source.as_str().into()), ("bos_token", token.into())]).dumps();
        let conversation = cases::conversation(case.get("conversation").unwrap());
        let native = Llama3::configure(&config).unwrap().render(&conversation);
        let own = ModelTemplate::configure(&config).unwrap().render(&conversation);
        match (native, own) {
            (Ok(native), Ok(own)) => assert_eq!(joined(&native), joined(&own), "{}", case.get("name").unwrap().dumps()),
            (Err(_), Err(_)) => {}
            (native, own) => panic!("{}: {native:?} but {own:?}", case.get("name").unwrap().dumps()),
        }
    }
}
