//! Cost cards, for people.

use serde_json::Value;
use wasmlx::{CallCost, CostCard, CostChange, CostComparison, Spread};

use crate::failure::Result;
use crate::output::{self, Output};

/// Writes a card, each line after two blanks.
pub(crate) fn write(output: &mut Output, card: &CostCard) -> Result {
    let machine = &card.machine;
    output.line(format_args!(
        "  measured with   {}, {}, wasmlx {}, wasmtime {}",
        machine.processor, machine.system, machine.wasmlx, machine.wasmtime
    ))?;
    output.line(format_args!("  compiled in     {}", time(card.compile as f64)))?;
    output.line(format_args!("  loaded in       {}", spread(card.load)))?;
    if let Some(memory) = card.memory {
        output.line(format_args!("  memory          {} an instance", output::bytes(memory)))?;
    }
    if card.calls.is_empty() {
        return Ok(());
    }
    let row = |call: &CallCost| {
        [
            call.name.clone(),
            spread(call.time),
            call.fuel.to_string(),
            number(call.host_calls),
            call.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
        ]
    };
    let headings = ["a call", "median (quartiles)", "fuel", "host calls", "bytes"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(headings).chain(card.calls.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    for (number, [name, time, fuel, host_calls, bytes]) in rows.iter().enumerate() {
        let [a, b, c, d, e] = widths;
        let line = format!("  {name:<a$}  {time:<b$}  {fuel:>c$}  {host_calls:>d$}  {bytes:>e$}\n");
        output.styled(if number == 0 { output::DIM } else { anstyle::Style::new() }, &line)?;
    }
    Ok(())
}

/// Writes what is dearer and what is cheaper than before.
pub(crate) fn write_comparison(output: &mut Output, comparison: &CostComparison) -> Result {
    for CostChange { call, what, before, after, .. } in &comparison.changes {
        let name = call.as_ref().map_or_else(|| (*what).to_owned(), |call| format!("{call}, {what}"));
        if let Some(told) = change(&name, what, *before, *after) {
            output.line(format_args!("  {told}"))?;
        }
    }
    if let Some(why) = comparison.incomparable {
        output.line(format_args!("  not compared: {why}"))?;
    }
    Ok(())
}

/// A change in words; none where it is too small to be seen.
fn change(name: &str, what: &str, before: f64, after: f64) -> Option<String> {
    let shown = |value: f64| match what {
        what if what.ends_with("time") => time(value),
        "memory" => output::bytes(value as u64),
        _ => number(value),
    };
    let (old, new) = (shown(before), shown(after));
    if old == new {
        return None;
    }
    let verdict = if after > before { "dearer" } else { "cheaper" };
    let percent = if before == 0.0 { String::new() } else { format!(" ({:+.0} %)", (after / before - 1.0) * 100.0) };
    Some(format!("{verdict:<7}  {name}: {old} -> {new}{percent}"))
}

/// A card as JSON has it.
pub(crate) fn json(card: Option<&CostCard>) -> Value {
    // It is made of texts and numbers, which always serialise.
    serde_json::to_value(card).unwrap_or_default()
}

fn spread(Spread { lower, median, upper, .. }: Spread) -> String {
    format!("{} ({} - {})", time(median as f64), time(lower as f64), time(upper as f64))
}

/// Nanoseconds, with three digits that count.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "us"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if unit == "ns" || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// A count, or an average of counts.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_that_count() {
        let times = [0.0, 7.0, 999.0, 1_000.0, 15_432.0, 999_600.0, 83_123_456.0, 6_512_345_678.0].map(time);
        assert_eq!(times, ["0 ns", "7 ns", "999 ns", "1.00 us", "15.4 us", "1.00 ms", "83.1 ms", "6.51 s"]);
        assert_eq!((number(3.0), number(0.25)), ("3".to_owned(), "0.25".to_owned()));
    }

    #[test]
    fn what_looks_the_same_is_no_change() {
        assert_eq!(change("memory", "memory", 1_180_000.0, 1_180_004.0), None);
        assert_eq!(
            change("memory", "memory", 65_536.0, 131_072.0).unwrap(),
            "dearer   memory: 65.5 kB -> 131.1 kB (+100 %)"
        );
        let cheaper = change("render, fuel", "fuel", 7_100.0, 7_000.0).unwrap();
        assert_eq!(cheaper, "cheaper  render, fuel: 7100 -> 7000 (-1 %)");
    }
}
