//! The tokens that mlx-lm generates with the same weights: tiny models of every kind, and the built-in one.
//!
//! `tests/fixtures/models/generate.py` made the models and the answers, with all weights in float32.

#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not what they call

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wasmlx_backend::{Backend, BackendErrorKind, Dtype, Input, LoadOptions, Model};
use wasmlx_backend_mlx::{DeviceChoice, MlxBackend};

#[derive(Deserialize)]
struct Expected {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    /// How far the best score was ahead of the second at each token.
    gaps: Vec<f32>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn expected(fixture: &str) -> BTreeMap<String, Expected> {
    let text = std::fs::read(repository().join("tests/fixtures").join(fixture).join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn load(folder: &Path) -> Box<dyn Model> {
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    backend.load(folder, &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Greedy tokens, each step queued before the token before it is read.
fn generate(model: &dyn Model, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut cache = model.new_cache();
    let mut next = model.forward(Input::Ids(prompt), &mut *cache).unwrap().argmax().unwrap();
    next.start().unwrap();
    let mut tokens = Vec::new();
    while tokens.len() < count {
        let token = next;
        next = model.forward(Input::Sampled(&*token), &mut *cache).unwrap().argmax().unwrap();
        next.start().unwrap();
        tokens.push(token.read().unwrap());
    }
    assert_eq!(cache.len(), prompt.len() + count);
    tokens
}

#[test]
fn tiny_models_of_every_kind_give_mlx_lm_tokens() {
    let models = expected("models");
    assert_eq!(models.len(), 10);
    for (name, expected) in models {
        let model = load(&repository().join("tests/fixtures/models").join(&name));
        assert_eq!(generate(&*model, &expected.prompt, expected.tokens.len()), expected.tokens, "{name}");
    }
}

/// One prompt in sixteen may differ, where two tokens were as good as equal.
#[test]
fn the_built_in_model_gives_mlx_lm_tokens() {
    let model = load(&repository().join("host/store/default-model"));
    let chats = expected("builtin");
    assert_eq!(chats.len(), 16);
    let mut different = Vec::new();
    for (chat, expected) in chats {
        let tokens = generate(&*model, &expected.prompt, expected.tokens.len());
        let difference = tokens.iter().zip(&expected.tokens).position(|(ours, theirs)| ours != theirs);
        if let Some(place) = difference {
            assert!(expected.gaps[place] < 1e-4, "{chat}: token {place}, {} ahead", expected.gaps[place]);
            different.push(chat);
        }
    }
    assert!(different.len() <= 1, "{different:?}");
}

/// Two backends on threads of their own share the device, and neither notices.
#[test]
fn backends_on_two_threads_give_the_tokens_each_gives_alone() {
    let models = expected("models");
    std::thread::scope(|scope| {
        for name in ["llama-float32", "qwen3-4bit"] {
            let expected = &models[name];
            scope.spawn(move || {
                for _ in 0..3 {
                    let model = load(&repository().join("tests/fixtures/models").join(name));
                    assert_eq!(generate(&*model, &expected.prompt, expected.tokens.len()), expected.tokens, "{name}");
                }
            });
        }
    });
}

/// However a text is cut into passes, forked or taken back, the same tokens follow.
#[test]
fn chunks_forks_and_truncation_change_no_token() {
    for name in ["llama-windows", "qwen3-yarn"] {
        let expected = &expected("models")[name];
        let model = load(&repository().join("tests/fixtures/models").join(name));
        let (head, tail) = expected.prompt.split_at(27);
        let mut cache = model.new_cache();
        for chunk in head.chunks(10) {
            model.prefill(chunk, &mut *cache).unwrap();
        }
        let mut fork = cache.fork().unwrap();
        model.prefill(&[1, 2, 3, 4, 5, 6, 7], &mut *fork).unwrap();
        assert_eq!((cache.len(), fork.len()), (27, 34));
        model.prefill(&[9; 5], &mut *cache).unwrap();
        for mut cache in [cache, fork] {
            cache.truncate(27).unwrap();
            let mut tokens = tail.to_vec();
            for &token in &expected.tokens[..20] {
                let best = model.forward(Input::Ids(&tokens), &mut *cache).unwrap().argmax().unwrap();
                assert_eq!(best.read().unwrap(), token, "{name}");
                tokens = vec![token];
            }
        }
    }
}

/// Rooms of the cache grow in steps; a text longer than one must not notice.
#[test]
fn a_cache_grows_without_losing_anything() {
    let folder = repository().join("tests/fixtures/models/qwen2-4bit");
    let model = load(&folder);
    let text: Vec<u32> = (0..600u32).map(|index| index * 37 % 320).collect();
    let mut whole = model.new_cache();
    let expected = model.forward(Input::Ids(&text), &mut *whole).unwrap().read().unwrap();
    let mut grown = model.new_cache();
    for chunk in text[..599].chunks(100) {
        model.prefill(chunk, &mut *grown).unwrap();
    }
    let scores = model.forward(Input::Ids(&text[599..]), &mut *grown).unwrap().read().unwrap();
    let farthest = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest < 1e-3, "{farthest}");
    assert_eq!(grown.bytes(), whole.bytes());
}

#[test]
fn info_says_what_was_loaded_and_what_it_takes() {
    let model = load(&repository().join("host/store/default-model"));
    let info = model.info();
    assert_eq!((info.architecture.as_str(), info.vocabulary_size, info.context_length), ("llama", 8192, 1024));
    assert_eq!((info.dtype.as_str(), info.quantization.as_deref()), ("float32", None));
    assert_eq!(info.parameters, 21_895_680);
    assert!((4 * 21_800_000..=4 * 21_895_680).contains(&info.weight_bytes), "{}", info.weight_bytes);
}

/// Half precision rounds, but points the same way; quantised weights stay quantised in it.
#[test]
fn half_precision_agrees_with_float32() {
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    for (name, expected) in expected("models") {
        let folder = repository().join("tests/fixtures/models").join(&name);
        let mut scores = [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16].map(|dtype| {
            let model = backend.load(&folder, &LoadOptions { dtype }, &mut |_| ControlFlow::Continue(())).unwrap();
            let dtype = format!("{dtype:?}").to_lowercase();
            assert_eq!(model.info().dtype, dtype, "{name}");
            assert_eq!(model.info().quantization.is_some(), dtype != "float32" && name.contains("bit"), "{name}");
            let mut cache = model.new_cache();
            let (prompt, last) = expected.prompt.split_at(expected.prompt.len() - 1);
            model.prefill(prompt, &mut *cache).unwrap();
            model.forward(Input::Ids(last), &mut *cache).unwrap().read().unwrap()
        });
        for scores in &mut scores {
            let length = scores.iter().map(|score| score * score).sum::<f32>().sqrt();
            scores.iter_mut().for_each(|score| *score /= length);
        }
        for half in &scores[1..] {
            let cosine: f32 = half.iter().zip(&scores[0]).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.995, "{name}: {cosine}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let folder = repository().join("tests/fixtures/models");
    let (model, other) = (load(&folder.join("llama-float32")), load(&folder.join("qwen3-yarn")));
    let refused = |result: Result<_, wasmlx_backend::BackendError>| {
        let error = result.map(|_: Box<dyn wasmlx_backend::Logits>| ()).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidInput, "{error}");
        error.to_string()
    };
    let mut cache = model.new_cache();
    assert_eq!(refused(model.forward(Input::Ids(&[]), &mut *cache)), "a model cannot read no tokens");
    let outside = refused(model.forward(Input::Ids(&[5, 320]), &mut *cache));
    assert_eq!(outside, "token 320 is outside the model's vocabulary of 320");
    assert_eq!(refused(model.forward(Input::Ids(&[5]), &mut *other.new_cache())), "the cache belongs to another model");
    assert_eq!(cache.len(), 0);
}

#[test]
fn counters_tell_what_was_asked_of_the_device() {
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    let folder = repository().join("tests/fixtures/models/llama-float32");
    let model = backend.load(&folder, &LoadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    let before = backend.counters();
    let mut cache = model.new_cache();
    model.prefill(&[1, 2, 3], &mut *cache).unwrap();
    let token = model.forward(Input::Ids(&[4]), &mut *cache).unwrap().argmax().unwrap();
    token.start().unwrap();
    token.read().unwrap();
    let after = backend.counters();
    assert_eq!(after.forwards - before.forwards, 2);
    assert_eq!(after.evals - before.evals, 2);
    assert_eq!(after.reads - before.reads, 1);
    assert!(backend.memory().peak_bytes >= backend.memory().active_bytes);
}

#[test]
fn a_load_reports_each_file_and_can_be_broken_off_there_and_between_layers() {
    let folder = repository().join("tests/fixtures/models/mistral-sharded");
    let mut backend = MlxBackend::new(DeviceChoice::Cpu).unwrap();
    let mut seen = Vec::new();
    let loaded = backend.load(&folder, &LoadOptions::default(), &mut |progress| {
        let name = progress.file.file_name().unwrap().to_string_lossy().into_owned();
        seen.push((name, progress.bytes_done, progress.bytes_total));
        ControlFlow::Continue(())
    });
    assert!(loaded.is_ok());
    let (files, layers) = seen.split_at(3);
    let names: Vec<&str> = files.iter().map(|file| file.0.as_str()).collect();
    assert_eq!(
        names,
        ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"]
    );
    assert!(files.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!(files[2].1, files[2].2);
    assert!(!layers.is_empty() && layers.iter().all(|layer| *layer == files[2]));

    for call in [1, seen.len()] {
        let mut calls = 0;
        let broken = backend.load(&folder, &LoadOptions::default(), &mut |_| {
            calls += 1;
            if calls == call { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(broken.map(drop).unwrap_err().kind(), BackendErrorKind::Cancelled);
        assert_eq!(calls, call);
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_helps() {
    if wasmlx_backend_mlx::installation().unwrap().gpu.is_some() {
        println!("skipped: there is a GPU");
        return;
    }
    let error = MlxBackend::new(DeviceChoice::Gpu).map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::DeviceUnavailable);
    assert!(error.to_string().contains("or use the CPU"), "{error}");
}
