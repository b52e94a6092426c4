//! Taking a model into the store with its weights quantised.

use std::pin::pin;

use tokio::sync::mpsc::unbounded_channel;
use wasmlx_backend::{LoadProgress, QuantizeRequest};
use wasmlx_engine::QuantizeTask;
use wasmlx_store::{Imported, Meter, Monitor, Progress, Stage};

use super::blocking;
use super::error::Result;
use super::host::Host;
use super::store::{ImportRequest, WorkOptions};

/// How weights are to be quantised: MLX's affine quantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuantizeOptions {
    /// Bits a weight: 2, 3, 4, 5, 6 or 8.
    pub bits: u32,
    /// How many weights of a row share a scale and a bias: 32, 64 or 128.
    pub group_size: u32,
}

impl Default for QuantizeOptions {
    /// 4 bits in groups of 64, as mlx-lm.
    fn default() -> Self {
        Self { bits: 4, group_size: 64 }
    }
}

impl QuantizeOptions {
    /// So many bits, in groups of 64.
    pub fn bits(bits: u32) -> Self {
        Self { bits, ..Self::default() }
    }

    /// Groups of so many weights.
    #[must_use]
    pub fn group_size(mut self, group_size: u32) -> Self {
        self.group_size = group_size;
        self
    }
}

impl Host {
    /// Takes a model into the store with its weights quantised: what `ModelStore::import` takes, or where the path is
    /// none the model of the store that has that name. The result is a folder that mlx-lm loads too; without a name it
    /// is called `NAME-4bit`.
    ///
    /// It is work for the device, which generations in flight wait for as they do for a load.
    ///
    /// # Errors
    /// As `ModelStore::import`; `InvalidInput` for weights that are quantised already or a quantisation that MLX does not
    /// have; `NotAvailable`, `OutOfMemory`. Then the store is as it was.
    pub async fn import_quantized(
        &self,
        request: ImportRequest,
        quantize: QuantizeOptions,
        options: WorkOptions,
    ) -> Result<Imported> {
        let QuantizeOptions { bits, group_size } = quantize;
        let store = self.model_store().clone();
        let engine = self.engine().await?;
        let conversion = blocking::spawn("wasmlx-import", {
            let store = store.clone();
            move || {
                let ImportRequest { path, model, name } = &request;
                Ok(store.begin_conversion(path, model.as_deref(), name.as_deref(), bits, group_size)?)
            }
        })
        .await?;

        let (steps, mut taken) = unbounded_channel();
        let task = QuantizeTask {
            request: QuantizeRequest {
                source: conversion.source().to_path_buf(),
                destination: conversion.destination().to_path_buf(),
                bits,
                group_size,
            },
            // Whoever went away breaks the work off by that.
            progress: Some(Box::new(move |step| drop(steps.send(step)))),
            cancel: options.cancel.clone(),
        };
        {
            let report = |progress: &Progress| options.tell(progress);
            let monitor = Monitor::new(&report, &|| false);
            let mut meter = None;
            let mut work = pin!(engine.quantize(task));
            loop {
                tokio::select! {
                    biased;
                    Some(LoadProgress { bytes_done, bytes_total, .. }) = taken.recv() => {
                        let name = || conversion.name().to_string();
                        let (meter, before) = meter.get_or_insert_with(|| {
                            (Meter::new(monitor, Stage::Converting, name(), 0, bytes_total), 0)
                        });
                        // The engine is told of a cancellation by itself.
                        let _ = meter.add(bytes_done - *before);
                        *before = bytes_done;
                    }
                    done = &mut work => break done?,
                }
            }
            if let Some((meter, _)) = meter {
                meter.finish();
            }
        }
        let finish = move || Ok(options.watch(|monitor| store.finish_conversion(conversion, monitor))?);
        blocking::spawn("wasmlx-import", finish).await
    }
}
