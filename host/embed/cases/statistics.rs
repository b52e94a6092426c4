//! Whether what was counted fits the probabilities that were expected: Pearson's chi-square test.

/// The least count that is to be expected of a cell; smaller ones are taken together. The usual rule for the test's
/// distribution to hold (W. G. Cochran, "Some methods for strengthening the common chi-square tests", 1954).
const LEAST_EXPECTED: f64 = 5.0;

/// How close the gamma function's series and fractions are followed.
const PRECISION: f64 = 1e-15;

/// What a test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChiSquare {
    /// How far the counts are from what was expected; infinite where something was counted that has no probability.
    pub(super) statistic: f64,
    /// What it may be at most.
    pub(super) threshold: f64,
    /// One less than the cells that were compared.
    pub(super) freedom: u32,
}

impl ChiSquare {
    /// Compares counts with probabilities, which must sum to 1. A threshold is passed by chance with the probability
    /// `false_alarm`. None where too little was counted to tell anything.
    pub(super) fn test(counts: &[u64], probabilities: &[f64], false_alarm: f64) -> Option<Self> {
        let total: u64 = counts.iter().sum();
        let impossible = counts.iter().zip(probabilities).any(|(count, probability)| *count > 0 && *probability <= 0.0);
        let mut cells: Vec<(f64, f64)> = counts
            .iter()
            .zip(probabilities)
            .filter(|(_, probability)| **probability > 0.0)
            .map(|(count, probability)| (probability * total as f64, *count as f64))
            .collect();
        let kinds = cells.len();
        cells.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        // The rarest together, until they are not rare.
        while cells.len() > 1 && cells[0].0 < LEAST_EXPECTED {
            let (expected, count) = cells.remove(0);
            cells[0] = (cells[0].0 + expected, cells[0].1 + count);
            cells.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        }
        if kinds > 1 && cells.len() < 2 {
            return None;
        }
        let freedom = u32::try_from(cells.len().saturating_sub(1)).ok()?;
        let distance: f64 = cells.iter().map(|(expected, count)| (count - expected).powi(2) / expected).sum();
        let statistic = if impossible { f64::INFINITY } else { distance };
        Some(Self { statistic, threshold: quantile(freedom, false_alarm), freedom })
    }

    /// Whether the counts are within what chance explains.
    pub(super) fn holds(&self) -> bool {
        self.statistic <= self.threshold
    }
}

/// What a chi-square variable of these degrees of freedom exceeds with the probability `tail`; 0 for no freedom.
fn quantile(freedom: u32, tail: f64) -> f64 {
    if freedom == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while survival(freedom, high) > tail {
        high *= 2.0;
    }
    // To the last bit of the number between.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        if survival(freedom, middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The probability that a chi-square variable exceeds `x`: the regularised upper incomplete gamma function `Q(a, z)` at
/// `a = freedom / 2` and `z = x / 2` (NIST Digital Library of Mathematical Functions, 8.2.4).
fn survival(freedom: u32, x: f64) -> f64 {
    let (a, z) = (f64::from(freedom) / 2.0, x / 2.0);
    if z <= 0.0 {
        return 1.0;
    }
    let scale = (a * z.ln() - z - ln_gamma_of_half(freedom)).exp();
    if z < a + 1.0 { 1.0 - scale * lower_series(a, z) } else { scale * upper_fraction(a, z) }
}

/// The logarithm of `Γ(n / 2)` for `n` of at least 1: from `Γ(1/2) = √π` or `Γ(1) = 1` by `Γ(a + 1) = a Γ(a)` (DLMF
/// 5.4.6, 5.5.1).
fn ln_gamma_of_half(n: u32) -> f64 {
    let start = if n % 2 == 1 { std::f64::consts::PI.ln() / 2.0 } else { 0.0 };
    let first = if n % 2 == 1 { 1 } else { 2 };
    (first..n).step_by(2).map(|twice| (f64::from(twice) / 2.0).ln()).sum::<f64>() + start
}

/// `γ(a, z) / (z^a e^-z)`: the sum of `z^k / (a (a + 1) ... (a + k))` (DLMF 8.7.1).
fn lower_series(a: f64, z: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    let mut denominator = a;
    while term > sum * PRECISION {
        denominator += 1.0;
        term *= z / denominator;
        sum += term;
    }
    sum
}

/// `Γ(a, z) / (z^a e^-z)`, as the continued fraction `1/(z+1-a- 1(1-a)/(z+3-a- 2(2-a)/(z+5-a- ...)))` (DLMF 8.9.2, even
/// part), by the modified method of Lentz (I. J. Thompson and A. R. Barnett, 1986).
fn upper_fraction(a: f64, z: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = z + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / away_from_zero(b);
    let mut fraction = d;
    for k in 1..10_000 {
        let k = f64::from(k);
        let numerator = -k * (k - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < PRECISION {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 1e-9, "{got} instead of {expected}");
    }

    #[test]
    fn survival_is_what_closed_forms_and_tables_say() {
        // Two and four degrees: e^-z and e^-z (1 + z).
        for x in [0.1, 1.0, 5.0, 27.631_021_115_928_547, 60.0] {
            let z: f64 = x / 2.0;
            assert_close(survival(2, x), (-z).exp());
            assert_close(survival(4, x), (-z).exp() * (1.0 + z));
        }
        // One and three: by erfc, from Python's `math`.
        assert_close(survival(1, 3.841_458_820_694_124), 0.05);
        assert_close(survival(1, 23.928_126_849), 1.000_000_066_453_486_2e-6);
        assert_close(survival(3, 10.0), 0.018_566_135_463_043_237);
        assert_eq!(survival(5, 0.0), 1.0);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        assert_close(quantile(1, 0.05), 3.841_458_820_694_124);
        assert_close(quantile(2, 1e-6), 27.631_021_115_928_547);
        for freedom in [1, 2, 7, 30, 255] {
            for tail in [0.5, 0.01, 1e-6] {
                assert_close(survival(freedom, quantile(freedom, tail)), tail);
            }
        }
        assert_eq!(quantile(0, 1e-6), 0.0);
    }

    #[test]
    fn counts_that_fit_hold_and_others_do_not() {
        let test = |counts: &[u64], probabilities: &[f64]| ChiSquare::test(counts, probabilities, 1e-6).unwrap();
        assert!(test(&[8_030, 1_970], &[0.8, 0.2]).holds());
        assert!(!test(&[8_300, 1_700], &[0.8, 0.2]).holds());
        assert_close(test(&[60, 40], &[0.5, 0.5]).statistic, 4.0);
        assert!(!test(&[100, 1], &[1.0, 0.0]).holds(), "what has no probability does not happen");
        let certain = test(&[100, 0], &[1.0, 0.0]);
        assert!(certain.holds() && certain.freedom == 0);
    }

    #[test]
    fn rare_cells_are_taken_together() {
        let test = ChiSquare::test(&[96, 1, 2, 1, 0], &[0.95, 0.02, 0.01, 0.01, 0.01], 1e-6).unwrap();
        assert_eq!(test.freedom, 1);
        assert_close(test.statistic, 1.0 / 95.0 + 1.0 / 5.0);
        assert_eq!(ChiSquare::test(&[1, 1], &[0.5, 0.5], 1e-6), None, "too few to tell");
    }
}
