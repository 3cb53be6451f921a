//! Removes from images what tells where, when and with what device they were taken. Keeps
//! the pixels, the colour profile, the animation and the orientation. What a format needs
//! to show the image is listed; everything else goes, also what follows its end.

use image::metadata::Orientation;
use img_parts::{Bytes as ImgBytes, ImageEXIF, png::Png, webp::WebP};
use std::borrow::Cow;

/// Returns a copy of an image without metadata; `None` if the image cannot be parsed.
pub(crate) fn strip(bytes: &[u8], mime_type: &str, orientation: Orientation) -> Option<Vec<u8>> {
    let exif = orientation_exif(orientation);
    match mime_type {
        "image/jpeg" => strip_jpeg(bytes, exif.as_deref()),
        "image/png" => strip_png(bytes, exif),
        "image/webp" => strip_webp(bytes, exif),
        "image/gif" => strip_gif(bytes),
        _ => None,
    }
}

/// Creates an EXIF block that contains only the orientation.
fn orientation_exif(orientation: Orientation) -> Option<Vec<u8>> {
    if orientation == Orientation::NoTransforms {
        return None;
    }
    let mut exif = Vec::with_capacity(26);
    // Little-endian TIFF with one entry: tag 0x0112, a SHORT, once.
    exif.extend_from_slice(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
    exif.extend_from_slice(&[orientation.to_exif(), 0, 0, 0]);
    exif.extend_from_slice(&[0, 0, 0, 0]);
    Some(exif)
}

/// The markers of JPEG that the walk over its segments needs.
mod marker {
    pub(super) const START: u8 = 0xd8;
    pub(super) const END: u8 = 0xd9;
    pub(super) const SCAN: u8 = 0xda;
    pub(super) const APP0: u8 = 0xe0;
    pub(super) const APP1: u8 = 0xe1;
    pub(super) const APP2: u8 = 0xe2;
    pub(super) const APP14: u8 = 0xee;
}

/// Keeps the segments that decoding needs: no EXIF, XMP, MPF, comments or other
/// application data, and nothing after the end of the image. `img_parts` keeps what
/// follows the first scan as it is, so this walks over the segments itself.
fn strip_jpeg(bytes: &[u8], exif: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut out = vec![0xff, marker::START];
    if let Some(exif) = exif {
        let length = u16::try_from(2 + 6 + exif.len()).ok()?;
        out.extend([0xff, marker::APP1]);
        out.extend(length.to_be_bytes());
        out.extend(b"Exif\0\0");
        out.extend(exif);
    }
    let mut rest = bytes.strip_prefix(&[0xff, marker::START])?;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xff)?;
        rest = rest.get(at..)?;
        // Any number of 0xff may precede a marker.
        let at = rest.iter().position(|byte| *byte != 0xff)?;
        let (kind, after) = rest.get(at..)?.split_first()?;
        rest = after;
        match *kind {
            marker::END => {
                out.extend([0xff, marker::END]);
                return Some(out);
            }
            // Without a length: these have a meaning only inside of a scan.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let contents = rest.get(2..length)?;
        if is_needed(*kind, contents) {
            out.extend([0xff, *kind]);
            out.extend(rest.get(..length)?);
        }
        rest = rest.get(length..)?;
        if *kind == marker::SCAN {
            let (scan, after) = rest.split_at(scan_length(rest));
            out.extend(scan);
            rest = after;
        }
    }
}

fn is_needed(kind: u8, contents: &[u8]) -> bool {
    match kind {
        // Without a thumbnail, which would follow these 14 bytes.
        marker::APP0 => contents.starts_with(b"JFIF\0") && contents.len() == 14,
        marker::APP2 => contents.starts_with(b"ICC_PROFILE\0"),
        marker::APP14 => contents.starts_with(b"Adobe"),
        // Frames, tables, restart intervals and scans.
        0xc0..=0xcf | 0xda..=0xdf => true,
        _ => false,
    }
}

/// The length of the compressed data of a scan: up to a marker that does not belong to it.
fn scan_length(bytes: &[u8]) -> usize {
    let ends = |pair: &[u8]| matches!(pair, [0xff, other] if !matches!(other, 0x00 | 0xd0..=0xd7 | 0xff));
    bytes.windows(2).position(ends).unwrap_or(bytes.len())
}

fn strip_png(bytes: &[u8], exif: Option<Vec<u8>>) -> Option<Vec<u8>> {
    const NEEDED: [[u8; 4]; 20] = [
        *b"IHDR", *b"PLTE", *b"IDAT", *b"IEND", *b"tRNS", *b"cHRM", *b"gAMA", *b"iCCP", *b"sBIT", *b"sRGB", *b"cICP",
        *b"mDCV", *b"cLLI", *b"bKGD", *b"hIST", *b"pHYs", *b"sPLT", *b"acTL", *b"fcTL", *b"fdAT",
    ];
    let mut png = Png::from_bytes(ImgBytes::copy_from_slice(bytes)).ok()?;
    png.chunks_mut().retain(|chunk| NEEDED.contains(&chunk.kind()));
    png.set_exif(exif.map(ImgBytes::from));
    let mut out = Vec::with_capacity(bytes.len());
    png.encoder().write_to(&mut out).ok()?;
    Some(out)
}

fn strip_webp(bytes: &[u8], exif: Option<Vec<u8>>) -> Option<Vec<u8>> {
    const NEEDED: [[u8; 4]; 7] = [*b"VP8 ", *b"VP8L", *b"VP8X", *b"ALPH", *b"ANIM", *b"ANMF", *b"ICCP"];
    let mut webp = WebP::from_bytes(ImgBytes::copy_from_slice(bytes)).ok()?;
    webp.chunks_mut().retain(|chunk| NEEDED.contains(&chunk.id()));
    webp.set_exif(exif.map(ImgBytes::from));
    let mut out = Vec::with_capacity(bytes.len());
    webp.encoder().write_to(&mut out).ok()?;
    Some(out)
}

/// Copies the compressed frames and how often they repeat: no comments, no XMP, nothing
/// after the end.
fn strip_gif(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(bytes).ok()?;
    let palette = decoder.global_palette().map_or(Cow::Borrowed(&[][..]), |palette| Cow::Owned(palette.to_vec()));
    let mut encoder = gif::Encoder::new(Vec::new(), decoder.width(), decoder.height(), &palette).ok()?;
    let mut is_first = true;
    while let Some(frame) = decoder.read_next_frame().ok()? {
        let frame = frame.clone();
        // The number of repetitions comes before the first frame.
        if std::mem::take(&mut is_first) {
            match decoder.repeat() {
                gif::Repeat::Finite(0) => {}
                repeat => encoder.set_repeat(repeat).ok()?,
            }
        }
        encoder.write_lzw_pre_encoded_frame(&frame).ok()?;
    }
    encoder.into_inner().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{AnimationDecoder, DynamicImage, ImageFormat, codecs::gif::GifDecoder};
    use std::io::Cursor;

    const CANARY: &[u8] = b"CANARY 48.2082N 16.3738E";

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = DynamicImage::new_rgb8(40, 30);
        image.write_to(&mut Cursor::new(&mut bytes), format).expect("an image");
        bytes
    }

    fn assert_stripped(dirty: &[u8], mime_type: &str) -> Vec<u8> {
        assert!(contains_canary(dirty));
        let stripped = strip(dirty, mime_type, Orientation::Rotate90).expect("an image");
        assert!(!contains_canary(&stripped), "{mime_type}: {}", String::from_utf8_lossy(&stripped));
        let before = image::load_from_memory(dirty).expect("an image").to_rgba8();
        assert_eq!(image::load_from_memory(&stripped).expect("an image").to_rgba8(), before, "the pixels stay");
        stripped
    }

    fn contains_canary(bytes: &[u8]) -> bool {
        bytes.windows(CANARY.len()).any(|part| part == CANARY)
    }

    fn jpeg_segment(kind: u8, prefix: &[u8]) -> Vec<u8> {
        let contents = [prefix, CANARY, b"\xff\xd9"].concat();
        let length = u16::try_from(contents.len() + 2).expect("short").to_be_bytes();
        [&[0xff, kind][..], &length, &contents].concat()
    }

    #[test]
    fn a_jpeg_keeps_only_the_segments_that_decoding_needs() {
        let clean = encoded(ImageFormat::Jpeg);
        let mut dirty = clean[..2].to_vec();
        for kind in marker::APP0..=0xef {
            dirty.extend(jpeg_segment(kind, b"Exif\0\0"));
        }
        dirty.extend(jpeg_segment(marker::APP0, b"JFXX\0"));
        dirty.extend(jpeg_segment(marker::APP2, b"MPF\0"));
        dirty.extend(jpeg_segment(marker::APP0, b"JFIF\0"));
        for kind in [0x02, 0xbf, 0xf0, 0xfd, 0xfe] {
            dirty.extend(jpeg_segment(kind, b""));
        }
        dirty.extend(&clean[2..]);
        dirty.extend(CANARY);
        let stripped = assert_stripped(&dirty, "image/jpeg");
        assert_eq!(stripped.len(), clean.len() + 36, "only the orientation was added");
        let profile = [&clean[..2], &jpeg_segment(marker::APP2, b"ICC_PROFILE\0")[..], &clean[2..]].concat();
        assert!(contains_canary(&strip(&profile, "image/jpeg", Orientation::NoTransforms).expect("an image")));
    }

    #[test]
    fn a_jpeg_loses_segments_between_its_scans() {
        let clean = encoded(ImageFormat::Jpeg);
        let end = clean.len() - 2;
        let dirty = [&clean[..end], &jpeg_segment(0xfe, b"")[..], &clean[end..]].concat();
        assert_stripped(&dirty, "image/jpeg");
    }

    #[test]
    fn a_png_keeps_only_the_chunks_that_decoding_needs() {
        let clean = encoded(ImageFormat::Png);
        let mut png = Png::from_bytes(clean.into()).expect("a PNG");
        for kind in [*b"tEXt", *b"iTXt", *b"zTXt", *b"eXIf", *b"tIME", *b"caBX", *b"vpAg"] {
            png.chunks_mut().insert(1, img_parts::png::PngChunk::new(kind, ImgBytes::from_static(CANARY)));
        }
        let mut dirty = Vec::new();
        png.encoder().write_to(&mut dirty).expect("encoded");
        dirty.extend(CANARY);
        assert_stripped(&dirty, "image/png");
    }

    #[test]
    fn a_webp_keeps_only_the_chunks_that_decoding_needs() {
        use img_parts::riff::{RiffChunk, RiffContent};
        let mut webp = WebP::from_bytes(encoded(ImageFormat::WebP).into()).expect("a WebP");
        webp.set_exif(Some(ImgBytes::from_static(CANARY)));
        for kind in [*b"XMP ", *b"C2PA", *b"JUNK"] {
            webp.chunks_mut().push(RiffChunk::new(kind, RiffContent::Data(ImgBytes::from_static(CANARY))));
        }
        let mut dirty = Vec::new();
        webp.encoder().write_to(&mut dirty).expect("encoded");
        dirty.extend(CANARY);
        assert_stripped(&dirty, "image/webp");
    }

    /// Runs exiftool on a file and returns what it prints.
    fn exiftool(arguments: &[&str], file: &std::path::Path) -> String {
        let output = std::process::Command::new("exiftool").args(arguments).arg(file).output();
        let output = output.expect("exiftool, which scripts/setup installs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn exiftool_finds_nothing_but_the_image() {
        let folder = tempfile::tempdir().expect("a directory");
        for (format, extension, mime_type) in [
            (ImageFormat::Jpeg, "jpg", "image/jpeg"),
            (ImageFormat::Png, "png", "image/png"),
            (ImageFormat::WebP, "webp", "image/webp"),
            (ImageFormat::Gif, "gif", "image/gif"),
        ] {
            let file = folder.path().join(format!("image.{extension}"));
            std::fs::write(&file, encoded(format)).expect("written");
            let tags = [
                "-overwrite_original",
                "-GPSLatitude=48.2082",
                "-GPSLatitudeRef=N",
                "-Make=CANARY",
                "-Comment=CANARY",
                "-XMP-dc:Creator=CANARY",
                "-IPTC:City=CANARY",
            ];
            exiftool(&tags, &file);
            let dirty = std::fs::read(&file).expect("read");
            assert!(exiftool(&["-a", "-G1", "-s"], &file).contains("CANARY"), "{extension} has metadata");
            std::fs::write(&file, strip(&dirty, mime_type, Orientation::Rotate90).expect("an image")).expect("written");
            for line in exiftool(&["-a", "-G1", "-s"], &file).lines() {
                let group = line.trim_start_matches('[').split(']').next().unwrap_or_default();
                let describes_the_image = ["ExifTool", "System", "File", "JFIF", "PNG", "RIFF", "GIF", "Composite"];
                let is_orientation = group == "IFD0" && line.contains("Orientation");
                assert!(describes_the_image.contains(&group) || is_orientation, "{extension}: {line}");
                assert!(!line.contains("CANARY") && !line.contains("GPS"), "{extension}: {line}");
            }
        }
    }

    #[test]
    fn a_gif_keeps_its_animation_and_loses_comments_and_xmp() {
        let mut encoder = gif::Encoder::new(Vec::new(), 4, 4, &[0, 0, 0, 255, 255, 255]).expect("an encoder");
        encoder.set_repeat(gif::Repeat::Infinite).expect("repeats");
        for pixel in [0, 1, 0] {
            let mut frame = gif::Frame::from_indexed_pixels(4, 4, vec![pixel; 16], None);
            frame.delay = 7;
            encoder.write_frame(&frame).expect("a frame");
            encoder.write_raw_extension(gif::AnyExtension(0xfe), &[CANARY]).expect("a comment");
            encoder.write_raw_extension(gif::AnyExtension(0xff), &[b"XMP DataXMP", CANARY]).expect("an extension");
        }
        let mut dirty = encoder.into_inner().expect("a GIF");
        dirty.extend(CANARY);
        let stripped = assert_stripped(&dirty, "image/gif");
        let frames = |bytes: &[u8]| {
            let decoder = GifDecoder::new(Cursor::new(bytes.to_vec())).expect("a GIF");
            let frames = decoder.into_frames().collect_frames().expect("frames");
            frames.into_iter().map(|frame| (frame.delay().numer_denom_ms(), frame.into_buffer())).collect::<Vec<_>>()
        };
        assert_eq!(frames(&stripped).len(), 3);
        assert_eq!(frames(&stripped), frames(&dirty));
        assert!(stripped.windows(11).any(|part| part == b"NETSCAPE2.0"), "it still repeats");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            let jpeg = [&[0xff, marker::START][..], &tail].concat();
            let _ = strip(&jpeg, "image/jpeg", Orientation::Rotate90);
            let _ = strip(&[&b"GIF89a"[..], &tail].concat(), "image/gif", Orientation::NoTransforms);
        }
    }
}
