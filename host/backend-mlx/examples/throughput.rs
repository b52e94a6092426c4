//! Times the backend alone on one model: prefill and greedy decoding, one token ahead, as the engine does it.
//!
//! `cargo run --release -p wasmlx-backend-mlx --example throughput -- FOLDER [PROMPT] [TOKENS] [TRIALS] [cpu|gpu]`
//! prints one line of JSON a trial: tokens a second of prompt and answer, and what the device was asked to do.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use wasmlx_backend::{Backend, Input, LoadOptions};
use wasmlx_backend_mlx::{DeviceChoice, MlxBackend};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a model's folder")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (prompt, answer, trials) = (number(256)?, number(48)?, number(5)?);
    let device = match arguments.next().as_deref() {
        Some("cpu") => DeviceChoice::Cpu,
        Some("gpu") => DeviceChoice::Gpu,
        _ => DeviceChoice::Auto,
    };

    let start = Instant::now();
    let mut backend = MlxBackend::new(device)?;
    let model = backend.load(&folder, &LoadOptions::default(), &mut |_| ControlFlow::Continue(()))?;
    eprintln!("{}: loaded in {:.0} ms, {:?}", backend.device(), start.elapsed().as_secs_f64() * 1e3, model.info());

    let vocabulary = model.info().vocabulary_size;
    let prompt: Vec<u32> = (0..prompt as u32).map(|i| i.wrapping_mul(2_654_435_761) % vocabulary).collect();
    for _ in 0..trials {
        let before = backend.counters();
        let start = Instant::now();
        let mut cache = model.new_cache();
        let mut next = model.forward(Input::Ids(&prompt), &mut *cache)?.argmax()?;
        next.start()?;
        let mut first = 0.0;
        let mut ids = Vec::with_capacity(answer);
        for _ in 0..answer {
            let token = next;
            next = model.forward(Input::Sampled(&*token), &mut *cache)?.argmax()?;
            next.start()?;
            ids.push(token.read()?);
            if ids.len() == 1 {
                first = start.elapsed().as_secs_f64();
            }
        }
        let total = start.elapsed().as_secs_f64();
        let after = backend.counters();
        println!(
            r#"{{"prompt_tps": {:.1}, "generation_tps": {:.1}, "evals": {}, "reads": {}, "peak_memory_bytes": {}}}"#,
            prompt.len() as f64 / first,
            (answer - 1) as f64 / (total - first),
            after.evals - before.evals,
            after.reads - before.reads,
            backend.memory().peak_bytes,
        );
    }
    Ok(())
}
