//! What a model is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a model is for, by the hub's names where it has one for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Task {
    /// Texts that go on from a text.
    TextGeneration,
    /// Vectors that stand for texts.
    Embedding,
    /// Texts about pictures.
    Vision,
    /// Classes or ranks of texts.
    Classification,
    /// Speech to text.
    SpeechRecognition,
    /// Text to speech.
    TextToSpeech,
    /// Pictures from texts.
    ImageGeneration,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TextGeneration,
        Self::Embedding,
        Self::Vision,
        Self::Classification,
        Self::SpeechRecognition,
        Self::TextToSpeech,
        Self::ImageGeneration,
    ];

    /// Its name: `text-generation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextGeneration => "text-generation",
            Self::Embedding => "embedding",
            Self::Vision => "vision",
            Self::Classification => "classification",
            Self::SpeechRecognition => "speech-recognition",
            Self::TextToSpeech => "text-to-speech",
            Self::ImageGeneration => "image-generation",
        }
    }

    /// The task of a name as of [`name`](Self::name).
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// The task of one of the hub's pipeline tags; none where a text is no such tag, or one of no task here.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.tags().contains(&tag))
    }

    /// The hub's pipeline tags that mean it.
    pub(crate) fn tags(self) -> &'static [&'static str] {
        match self {
            Self::TextGeneration => &["text-generation"],
            Self::Embedding => &["feature-extraction", "sentence-similarity"],
            Self::Vision => &["image-text-to-text", "image-to-text", "visual-question-answering", "any-to-any"],
            Self::Classification => &["text-classification", "text-ranking", "zero-shot-classification"],
            Self::SpeechRecognition => &["automatic-speech-recognition"],
            Self::TextToSpeech => &["text-to-speech", "text-to-audio"],
            Self::ImageGeneration => &["text-to-image", "image-to-image"],
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
