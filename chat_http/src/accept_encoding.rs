//! Which compressions a client accepts, for bodies that are compressed once and served often.

use axum::http::{HeaderMap, header};

/// Whether the `Accept-Encoding` of a request allows gzip. `gzip;q=0` forbids it, also
/// beside `*`.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    accepts(headers, &["gzip", "x-gzip"])
}

/// Whether the `Accept-Encoding` of a request allows Brotli, as [`accepts_gzip`] does for gzip.
pub fn accepts_brotli(headers: &HeaderMap) -> bool {
    accepts(headers, &["br"])
}

fn accepts(headers: &HeaderMap, names: &[&str]) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut accepts_any = false;
    for (coding, weight) in lines.flat_map(|line| line.split(',')).map(parse_coding) {
        match coding.to_ascii_lowercase().as_str() {
            name if names.contains(&name) => return weight > 0.0,
            "*" => accepts_any = weight > 0.0,
            _ => {}
        }
    }
    accepts_any
}

/// Parses `gzip;q=0.5`. A weight that is missing is 1, and one that is not a number is 0.
fn parse_coding(item: &str) -> (&str, f32) {
    let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
    });
    (coding.trim(), weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn gzip_is_accepted_unless_its_weight_is_zero() {
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for yes in ["gzip", "GZip, br", "br;q=1.0, gzip;q=0.8", "*", "gzip;q=0.001", "identity, *;q=0.5", "x-gzip"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.0", "gzip;q=0, *", "*;q=0", "identity", "gzip;q=x", "notgzip"] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn brotli_is_accepted_as_gzip_is() {
        let accepts = |value: &'static str| {
            accepts_brotli(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for yes in ["br", "gzip, deflate, br, zstd", "BR;q=0.1", "*"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "gzip", "br;q=0, *", "brotli"] {
            assert!(!accepts(no), "{no}");
        }
    }
}
