//! Numbers as Python writes them.

/// Python writes `<long>` where its comparison with the float 1e24 says so (xml_marshaller.py, `m_int`).
pub(super) fn integer_element(value: i128) -> &'static str {
    /// What the float 1e24 is exactly.
    const LIMIT: i128 = 999_999_999_999_999_983_222_784;
    if -LIMIT < value && value < LIMIT { "int" } else { "long" }
}

/// Python's `str()` of a float: the shortest text that reads back, with an exponent from 1e16 on and below 1e-4.
pub fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// What Python's `int()` reads, as far as it fits.
pub(super) fn parse_integer(text: &str) -> Option<i128> {
    text.trim().parse().ok()
}

/// What Python's `float()` reads.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
