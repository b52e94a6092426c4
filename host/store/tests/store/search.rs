//! Searches: what comes of a hub's answer, what is kept, and what there is without a hub.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wasmlx_store::{
    Candidate, Checked, Holding, ModelFacts, ModelMemory, Runnable, SearchCache, SearchQuery, Surroundings, catalogue,
    catalogue_entry, catalogue_table, quality, select,
};

use crate::support::Home;

/// What a build of this program runs.
const ARCHITECTURES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

/// 2025-10-01.
const NOW: u64 = 1_759_276_800;

fn around<'a>(memory: Option<u64>, stored: &'a BTreeSet<String>) -> Surroundings<'a> {
    Surroundings {
        now: NOW,
        architectures: &ARCHITECTURES,
        machine: ModelMemory { holding: Holding::AS_STORED, bytes: memory },
        stored,
    }
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search-cases")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each file of the folder: a query, a hub's answer, and the rows that come of them; `asked` is a part of what the hub is
/// asked. Where `UPDATE_CASES` is set the rows are written.
#[test]
fn every_case_gives_its_rows() {
    let mut paths: Vec<PathBuf> = fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    assert!(paths.len() >= 25, "{paths:?}");
    for path in paths {
        let mut case = read(&path);
        let mut query: SearchQuery = serde_json::from_value(case["query"].clone()).unwrap();
        if query.limit == 0 {
            query.limit = 100;
        }
        let answer = match case["answer_of"].as_str() {
            Some(name) => read(&cases().join("answers").join(format!("{name}.json"))),
            None => case["answer"].clone(),
        };
        let stored = serde_json::from_value(case.get("stored").cloned().unwrap_or(json!([]))).unwrap();
        let found =
            select(Candidate::of_answer(answer.as_array().unwrap()), &query, &around(case["memory"].as_u64(), &stored));
        let rows: Vec<String> = found.iter().map(row).collect();
        if std::env::var_os("UPDATE_CASES").is_some() {
            case["rows"] = json!(rows);
            fs::write(&path, serde_json::to_string_pretty(&case).unwrap() + "\n").unwrap();
        }
        assert_eq!(json!(rows), case["rows"], "{}: {}", path.display(), case["about"]);
        #[cfg(feature = "hub")]
        if let Some(asked) = case["asked"].as_str() {
            let parameters: Vec<String> =
                query.hub_parameters().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let parameters = parameters.join("&");
            assert!(parameters.contains(asked), "{}: {parameters}", path.display());
        }
        // Whatever the hub says, a row can be shown as it is.
        let shown = serde_json::to_string(&found).unwrap();
        assert!(shown.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{shown}");
    }
}

/// A row, as a line.
fn row(found: &wasmlx_store::Found) -> String {
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let candidate = &found.candidate;
    let runs = match &found.runnable {
        Runnable::Yes => "runs",
        Runnable::No { .. } => "does not run",
        Runnable::Unknown => "may run",
    };
    format!(
        "{}: {} {}, {} B of weights, {} downloads, {} likes, quality {}, {} MB{}, {runs}{}{}",
        candidate.id,
        text(candidate.facts.parameters.map(|count| count.to_string())),
        text(candidate.facts.quantization.as_ref().map(ToString::to_string)),
        text(candidate.bytes.map(|bytes| bytes.to_string())),
        text(candidate.downloads.map(|count| count.to_string())),
        text(candidate.likes.map(|count| count.to_string())),
        found.quality,
        found.memory.total_bytes / 1_000_000,
        if found.memory.is_guess() { " at a guess" } else { "" },
        if candidate.gated { ", gated" } else { "" },
        if found.stored { ", here" } else { "" },
    )
}

fn candidate(downloads: u64, likes: u64, age: u64) -> Candidate {
    Candidate {
        id: "a/b".to_owned(),
        downloads: Some(downloads),
        likes: Some(likes),
        modified: Some(NOW.saturating_sub(age)),
        ..Candidate::default()
    }
}

proptest! {
    /// More of anything that counts never lowers the score, which stays between 0 and 100.
    #[test]
    fn quality_grows_with_what_it_counts(downloads: u64, likes: u64, age in 0..2 * NOW, more: u64, sooner: u64) {
        let before = candidate(downloads, likes, age);
        let score = quality(&before, NOW);
        prop_assert!(score <= 100);
        let better = [
            candidate(downloads.saturating_add(more), likes, age),
            candidate(downloads, likes.saturating_add(more), age),
            candidate(downloads, likes, age.saturating_sub(sooner)),
            Candidate { license: Some("mit".into()), ..before.clone() },
            Candidate { facts: ModelFacts::of_id("a/b-1B-4bit", &["llama", "text-generation"]), ..before.clone() },
            Candidate { id: "qwen/b".into(), ..before.clone() },
        ];
        for better in better {
            prop_assert!(quality(&better, NOW) >= score, "{better:?}");
        }
    }

    /// Any JSON in the place of any field gives rows or none.
    #[test]
    fn any_answer_is_read(text: String, number: f64, count: u64) {
        for value in [json!(text), json!(number), json!(count), json!([text]), json!({"parameters": {"U32": count}})] {
            let keys = ["id", "tags", "downloads", "likes", "lastModified", "config", "cardData", "safetensors", "gguf",
                "gated", "pipeline_tag", "trendingScore"];
            for key in keys {
                let mut model = json!({"id": "a/b-4bit"});
                model[key] = value.clone();
                let query = SearchQuery { limit: 10, ..SearchQuery::default() };
                select(Candidate::of_answer(&[model]), &query, &around(None, &BTreeSet::new()));
            }
        }
    }
}

/// The best there is gets all points.
#[test]
fn quality_reaches_its_bounds() {
    let best = Candidate {
        id: "mlx-community/Qwen3-0.6B-4bit".to_owned(),
        facts: ModelFacts::of_id("mlx-community/Qwen3-0.6B-4bit", &["qwen3", "text-generation"]),
        license: Some("mit".to_owned()),
        ..candidate(u64::MAX, u64::MAX, 0)
    };
    assert_eq!(quality(&best, NOW), 100);
    assert_eq!(quality(&Candidate::default(), NOW), 0);
}

#[test]
fn answers_are_kept_for_a_while() {
    let home = Home::new();
    let cache = SearchCache::new(home.store.home());
    let query = SearchQuery { words: "qwen3".to_owned(), limit: 5, ..SearchQuery::default() };
    let kept = vec![candidate(1, 2, 3)];
    cache.put("http://hub", false, &query, &kept, NOW);

    let fresh = cache.get("http://hub", false, &query, NOW + 3600).unwrap();
    assert_eq!((fresh.candidates.clone(), fresh.age, fresh.is_fresh()), (kept, 3600, true));
    assert!(!cache.get("http://hub", false, &query, NOW + 3601).unwrap().is_fresh());

    let other = SearchQuery { limit: 6, ..query.clone() };
    let misses = [
        cache.get("http://other", false, &query, NOW),
        cache.get("http://hub", true, &query, NOW),
        cache.get("http://hub", false, &other, NOW),
        cache.get("http://hub", false, &query, NOW + 31 * 86_400),
        cache.get("http://hub", false, &query, NOW - 1),
    ];
    assert!(misses.iter().all(Option::is_none), "{misses:?}");
}

#[test]
fn the_cache_is_bounded_and_what_is_torn_is_no_answer() {
    let home = Home::new();
    let cache = SearchCache::new(home.store.home());
    let folder = home.store.home().join("cache/search");
    let query = |number: usize| SearchQuery { words: format!("model {number}"), ..SearchQuery::default() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for number in 0..80 {
        cache.put("http://hub", false, &query(number), &[candidate(1, 1, 1)], now);
    }
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(files().len(), 64);

    let whole = fs::read(&files()[0]).unwrap();
    let hostile = String::from_utf8(whole.clone()).unwrap().replace("a/b", "a/\\u001b[2J");
    for torn in [&whole[..whole.len() / 2], b"", b"[]", hostile.as_bytes(), &vec![b' '; 9 << 20]] {
        for file in files() {
            fs::write(file, torn).unwrap();
        }
        assert!((0..80).all(|number| cache.get("http://hub", false, &query(number), now).is_none()));
    }
    // One that is torn is replaced.
    cache.put("http://hub", false, &query(79), &[candidate(1, 1, 1)], now);
    assert!(cache.get("http://hub", false, &query(79), now).is_some());
}

#[test]
fn without_a_hub_the_store_and_the_catalogue_are_searched() {
    let home = Home::new();
    let config = json!({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}).to_string();
    home.pull(
        "mlx-community/Qwen3-0.6B-4bit",
        &[("config.json", config.as_bytes()), ("model.safetensors", b"weights")],
    );
    let candidates = home.store.candidates().unwrap();
    assert_eq!(candidates.len(), catalogue().len() + 1);
    let stored = home.store.stored_ids().unwrap();
    let query = SearchQuery { words: "Qwen3 0.6b".to_owned(), limit: 10, ..SearchQuery::default() };
    let matching: Vec<Candidate> = candidates.into_iter().filter(|it| it.has_words(&query.words)).collect();
    let rows = select(matching, &query, &around(None, &stored));
    let ids: Vec<(&str, bool)> = rows.iter().map(|row| (row.candidate.id.as_str(), row.stored)).collect();
    assert_eq!(ids, [("Qwen/Qwen3-0.6B", false), ("mlx-community/Qwen3-0.6B-4bit", true)]);
}

/// Every entry runs here, has as many parameters as its shape, and a short name that is no other's.
#[test]
fn the_catalogue_is_right() {
    let mut names = BTreeSet::new();
    let mut sizes = Vec::new();
    for entry in catalogue() {
        assert_eq!(entry.facts.runnable(&ARCHITECTURES), Runnable::Yes, "{}", entry.id);
        assert!(names.insert(entry.short.to_lowercase()) && names.insert(entry.id.to_lowercase()), "{}", entry.id);
        assert_eq!(catalogue_entry(&entry.short.to_uppercase()), Some(entry));
        assert!(!entry.memory(Holding::AS_STORED).is_guess(), "{}", entry.id);
        sizes.push(entry.facts.parameters.unwrap());
        // That the model itself answered must have been seen, and is said of none yet.
        assert_ne!(entry.checked, Checked::Answers, "{}", entry.id);
    }
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert_eq!(catalogue_entry("no such model"), None);

    let toml: toml::Table = include_str!("../../catalogue.toml").parse().unwrap();
    for (name, shape) in toml["shape"].as_table().unwrap() {
        let number = |key: &str| shape.get(key).and_then(toml::Value::as_integer);
        let [hidden, middle, layers] =
            ["hidden_size", "intermediate_size", "num_hidden_layers"].map(|key| number(key).unwrap());
        let [heads, groups] = ["num_attention_heads", "num_key_value_heads"].map(|key| number(key).unwrap());
        let head = number("head_dim").unwrap_or(hidden / heads);
        let norms = match shape["model_type"].as_str().unwrap() {
            "qwen3" => 2 * head,
            "qwen2" => (heads + 2 * groups) * head,
            _ => 0,
        };
        let layer = 2 * hidden * heads * head + 2 * hidden * groups * head + 3 * hidden * middle + 2 * hidden + norms;
        let embeddings = if shape["tie_word_embeddings"].as_bool().unwrap() { 1 } else { 2 };
        let counted = embeddings * number("vocab_size").unwrap() * hidden + layers * layer + hidden;
        assert_eq!(number("parameters"), Some(counted), "{name}");
    }
}

/// The table in README is the catalogue's; `catalogue_table` says what it is to be.
#[test]
fn the_readme_has_the_catalogue() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let table = catalogue_table();
    assert!(readme.contains(&table), "README.md lacks the table of the catalogue; it is:\n{table}");
}
