//! The statistics of repeated measurements.

/// A median with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MedianInterval {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The probability that the interval covers the true median; at least 0.95 where there are six values or more.
    pub(crate) confidence: f64,
}

/// The median of values; none for none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median and its distribution-free interval between two order statistics: the number of values below the true
/// median is binomial with p = 1/2, whatever the values' distribution (David and Nagaraja, "Order Statistics", 3rd
/// edition, section 7.1). The narrowest symmetric interval with at least 95 % is taken, else the whole range.
pub(crate) fn median_interval(values: &[f64]) -> Option<MedianInterval> {
    let median = median(values)?;
    let sorted = sorted(values);
    let count = sorted.len();
    // P(at most `rank` - 1 values lie below the median), for the rank of the lower end.
    let mut tail = 0.0;
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut rank, mut confidence) = (1, 1.0 - 2.0 * probability);
    for below in 0..count / 2 {
        tail += probability;
        if 1.0 - 2.0 * tail < 0.95 {
            break;
        }
        (rank, confidence) = (below + 1, 1.0 - 2.0 * tail);
        probability *= (count - below) as f64 / (below + 1) as f64;
    }
    Some(MedianInterval { median, low: sorted[rank - 1], high: sorted[count - rank], confidence })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    /// The textbook's table: of 20 values the 6th and the 15th, 95.86 %.
    #[test]
    fn interval_of_twenty_values() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let interval = median_interval(&values).expect("there are values");
        assert_eq!((interval.low, interval.median, interval.high), (6.0, 10.5, 15.0));
        assert!((interval.confidence - 0.9586).abs() < 1e-4, "{}", interval.confidence);
    }

    #[test]
    fn few_values_give_their_range() {
        let interval = median_interval(&[2.0, 1.0, 3.0]).expect("there are values");
        assert_eq!((interval.low, interval.high), (1.0, 3.0));
        assert!((interval.confidence - 0.75).abs() < 1e-12);
    }
}
