//! Pictures that people upload: how large they are, what else they tell of whoever
//! took them, and a small copy.

use crate::blobs::{Blobs, Stored};
use chat_core::{Error, Result, files::NewPicture};
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder, imageops::FilterType,
    metadata::Orientation,
};
use img_parts::{Bytes as Parts, DynImage, ImageEXIF, jpeg::Jpeg, jpeg::markers, png::Png, webp::WebP};
use std::io::Cursor;
use tokio::sync::Semaphore;

/// The most pixels a picture may have: more would take hundreds of megabytes to
/// look at.
const MAX_PIXELS: u64 = 40_000_000;

/// The most memory that looking at one may take, in bytes.
const MAX_MEMORY: u64 = 512 * 1024 * 1024;

/// Neither side of a small copy is longer, in pixels.
const THUMBNAIL_SIDE: u32 = 480;

/// How good a JPEG a small copy is, in percent.
const THUMBNAIL_QUALITY: u8 = 80;

/// A picture as it may be kept.
#[derive(Debug)]
struct Picture {
    /// As it is shown, turned upright, in pixels.
    width: u32,
    height: u32,
    /// The same picture without what a camera wrote into it; `None` if there was
    /// nothing.
    plain: Option<Vec<u8>>,
    thumbnail: Vec<u8>,
    thumbnail_type: &'static str,
}

/// How many are looked at at once; the others wait.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Looks at a file that has been stored. A picture is kept without what a camera
/// wrote into it, with a small copy beside; what only begins like one is no longer
/// called one.
pub(crate) async fn develop(blobs: &Blobs, stored: &mut Stored) -> Result<Option<NewPicture>> {
    if !is_picture(&stored.mime_type) {
        return Ok(None);
    }
    let place = PLACES.acquire().await.map_err(Error::internal)?;
    let (bytes, mime_type) = (blobs.whole(&stored.key).await?, stored.mime_type.clone());
    let looking = tokio::task::spawn_blocking(move || {
        // It is taken for as long as this lasts, even if nobody waits any longer.
        let _place = place;
        look(&bytes, &mime_type)
    });
    let looked = looking.await.map_err(Error::internal)??;
    let Some(Picture { width, height, plain, thumbnail, thumbnail_type }) = looked else {
        stored.mime_type = "application/octet-stream".into();
        return Ok(None);
    };
    if let Some(plain) = plain {
        stored.size = plain.len() as u64;
        let taken = std::mem::replace(&mut stored.key, blobs.put(plain).await?);
        blobs.forget([taken]).await;
    }
    let side = |pixels: u32| i32::try_from(pixels).map_err(Error::internal);
    let thumbnail_size = i64::try_from(thumbnail.len()).map_err(Error::internal)?;
    let thumbnail_key = blobs.put(thumbnail).await?;
    Ok(Some(NewPicture { width: side(width)?, height: side(height)?, thumbnail_key, thumbnail_type, thumbnail_size }))
}

/// Whether a type is one of those that are looked at.
fn is_picture(mime_type: &str) -> bool {
    format_of(mime_type).is_some()
}

fn format_of(mime_type: &str) -> Option<ImageFormat> {
    match mime_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Looks at a picture; `None` if it is none, whatever its first bytes say. Takes
/// long, and much memory.
fn look(bytes: &[u8], mime_type: &str) -> Result<Option<Picture>> {
    let Some(format) = format_of(mime_type) else { return Ok(None) };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let Ok(mut decoder) = reader.into_decoder() else { return Ok(None) };
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::invalid("file", format!("a picture has at most {} million pixels", MAX_PIXELS / 1_000_000)));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let Ok(mut image) = DynamicImage::from_decoder(decoder) else { return Ok(None) };
    let plain = without_metadata(bytes, orientation);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if width.max(height) > THUMBNAIL_SIDE {
        image = image.resize(THUMBNAIL_SIDE, THUMBNAIL_SIDE, FilterType::Triangle);
    }
    let (thumbnail, thumbnail_type) = encode(&image)?;
    Ok(Some(Picture { width, height, plain, thumbnail, thumbnail_type }))
}

/// As PNG if something shines through, and as JPEG otherwise.
fn encode(image: &DynamicImage) -> Result<(Vec<u8>, &'static str)> {
    let mut bytes = Vec::new();
    if image.color().has_alpha() {
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(Error::internal)?;
        return Ok((bytes, "image/png"));
    }
    let encoder = JpegEncoder::new_with_quality(&mut bytes, THUMBNAIL_QUALITY);
    image.to_rgb8().write_with_encoder(encoder).map_err(Error::internal)?;
    Ok((bytes, "image/jpeg"))
}

/// The same picture without where, when and with what it was taken; the pixels are
/// not touched. Which side is up is kept.
fn without_metadata(bytes: &[u8], orientation: Orientation) -> Option<Vec<u8>> {
    let image = DynImage::from_bytes(Parts::copy_from_slice(bytes)).ok().flatten()?;
    let upright = upright(orientation);
    let (image, found) = match image {
        DynImage::Jpeg(mut jpeg) => {
            let found = strip_jpeg(&mut jpeg);
            jpeg.set_exif(upright.clone());
            (DynImage::Jpeg(jpeg), found)
        }
        DynImage::Png(mut png) => {
            let found = strip_png(&mut png);
            png.set_exif(upright.clone());
            (DynImage::Png(png), found)
        }
        DynImage::WebP(mut webp) => {
            let found = strip_webp(&mut webp);
            webp.set_exif(upright.clone());
            (DynImage::WebP(webp), found)
        }
    };
    if !found {
        return None;
    }
    let mut plain = Vec::with_capacity(bytes.len());
    image.encoder().write_to(&mut plain).ok()?;
    Some(plain)
}

/// EXIF and XMP, the words of photo editors, and comments.
fn strip_jpeg(jpeg: &mut Jpeg) -> bool {
    let before = jpeg.segments().len();
    jpeg.segments_mut().retain(|segment| !matches!(segment.marker(), markers::APP1 | markers::APP13 | markers::COM));
    jpeg.segments().len() < before
}

fn strip_png(png: &mut Png) -> bool {
    const TOLD: [[u8; 4]; 5] = [*b"eXIf", *b"tEXt", *b"zTXt", *b"iTXt", *b"tIME"];
    let before = png.chunks().len();
    png.chunks_mut().retain(|chunk| !TOLD.contains(&chunk.kind()));
    png.chunks().len() < before
}

fn strip_webp(webp: &mut WebP) -> bool {
    let before = webp.chunks().len();
    webp.remove_chunks_by_id(*b"EXIF");
    webp.remove_chunks_by_id(*b"XMP ");
    webp.chunks().len() < before
}

/// An EXIF block that says which side is up, and nothing else.
fn upright(orientation: Orientation) -> Option<Parts> {
    if orientation == Orientation::NoTransforms {
        return None;
    }
    let mut exif = Vec::with_capacity(26);
    // Little-endian TIFF with one entry: tag 0x0112, a SHORT, once.
    exif.extend_from_slice(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
    exif.extend_from_slice(&[orientation.to_exif(), 0, 0, 0]);
    exif.extend_from_slice(&[0, 0, 0, 0]);
    Some(exif.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = DynamicImage::new_rgb8(width, height);
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).expect("encoded");
        bytes
    }

    #[test]
    fn a_picture_keeps_its_side_up_and_nothing_else_of_what_the_camera_wrote() {
        let mut taken = Jpeg::from_bytes(jpeg(800, 600).into()).expect("a JPEG");
        let mut exif = upright(Orientation::Rotate90).expect("turned").to_vec();
        exif.extend_from_slice(b"GPS: at home");
        taken.set_exif(Some(exif.into()));
        let mut bytes = Vec::new();
        taken.encoder().write_to(&mut bytes).expect("encoded");
        let picture = look(&bytes, "image/jpeg").expect("looked at").expect("a picture");
        assert_eq!((picture.width, picture.height), (600, 800));
        let plain = picture.plain.expect("something was there");
        assert!(!plain.windows(4).any(|four| four == b"GPS:"));
        let again = look(&plain, "image/jpeg").expect("looked at").expect("a picture");
        assert_eq!((again.width, again.height), (600, 800), "it is still turned");
        let small = image::load_from_memory(&picture.thumbnail).expect("a picture");
        assert_eq!((small.width(), small.height()), (360, 480));
    }

    #[test]
    fn what_has_nothing_to_tell_is_left_as_it_is() {
        let picture = look(&jpeg(10, 10), "image/jpeg").expect("looked at").expect("a picture");
        assert!(picture.plain.is_none());
        assert_eq!(picture.thumbnail_type, "image/jpeg");
    }

    #[test]
    fn what_only_begins_like_a_picture_is_none() {
        assert!(look(b"\x89PNG\r\n\x1a\nand then something else", "image/png").expect("looked at").is_none());
        assert!(look(&jpeg(100, 100)[..200], "image/jpeg").expect("looked at").is_none());
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let mut bomb = Vec::new();
        DynamicImage::new_luma8(1, 1).write_to(&mut Cursor::new(&mut bomb), ImageFormat::Png).expect("encoded");
        // The size in the header, and its checksum.
        bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let checksum = crc32(&bomb[12..29]).to_be_bytes();
        bomb[29..33].copy_from_slice(&checksum);
        assert!(matches!(look(&bomb, "image/png"), Err(Error::Invalid(_))));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }
}
