//! Reading a command's arguments: what every command of `cli`, `lab` and `programs` shares.

use crate::env::{Env, Exit};
use clap::Parser;
use std::time::Duration;

/// Reads a command's arguments. Help goes to standard output; a mistake to standard error, with exit code 2.
pub(crate) fn parse<T: Parser>(env: &Env, name: &str, arguments: Vec<String>) -> Result<T, Exit> {
    let words = std::iter::once(name.to_owned()).chain(arguments);
    T::try_parse_from(words).map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            env.tell(text.trim_end());
            Exit::USAGE
        } else {
            env.print(text.trim_end());
            Exit::DONE
        }
    })
}

/// Reads a duration: seconds, or a number with the unit ms, s, m or h.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("expected a unit of ms, s, m or h, not {unit:?}")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * seconds <= 1e9 => Ok(Duration::from_secs_f64(number * seconds)),
        _ => Err("expected a number with the unit ms, s, m or h, such as 500ms, 30s or 5m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let check = |text: &str, milliseconds: u64| {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        };
        check("5", 5000);
        check("500ms", 500);
        check("1.5s", 1500);
        check("2m", 120_000);
        check("1h", 3_600_000);
        for bad in ["", "m", "5d", "-1s", "1..2", "1e400", "99999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
