//! Media types by a file name's ending, as Python's mimetypes knows them (the common ones).

use std::path::Path;

const TYPES: [(&str, &str); 46] = [
    ("7z", "application/x-7z-compressed"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/plain"),
    ("cfg", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/plain"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("opml", "text/x-opml"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("py", "text/x-python"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tiff", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/x-wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "text/xml"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
];

/// The media type of a file.
pub(super) fn of(path: &Path) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let found = TYPES.binary_search_by(|(known, _)| (*known).cmp(&ending));
    found.map_or("application/octet-stream", |index| TYPES[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_found() {
        for (ending, media_type) in TYPES {
            assert_eq!(of(Path::new(&format!("a.b.{ending}"))), media_type);
        }
        assert_eq!(of(Path::new("A.HTML")), "text/html");
        assert_eq!(of(Path::new("html")), "application/octet-stream");
    }
}
