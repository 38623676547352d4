//! Numbers as Python writes them.

/// Python writes `<long>` where its comparison with the float 1e24 says so (xml_marshaller.py, `m_int`).
pub(super) fn integer_element(value: i128) -> &'static str {
    /// What the float 1e24 is exactly.
    const LIMIT: i128 = 999_999_999_999_999_983_222_784;
    if -LIMIT < value && value < LIMIT { "int" } else { "long" }
}

/// What Python's `int()` reads, as far as it fits.
pub(super) fn parse_integer(text: &str) -> Option<i128> {
    text.trim().parse().ok()
}

/// What Python's `float()` reads.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
