//! Text and tokens: segments to ids, ids to text as it streams, stop strings.
