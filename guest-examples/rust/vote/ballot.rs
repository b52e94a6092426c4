//! Counting answers that mean the same.

/// Votes, in the order in which answers first came.
#[derive(Debug, Default)]
pub(crate) struct Ballot(Vec<(String, String, u32)>);

impl Ballot {
    /// One more vote. Answers are the same where their words are, whatever the case and the marks between.
    pub(crate) fn add(&mut self, answer: &str) {
        let key = words(answer);
        if key.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(counted, _, _)| *counted == key) {
            Some((_, _, votes)) => *votes += 1,
            None => self.0.push((key, answer.to_owned(), 1)),
        }
    }

    /// The answer with the most votes, the first of several, as it was first given.
    pub(crate) fn winner(&self) -> Option<(&str, u32)> {
        let most = self.0.iter().map(|(_, _, votes)| *votes).max()?;
        self.0.iter().find(|(_, _, votes)| *votes == most).map(|(_, answer, votes)| (answer.as_str(), *votes))
    }

    /// How many votes there were.
    pub(crate) fn votes(&self) -> u32 {
        self.0.iter().map(|(_, _, votes)| votes).sum()
    }
}

fn words(answer: &str) -> String {
    let words = answer.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_votes_win_however_they_are_written() {
        let mut ballot = Ballot::default();
        for answer in ["Kyoto", "Tokyo.", "tokyo", "", "..."] {
            ballot.add(answer);
        }
        assert_eq!((ballot.winner(), ballot.votes()), (Some(("Tokyo.", 2)), 3));
    }

    #[test]
    fn of_equals_the_first_wins_and_nobody_of_none() {
        let mut ballot = Ballot::default();
        assert_eq!(ballot.winner(), None);
        ballot.add("b");
        ballot.add("a");
        assert_eq!(ballot.winner(), Some(("b", 1)));
    }
}
