//! A model from a hub into the store.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::api::{is_the_hubs, no_hub};
use super::options::Endpoint;
use super::plan::{Offer, has, is_at, is_complete, is_whole, stored};
use super::transfer::{self, Traffic};
use super::{HubClient, ModelInfo, Selection};
use crate::files::check_space;
use crate::partial;
use crate::{
    Bindings, Digest, HUB, Manifest, ManifestFile, Meter, ModelFacts, Monitor, Name, Opened, PartialKey, Pull, Source,
    Stage, Store, StoreError, StoreErrorKind,
};

/// Connections at a time, where nobody says otherwise.
pub const DEFAULT_CONNECTIONS: usize = 8;

/// The most of them: more would be taken for an attack.
const MOST_CONNECTIONS: usize = 64;

/// How often it is looked at how far the work is.
const TICK: Duration = Duration::from_millis(100);

/// How to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// Which files.
    pub selection: Selection,
    /// Connections at a time, for all files together: [`DEFAULT_CONNECTIONS`]; 1 to 64 are used.
    pub connections: usize,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { selection: Selection::default(), connections: DEFAULT_CONNECTIONS }
    }
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The model as it is in the store now.
    pub manifest: Manifest,
    /// Whether it was there before, and is what the hub has.
    pub was_current: bool,
    /// Bytes that came over the network: fewer than the model has where files of it were there.
    pub fetched: u64,
}

/// What threads that may block are told, and tell.
#[derive(Debug, Default)]
struct Signals {
    /// Nobody wants the work any longer.
    is_over: AtomicBool,
    /// Another process is waited for.
    is_waiting: AtomicBool,
}

/// Tells the threads when the work is dropped.
struct Ending(Arc<Signals>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl HubClient {
    /// Brings a model into the store, or brings it to what its revision (the name's tag) stands for now. What is there of
    /// it is not fetched, and what it has besides what is selected stays. Dropped or broken off it leaves a state from
    /// which the next pull goes on.
    ///
    /// The model is called what the hub calls it where `name` has the same letters in another case.
    ///
    /// # Errors
    /// As [`HubClient::model`]; [`StoreErrorKind::InvalidModel`] for a repository that cannot be run here,
    /// [`StoreErrorKind::Corrupt`] where a hub sends other bytes than it published, [`StoreErrorKind::NoSpace`],
    /// [`StoreErrorKind::ReadOnly`], [`StoreErrorKind::Cancelled`], [`StoreErrorKind::Io`].
    pub async fn pull(
        &self,
        store: &Store,
        name: &Name,
        options: &PullOptions,
        monitor: &Monitor<'_>,
    ) -> Result<Pulled, StoreError> {
        if name.host() != HUB {
            let message = format!("{name} is no model of a hub: write OWNER/NAME, such as Qwen/Qwen3-0.6B");
            return Err(StoreError::new(StoreErrorKind::InvalidName, message));
        }
        let model = self.model(&name.repository(), name.tag()).await?;
        let name = &as_the_hub_has_it(name, &model)?;
        let repository = name.repository();
        let is_current = |manifest: &Manifest| is_at(manifest, &model.commit) && is_whole(store, manifest);
        let is_enough = |manifest: &Manifest| options.selection.is_usual() && is_complete(manifest);
        if let Some(manifest) = stored(store, name)?.filter(|manifest| is_enough(manifest) && is_current(manifest)) {
            return Ok(Pulled { manifest, was_current: true, fetched: 0 });
        }
        let files = self.files(&repository, &model).await?;

        let signals = Arc::<Signals>::default();
        let _ending = Ending(Arc::clone(&signals));
        let begin = {
            let offer = Offer { repository: repository.clone(), commit: model.commit.clone(), files };
            let (store, name, selection) = (store.clone(), name.clone(), options.selection.clone());
            blocking(&signals, move |waiting, monitor| {
                let plan = offer.plan(&selection, stored(&store, &name)?.as_ref())?;
                let mut pull = match selection.is_usual() {
                    true => store.begin_pull(&name, plan.files, waiting, monitor)?,
                    false => store.begin_pull_of_some(&name, plan.files, waiting, monitor)?,
                };
                // Who was waited for may have brought a model, and nobody else does from here on.
                let there = stored(&store, &name)?;
                let plan = offer.plan(&selection, there.as_ref())?;
                if pull.files() != plan.files {
                    pull.want(plan.files)?;
                }
                Ok((pull, plan.chosen, there))
            })
        };
        let (pull, chosen, there) = watched(begin, || tell_waiting(&signals, monitor, name)).await?;
        if !options.selection.is_usual()
            && let Some(manifest) = &there
            && is_complete(manifest)
            && !is_at(manifest, &model.commit)
        {
            tracing::warn!("{name} is there whole, but not at this commit: all of it is brought there");
        }
        if let Some(manifest) = there.filter(|manifest| is_current(manifest) && has(manifest, pull.files())) {
            blocking(&signals, move |_, _| pull.abandon()).await?;
            return Ok(Pulled { manifest, was_current: true, fetched: 0 });
        }

        let traffic = Arc::new(Traffic {
            client: self.clone(),
            repository,
            commit: model.commit.clone(),
            connections: options.connections.clamp(1, MOST_CONNECTIONS),
            permits: Semaphore::new(options.connections.clamp(1, MOST_CONNECTIONS)),
            done: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        });
        let endpoints: Vec<Endpoint> = self.hubs_from(&model).cloned().collect();
        let endpoint = endpoints[0].name().to_owned();
        let work = Arc::new(Work { traffic, pull, endpoints, signals });
        let digests = work.fetch_all(store, monitor).await?;

        let source = Source::Hub {
            endpoint,
            repository: work.traffic.repository.clone(),
            revision: name.tag().to_owned(),
            commit: model.commit,
            chosen,
        };
        let files = work.pull.files().iter().zip(digests).map(|(file, sha256)| ManifestFile {
            path: file.path.clone(),
            sha256,
            size: file.size,
            git: match file.key {
                PartialKey::Git(hash) => Some(hash),
                PartialKey::Sha256(_) => None,
            },
        });
        let files: Vec<ManifestFile> = files.collect();
        let blobs = store.blobs();
        let paths: Vec<_> = files.iter().map(|file| (file.path.as_str(), blobs.path(&file.sha256))).collect();
        let facts = ModelFacts::of_files(paths.iter().map(|(name, path)| (*name, path.as_path())));
        let manifest = Manifest {
            name: name.clone(),
            source,
            created: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
            facts,
            files,
            bindings: Bindings::default(),
        };
        let fetched = work.traffic.fetched.load(Ordering::Relaxed);
        let work = Arc::into_inner(work);
        let Work { pull, signals, .. } =
            work.ok_or_else(|| StoreError::new(StoreErrorKind::Busy, "a task of the pull has not ended"))?;
        let manifest = blocking(&signals, move |_, _| pull.commit(manifest)).await?;
        Ok(Pulled { manifest, was_current: false, fetched })
    }
}

/// A pull whose files are being fetched.
struct Work {
    traffic: Arc<Traffic>,
    pull: Pull,
    /// In the order in which they are asked.
    endpoints: Vec<Endpoint>,
    signals: Arc<Signals>,
}

impl Work {
    /// Fetches what is not there, and gives the digests of all files in their order.
    async fn fetch_all(self: &Arc<Self>, store: &Store, monitor: &Monitor<'_>) -> Result<Vec<Digest>, StoreError> {
        let files = self.pull.files();
        let total = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        let blobs = store.blobs();
        let needed = files.iter().map(|file| partial::needed(&blobs, file.key, file.size));
        let needed = needed.fold(0, u64::saturating_add);
        check_space(blobs.folder(), needed)?;

        let meter = Meter::new(*monitor, Stage::Fetching, self.pull.name().to_string(), 0, total);
        let mut told = 0;
        let mut tell = || {
            tell_waiting(&self.signals, monitor, self.pull.name())?;
            let done = self.traffic.done.load(Ordering::Relaxed);
            meter.take_back(u64::saturating_sub(told, done));
            meter.add(done.saturating_sub(told))?;
            told = done;
            Ok(())
        };
        let mut running = JoinSet::new();
        let fetched = watched(self.fetch_in(&mut running), &mut tell).await;
        // Those that are broken off note how far they are.
        running.shutdown().await;
        let digests = fetched?;
        tell()?;
        meter.finish();
        Ok(digests)
    }

    /// Some files at a time: as many as there are connections.
    async fn fetch_in(
        self: &Arc<Self>,
        running: &mut JoinSet<Result<(usize, Digest), StoreError>>,
    ) -> Result<Vec<Digest>, StoreError> {
        let count = self.pull.files().len();
        let mut digests = vec![None; count];
        let mut next = 0;
        loop {
            while next < count && running.len() < self.traffic.connections {
                let (work, number) = (Arc::clone(self), next);
                running.spawn(async move { Ok((number, work.fetch(number).await?)) });
                next += 1;
            }
            match running.join_next().await {
                Some(Ok(fetched)) => {
                    let (number, digest) = fetched?;
                    digests[number] = Some(digest);
                }
                Some(Err(error)) => return Err(StoreError::new(StoreErrorKind::Cancelled, error)),
                None => return Ok(digests.into_iter().flatten().collect()),
            }
        }
    }

    /// One file, from the first hub that gives it.
    async fn fetch(self: &Arc<Self>, number: usize) -> Result<Digest, StoreError> {
        let mut endpoints = self.endpoints.iter().peekable();
        loop {
            let Some(endpoint) = endpoints.next() else { return Err(no_hub()) };
            match (self.fetch_from(endpoint, number).await, endpoints.peek()) {
                (Err(error), Some(next)) if is_the_hubs(&error) => tracing::warn!("{error}; asking {}", next.name()),
                (fetched, _) => return fetched,
            }
        }
    }

    /// One file from one hub. Where it is not what was published, it is fetched once more: what was there of it before
    /// may have been bad.
    async fn fetch_from(self: &Arc<Self>, endpoint: &Endpoint, number: usize) -> Result<Digest, StoreError> {
        let file = &self.pull.files()[number];
        let done = &self.traffic.done;
        let mut is_second = false;
        loop {
            let work = Arc::clone(self);
            let opened = blocking(&self.signals, move |waiting, monitor| {
                work.pull.open(&work.pull.files()[number], waiting, monitor)
            });
            let partial = match opened.await? {
                Opened::Complete(digest) => {
                    done.fetch_add(file.size, Ordering::Relaxed);
                    return Ok(digest);
                }
                Opened::Partial(partial) => Arc::new(partial),
            };
            done.fetch_add(partial.done(), Ordering::Relaxed);
            if let Err(error) = transfer::fetch(&self.traffic, endpoint, file, &partial).await {
                done.fetch_sub(partial.done(), Ordering::Relaxed);
                return Err(error);
            }
            let partial = Arc::into_inner(partial)
                .ok_or_else(|| StoreError::new(StoreErrorKind::Busy, "a part of a file has not ended"))?;
            match blocking(&self.signals, move |_, _| partial.finish()).await {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    done.fetch_sub(file.size, Ordering::Relaxed);
                    let (hub, path) = (endpoint.name(), &file.path);
                    let told = format!("{path} from {hub} is not what was published: {error}");
                    if is_second {
                        return Err(StoreError::new(StoreErrorKind::Corrupt, told));
                    }
                    tracing::warn!("{told}; fetching it once more");
                    is_second = true;
                }
                finished => return finished,
            }
        }
    }
}

/// The name that a model is to have: with the hub's own capitals. A repository that was renamed keeps the name by which
/// it was asked for, by which it will be asked for again.
fn as_the_hub_has_it(name: &Name, model: &ModelInfo) -> Result<Name, StoreError> {
    let asked = name.repository();
    if model.id.eq_ignore_ascii_case(&asked) {
        return Name::parse(&model.id)?.with_tag(name.tag());
    }
    tracing::warn!("the hub calls {asked} {} now; here it is still called {asked}", model.id);
    Ok(name.clone())
}

fn tell_waiting(signals: &Signals, monitor: &Monitor<'_>, name: &Name) -> Result<(), StoreError> {
    if signals.is_waiting.swap(false, Ordering::Relaxed) {
        monitor.waiting(&name.to_string());
    }
    monitor.check()
}

/// Runs on a thread that may block what does so. It is told when nobody waits for it any longer.
async fn blocking<T: Send + 'static>(
    signals: &Arc<Signals>,
    work: impl FnOnce(&dyn Fn(), &Monitor<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let signals = Arc::clone(signals);
    let run = move || {
        let is_over = || signals.is_over.load(Ordering::Relaxed);
        let waiting = || signals.is_waiting.store(true, Ordering::Relaxed);
        work(&waiting, &Monitor::new(&|_| {}, &is_over))
    };
    let ended = |error| StoreError::new(StoreErrorKind::Cancelled, error);
    spawn_blocking(run).await.map_err(ended)?
}

/// Waits for work, and looks at it now and then.
async fn watched<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    mut look: impl FnMut() -> Result<(), StoreError>,
) -> Result<T, StoreError> {
    let mut work = pin!(work);
    let mut clock = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = clock.tick() => look()?,
        }
    }
}
