//! `wasmlx debug-report`: everything that a maintainer asks for, secrets left out.

use serde_json::{Map, Value, json};
use wasmlx::Host;

use super::doctor;
use crate::GlobalOptions;
use crate::failure::Result;
use crate::output::Output;

pub(crate) async fn run(global: &GlobalOptions) -> Result {
    let checks = doctor::examine().await;
    let models = Host::builder().build().map(|host| host.models()).unwrap_or_default();
    let environment = environment(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
    );
    let mut output = Output::new();
    if global.json {
        let checks: Vec<Value> = checks.iter().map(doctor::Check::to_json).collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "system": system(),
            "checks": checks,
            "models": models,
            "environment": environment,
        });
        return output.text(&without_user(&format!("{report}\n")));
    }
    let mut text = format!("wasmlx {} on {}\n\nchecks\n", env!("CARGO_PKG_VERSION"), system());
    for check in &checks {
        text.push_str(&check.to_text());
    }
    text.push_str("\nmodels in the store\n");
    for model in &models {
        text.push_str(&format!("  {model}\n"));
    }
    text.push_str("\nenvironment\n");
    for (name, value) in &environment {
        text.push_str(&format!("  {name}={}\n", value.as_str().unwrap_or_default()));
    }
    output.text(&without_user(&text))?;
    output.flush()
}

/// The operating system by its own name.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} {} {} {}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        kernel.trim(),
        name.map(|name| name.trim_matches('"')).unwrap_or_default()
    )
    .trim_end()
    .to_owned()
}

/// The variables that change what the program does, by name and nothing but these; of one that may hold a secret
/// only whether it is set.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    const PREFIXES: [&str; 8] =
        ["WASMLX_", "MLX_", "HF_", "OPENBLAS_", "OMP_", "CUDA_VISIBLE", "RUST_LOG", "RUST_BACKTRACE"];
    const NAMES: [&str; 6] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "NO_COLOR", "CLICOLOR", "TERM", "LANG"];
    const SECRET: [&str; 5] = ["TOKEN", "KEY", "SECRET", "PASSWORD", "AUTH"];
    let mut shown: Vec<(String, String)> = variables
        .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name.as_str()))
        .map(|(name, value)| {
            let secret = SECRET.iter().any(|part| name.contains(part));
            let value = if secret { "(set)".to_owned() } else { without_credentials(&value) };
            (name, value)
        })
        .collect();
    shown.sort();
    shown.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}

/// `https://user:password@host/path?token=...` without what stands before the `@` and behind the path.
fn without_credentials(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let place = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    // A password may have an `@` of its own.
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The user's folder, which carries the user's name, as `~`.
fn without_user(text: &str) -> String {
    match std::env::var("HOME") {
        Ok(home) => without_folder(text, home.trim_end_matches('/')),
        Err(_) => text.to_owned(),
    }
}

/// A folder as `~` wherever it stands as a whole: `/people/ann` is no part of `/people/anna`.
fn without_folder(text: &str, folder: &str) -> String {
    if folder.is_empty() {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(folder) {
        let (before, found) = rest.split_at(at);
        shown.push_str(before);
        rest = &found[folder.len()..];
        let begins = !shown.ends_with(|last: char| last.is_alphanumeric() || "/._-~".contains(last));
        let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || "._-~".contains(next));
        shown.push_str(if begins && ends { "~" } else { folder });
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_is_not_ours_stay_out() {
        let variables = [
            ("HF_TOKEN", "hf_abc"),
            ("HF_ENDPOINT", "https://me:secret@mirror.example/hub"),
            ("WASMLX_HOME", "/data"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("PATH", "/bin"),
        ];
        let shown = environment(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let expected = json!({
            "HF_ENDPOINT": "https://mirror.example/hub", "HF_TOKEN": "(set)", "WASMLX_HOME": "/data",
        });
        assert_eq!(Value::Object(shown), expected);
    }

    #[test]
    fn addresses_keep_their_place_alone() {
        let addresses = [
            ("https://me:p@ss@mirror.example/hub?token=abc#part", "https://mirror.example/hub"),
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host?signature=abc", "https://host"),
            ("/data?", "/data?"),
        ];
        for (given, shown) in addresses {
            assert_eq!(without_credentials(given), shown);
        }
    }

    #[test]
    fn the_users_folder_is_told_from_others() {
        let text = "/people/ann/x:/people/ann \"/people/ann\" /people/anna /people/ann-old /mnt/people/ann /people/ann";
        assert_eq!(without_folder(text, "/people/ann"), "~/x:~ \"~\" /people/anna /people/ann-old /mnt/people/ann ~");
        assert_eq!(without_folder("/a", ""), "/a");
    }
}
