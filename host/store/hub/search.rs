//! Searching a hub: what it is asked, and when what it said before will do.

use serde::Serialize;
use serde_json::Value;

use super::HubClient;
use super::options::Endpoint;
use super::refusal::Subject;
use crate::facts::Quantization;
use crate::search::{Candidate, Found, SearchCache, SearchQuery, Sort, Surroundings, select};
use crate::{Store, StoreError, StoreErrorKind};

/// Models on a page of the hub's answer, and the most that are looked at where filters leave few.
const PAGE: usize = 100;
const MOST: usize = 500;

/// What the hub tells of each model.
const EXPANDED: [&str; 13] = [
    "author",
    "cardData",
    "config",
    "downloads",
    "gated",
    "gguf",
    "lastModified",
    "likes",
    "pipeline_tag",
    "private",
    "safetensors",
    "tags",
    "trendingScore",
];

/// How a search goes about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchOptions {
    /// Asks nobody: what is kept, else the store and the catalogue.
    pub offline: bool,
    /// Asks the hub even where a fresh answer is kept.
    pub refresh: bool,
}

/// The answer to a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SearchAnswer {
    /// Who gave it.
    #[serde(flatten)]
    pub source: AnswerSource,
    /// Why it is not a hub's of today, where one was to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The rows, in order.
    pub models: Vec<Found>,
}

/// Who gave an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "source")]
#[non_exhaustive]
pub enum AnswerSource {
    /// A hub, now.
    Hub {
        /// Its address.
        endpoint: String,
    },
    /// A hub, some time ago.
    Cache {
        /// Its address.
        endpoint: String,
        /// How long ago, in seconds.
        age_seconds: u64,
    },
    /// The store and the catalogue.
    Offline,
}

impl Store {
    /// Searches a hub. An answer that was given within the hour serves again; where no hub can be asked an older one
    /// does, and where there is none the store and the catalogue are searched. What was used is in the answer.
    ///
    /// # Errors
    /// What a hub refuses (as [`HubClient::model`] has it); [`StoreErrorKind::Io`] where the store cannot be read.
    pub async fn search(
        &self,
        hub: &HubClient,
        query: &SearchQuery,
        options: SearchOptions,
        around: &Surroundings<'_>,
    ) -> Result<SearchAnswer, StoreError> {
        let cache = SearchCache::new(self.home());
        let offline = options.offline || hub.is_offline();
        let is_known = hub.has_token();
        let kept = hub.hubs().iter().find_map(|endpoint| {
            let answer = cache.get(endpoint.name(), is_known, query, around.now)?;
            Some((endpoint.name().to_owned(), answer))
        });
        let from_cache = |(endpoint, answer): (String, crate::CachedAnswer), notice| SearchAnswer {
            source: AnswerSource::Cache { endpoint, age_seconds: answer.age },
            notice,
            models: select(answer.candidates, query, around),
        };
        match kept {
            Some(kept) if kept.1.is_fresh() && !options.refresh => return Ok(from_cache(kept, None)),
            Some(kept) if offline => return Ok(from_cache(kept, None)),
            None if offline => return self.search_offline(query, around, None),
            _ => {}
        }
        match hub.search(query, around).await {
            Ok((endpoint, candidates)) => {
                if !self.is_read_only() {
                    cache.put(&endpoint, is_known, query, &candidates, around.now);
                }
                let models = select(candidates, query, around);
                Ok(SearchAnswer { source: AnswerSource::Hub { endpoint }, notice: None, models })
            }
            Err(error)
                if matches!(
                    error.kind(),
                    StoreErrorKind::Unreachable
                        | StoreErrorKind::Offline
                        | StoreErrorKind::RateLimited
                        // Of who asks for a login to the network, for example.
                        | StoreErrorKind::InvalidAnswer
                ) =>
            {
                // Who asked for nobody to be asked need not be told that nobody was.
                let notice = (error.kind() != StoreErrorKind::Offline).then(|| error.to_string());
                match kept {
                    Some(kept) => Ok(from_cache(kept, notice)),
                    None => self.search_offline(query, around, notice),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn search_offline(
        &self,
        query: &SearchQuery,
        around: &Surroundings<'_>,
        notice: Option<String>,
    ) -> Result<SearchAnswer, StoreError> {
        let mut candidates = self.candidates()?;
        candidates.retain(|candidate| candidate.has_words(&query.words));
        Ok(SearchAnswer { source: AnswerSource::Offline, notice, models: select(candidates, query, around) })
    }
}

impl HubClient {
    /// Candidates for a query from the first hub that answers, whose address is told: a page of them, and more where
    /// the filters leave too few of a page.
    async fn search(
        &self,
        query: &SearchQuery,
        around: &Surroundings<'_>,
    ) -> Result<(String, Vec<Candidate>), StoreError> {
        let mut failed = StoreError::new(StoreErrorKind::InvalidInput, "no hub is named");
        for endpoint in self.hubs() {
            match self.search_at(endpoint, query, around).await {
                Ok(candidates) => return Ok((endpoint.name().to_owned(), candidates)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn search_at(
        &self,
        endpoint: &Endpoint,
        query: &SearchQuery,
        around: &Surroundings<'_>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let parameters = query.hub_parameters();
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let subject = Subject { repository: None, revision: None, file: None };
        let mut candidates = Vec::new();
        let mut list = self.list::<Value>(endpoint, &["api", "models"], &parameters, subject);
        for most in [PAGE, MOST] {
            let models = list.read(most).await?;
            candidates = Candidate::of_answer(models);
            if models.len() < most || select(candidates.clone(), query, around).len() >= query.limit {
                break;
            }
        }
        Ok(candidates)
    }
}

impl SearchQuery {
    /// What the hub is asked, as parameters of `GET /api/models`: the filters that it has. Sizes and memory are not
    /// among them, since it counts the words of quantised weights as parameters.
    pub fn hub_parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        let mut put = |name: &'static str, value: &str| parameters.push((name, value.to_owned()));
        if !self.words.trim().is_empty() {
            put("search", self.words.trim());
        }
        if let Some(author) = &self.author {
            put("author", author);
        }
        // It takes one of each: several are for us to tell apart.
        if let Some([tag]) = self.task.map(|task| task.tags()) {
            put("pipeline_tag", tag);
        }
        for tag in &self.tag {
            put("filter", tag);
        }
        if let [license] = &self.license[..] {
            put("filter", &format!("license:{license}"));
        }
        if let [model_type] = &self.architecture[..] {
            put("filter", model_type);
        }
        match &self.quantization[..] {
            [Quantization::Gguf(_)] => put("filter", "gguf"),
            [Quantization::Affine(bits @ (4 | 8))] => put("filter", &format!("{bits}-bit")),
            _ if self.runnable => put("filter", "safetensors"),
            _ => {}
        }
        let sort = match self.sort {
            Sort::Downloads | Sort::Quality => "downloads",
            Sort::Likes => "likes",
            Sort::Trending => "trendingScore",
            Sort::Recent => "lastModified",
        };
        put("sort", sort);
        put("direction", "-1");
        put("limit", &PAGE.to_string());
        for name in EXPANDED {
            put("expand[]", name);
        }
        parameters
    }
}
