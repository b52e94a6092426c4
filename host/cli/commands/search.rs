//! `wasmlx search`: models on the hub, or without one in the store and the catalogue.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use wasmlx::{
    AnswerSource, Fits, Found, Host, Quantization, Runnable, SearchAnswer, SearchOptions, SearchQuery, SizeClass, Sort,
    Task,
};

use crate::GlobalOptions;
use crate::failure::Result;
use crate::output::{self, Output};

/// The most rows that can be asked for: as many models as are looked at.
const MOST_ROWS: u64 = 500;

const HEADINGS: [&str; 7] = ["name", "size", "quant", "downloads", "likes", "memory", "runs here"];
const NUMERIC: [bool; 7] = [false, true, false, true, true, true, false];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Words of the model's name
    words: Vec<String>,
    /// What the model is for
    #[arg(long, help_heading = "Filters", value_parser = one_of(Task::ALL, Task::name))]
    task: Option<Task>,
    /// How large it is: tiny is below 100 million parameters, small to 1 billion, medium to 7, large to 13
    #[arg(long, help_heading = "Filters", value_delimiter = ',', value_parser = one_of(SizeClass::ALL, SizeClass::name))]
    size: Vec<SizeClass>,
    /// How its weights are stored: 2bit to 8bit, mxfp4, nvfp4, bf16, fp16, fp32, Q4_K_M, gptq, ...
    #[arg(long, help_heading = "Filters", value_name = "NAME", value_delimiter = ',')]
    quantization: Vec<Quantization>,
    /// Its architecture, as config.json names it: qwen3
    #[arg(long, help_heading = "Filters", value_name = "NAME", value_delimiter = ',')]
    architecture: Vec<String>,
    /// Not these architectures
    #[arg(long, help_heading = "Filters", value_name = "NAME", value_delimiter = ',')]
    exclude_architecture: Vec<String>,
    /// A tag that it has on the hub; repeated: all of them
    #[arg(long, help_heading = "Filters")]
    tag: Vec<String>,
    /// Its licence, as the hub names it: apache-2.0
    #[arg(long, help_heading = "Filters", value_name = "NAME", value_delimiter = ',')]
    license: Vec<String>,
    /// Whose it is: mlx-community
    #[arg(long, help_heading = "Filters", value_name = "NAME")]
    author: Option<String>,
    /// Downloaded so often in the last month, at least
    #[arg(long, help_heading = "Filters", value_name = "N")]
    min_downloads: Option<u64>,
    /// Liked by so many, at least
    #[arg(long, help_heading = "Filters", value_name = "N")]
    min_likes: Option<u64>,
    /// Weights of at most so many bytes: 4GB
    #[arg(long, help_heading = "Filters", value_name = "SIZE", value_parser = bytes)]
    max_bytes: Option<u64>,
    /// By its estimate it fits in the memory that models may take here
    #[arg(long, help_heading = "Filters", conflicts_with = "fits_in")]
    fits: bool,
    /// By its estimate it fits in so much memory: 16GB
    #[arg(long, help_heading = "Filters", value_name = "SIZE", value_parser = bytes)]
    fits_in: Option<u64>,
    /// This build runs it
    #[arg(long, help_heading = "Filters")]
    runnable: bool,
    /// What comes first; quality is a score of 0 to 100 from downloads, likes, recency, metadata and publisher
    #[arg(long, default_value = Sort::Downloads.name(), value_parser = one_of(Sort::ALL, Sort::name))]
    sort: Sort,
    /// The most rows
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MOST_ROWS))]
    limit: u64,
    /// Ask nobody: search answers that were kept, else the store and the catalogue
    #[arg(long, conflicts_with = "refresh")]
    offline: bool,
    /// Ask the hub even where its answer of the last hour is kept
    #[arg(long)]
    refresh: bool,
}

pub(super) async fn run(arguments: Arguments, global: &GlobalOptions) -> Result {
    let options = SearchOptions { offline: arguments.offline, refresh: arguments.refresh };
    let answer = Host::builder().build()?.search(&arguments.into_query(), options).await?;
    let mut output = Output::new();
    if global.json {
        return output.json(&json!(answer));
    }
    let rows: Vec<[String; 7]> = answer.models.iter().map(row).collect();
    output.table(HEADINGS, NUMERIC, &rows, global.quiet)?;
    output.flush()?;
    if !global.quiet {
        tell(&answer);
    }
    Ok(())
}

impl Arguments {
    fn into_query(self) -> SearchQuery {
        SearchQuery {
            words: self.words.join(" "),
            task: self.task,
            size: self.size,
            quantization: self.quantization,
            architecture: self.architecture,
            exclude_architecture: self.exclude_architecture,
            tag: self.tag,
            license: self.license,
            author: self.author,
            min_downloads: self.min_downloads,
            min_likes: self.min_likes,
            max_bytes: self.max_bytes,
            fits: if self.fits { Some(Fits::Machine) } else { self.fits_in.map(Fits::Bytes) },
            runnable: self.runnable,
            sort: self.sort,
            limit: self.limit as usize,
        }
    }
}

fn row(found: &Found) -> [String; 7] {
    let known = |fact: Option<String>| fact.unwrap_or_else(|| "-".to_owned());
    let facts = &found.candidate.facts;
    let memory = output::bytes(found.memory.total_bytes);
    let runs = match &found.runnable {
        Runnable::Yes => "yes".to_owned(),
        Runnable::No { what, .. } => format!("no: {what}"),
        Runnable::Unknown => "?".to_owned(),
    };
    [
        found.candidate.id.clone(),
        known(facts.parameters.map(output::parameters)),
        known(facts.quantization.as_ref().map(ToString::to_string)),
        known(found.candidate.downloads.map(output::count)),
        known(found.candidate.likes.map(output::count)),
        if found.memory.is_guess() { format!("~{memory}") } else { memory },
        match (found.stored, found.candidate.gated) {
            (true, _) => format!("{runs}, in the store"),
            (false, true) => format!("{runs}, gated"),
            (false, false) => runs,
        },
    ]
}

/// Where the rows come from, and what their signs mean.
fn tell(answer: &SearchAnswer) {
    if let Some(notice) = &answer.notice {
        output::note(format_args!("note: {notice}"));
    }
    match &answer.source {
        AnswerSource::Cache { endpoint, age_seconds } => output::aside(format_args!(
            "as {endpoint} answered {} ago; --refresh asks again",
            match age_seconds {
                0..120 => format!("{age_seconds} s"),
                120..7200 => format!("{} min", age_seconds / 60),
                _ => format!("{} h", age_seconds / 3600),
            }
        )),
        AnswerSource::Offline => output::aside("from the store and the catalogue that ships with the program"),
        _ => {}
    }
    if answer.models.is_empty() {
        output::aside("no such model; fewer words or filters find more");
    } else if answer.models.iter().any(|found| found.memory.is_guess()) {
        output::aside("~ is a guess, made without the model's configuration");
    }
}

/// One of some values, by its name.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(name))
        .try_map(move |chosen| all.into_iter().find(|value| name(*value) == chosen).ok_or("no such value"))
}

/// A number of bytes: `500MB`, `16 GB`, `1.5GiB`, `1000`.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let (number, unit) = text.split_at(text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let unit =
        UNITS.iter().find(|(name, _)| *name == unit || name.strip_suffix('b') == Some(&unit) && !unit.is_empty());
    match (number.parse::<f64>(), unit) {
        (Ok(number), Some((_, bytes))) if number.is_finite() => Ok((number * *bytes as f64) as u64),
        _ => Err("write a number of bytes, such as 500MB, 16GB or 1.5GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read() {
        let sizes = ["1000", "500MB", "16 gb", "1.5GiB", "2g", "1Ki", "0"];
        let read: Vec<_> = sizes.into_iter().map(|text| bytes(text).unwrap()).collect();
        assert_eq!(read, [1000, 500_000_000, 16_000_000_000, 1_610_612_736, 2_000_000_000, 1024, 0]);
        for text in ["", "GB", "1.2.3", "-1", "16 apples", "1e9"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
