//! Uploaded images: reads their size, strips their metadata and makes a thumbnail.

use crate::{BlobStore, PixelBudget, blobs::StoredBlob, image_metadata};
use chat_core::{Error, Result, UserId, files::NewImage};
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder, imageops::FilterType,
    metadata::Orientation,
};
use std::{io::Cursor, sync::Arc};
use tokio::sync::Semaphore;

/// Maximum number of pixels of an image. Decoding a larger image would take hundreds
/// of megabytes.
const MAX_PIXELS: u64 = 40_000_000;

/// Maximum length of each side of an image, in pixels.
const MAX_SIDE: u32 = 16_384;

/// Maximum memory that decoding one image may take, in bytes.
const MAX_DECODER_BYTES: u64 = 256 * 1024 * 1024;

/// Maximum length of each side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 480;

/// The JPEG quality of a thumbnail, in percent.
const THUMBNAIL_QUALITY: u8 = 80;

/// An image that may be stored.
#[derive(Debug)]
struct DecodedImage {
    /// The size in pixels, as displayed: after the orientation is applied.
    width: u32,
    height: u32,
    /// The file without its metadata; `None` if it had none.
    stripped: Option<Vec<u8>>,
    thumbnail: Vec<u8>,
    thumbnail_type: &'static str,
}

/// Limits how many images are decoded at once; the others wait. With `MAX_DECODER_BYTES`
/// this bounds the memory of all decoding.
static DECODE_PERMITS: Semaphore = Semaphore::const_new(1);

/// Decodes a stored file if it is an image, replaces it with a copy without metadata
/// and stores a thumbnail. A file that starts like an image but cannot be decoded gets
/// the type `application/octet-stream`.
pub(crate) async fn render(
    blobs: &BlobStore,
    budget: &Arc<PixelBudget>,
    uploader: UserId,
    stored: &mut StoredBlob,
) -> Result<Option<NewImage>> {
    if !is_image(&stored.mime_type) {
        return Ok(None);
    }
    let permit = DECODE_PERMITS.acquire().await.map_err(Error::internal)?;
    let (bytes, mime_type) = (blobs.read_all(&stored.key).await?, stored.mime_type.clone());
    let budget = Arc::clone(budget);
    let task = tokio::task::spawn_blocking(move || {
        // Decoding holds the permit until it ends, even if the request is cancelled.
        let _permit = permit;
        decode(&bytes, &mime_type, |pixels| budget.charge(uploader, pixels))
    });
    let decoded = task.await.map_err(Error::internal)??;
    let Some(DecodedImage { width, height, stripped, thumbnail, thumbnail_type }) = decoded else {
        stored.mime_type = "application/octet-stream".into();
        return Ok(None);
    };
    if let Some(stripped) = stripped {
        stored.size = stripped.len() as u64;
        let photo = std::mem::replace(&mut stored.key, blobs.put(stripped).await?);
        blobs.delete_all([photo]).await;
    }
    let side = |pixels: u32| i32::try_from(pixels).map_err(Error::internal);
    let thumbnail_size = i64::try_from(thumbnail.len()).map_err(Error::internal)?;
    let thumbnail_key = blobs.put(thumbnail).await?;
    Ok(Some(NewImage { width: side(width)?, height: side(height)?, thumbnail_key, thumbnail_type, thumbnail_size }))
}

/// Whether images of this type are decoded.
fn is_image(mime_type: &str) -> bool {
    image_format(mime_type).is_some()
}

fn image_format(mime_type: &str) -> Option<ImageFormat> {
    match mime_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Decodes an image, unless `charge` rejects its number of pixels. Returns `None` if the
/// bytes are not an image, even if they start like one. Slow, and uses much memory.
fn decode(bytes: &[u8], mime_type: &str, charge: impl FnOnce(u64) -> Result<()>) -> Result<Option<DecodedImage>> {
    let Some(format) = image_format(mime_type) else { return Ok(None) };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let Ok(mut decoder) = reader.into_decoder() else { return Ok(None) };
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE {
        return Err(Error::invalid("file", format!("an image can have at most {MAX_SIDE} pixels on each side")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::invalid("file", format!("at most {} million pixels are allowed", MAX_PIXELS / 1_000_000)));
    }
    charge(u64::from(width) * u64::from(height))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let Ok(mut image) = DynamicImage::from_decoder(decoder) else { return Ok(None) };
    // An image whose metadata cannot be removed is not shown as one.
    let Some(stripped) = image_metadata::strip(bytes, mime_type, orientation) else { return Ok(None) };
    let stripped = Some(stripped).filter(|stripped| stripped != bytes);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if width.max(height) > THUMBNAIL_SIDE {
        image = image.resize(THUMBNAIL_SIDE, THUMBNAIL_SIDE, FilterType::Triangle);
    }
    let (thumbnail, thumbnail_type) = encode(&image)?;
    Ok(Some(DecodedImage { width, height, stripped, thumbnail, thumbnail_type }))
}

/// Encodes as PNG if the image has an alpha channel, and as JPEG otherwise.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = DynamicImage::new_rgb8(width, height);
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).expect("encode a JPEG");
        bytes
    }

    fn decode(bytes: &[u8], mime_type: &str) -> Result<Option<DecodedImage>> {
        super::decode(bytes, mime_type, |_| Ok(()))
    }

    #[test]
    fn an_image_keeps_its_orientation_and_loses_other_metadata() {
        let plain = jpeg(800, 600);
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0GPS: at home";
        let length = u16::try_from(exif.len() + 2).expect("short").to_be_bytes();
        let bytes = [&plain[..2], &[0xff, 0xe1], &length, exif, &plain[2..]].concat();
        let decoded = decode(&bytes, "image/jpeg").expect("within the limits").expect("an image");
        assert_eq!((decoded.width, decoded.height), (600, 800));
        let stripped = decoded.stripped.expect("there was metadata");
        assert!(!stripped.windows(4).any(|four| four == b"GPS:"));
        let again = decode(&stripped, "image/jpeg").expect("within the limits").expect("an image");
        assert_eq!((again.width, again.height), (600, 800), "the orientation is kept");
        let thumbnail = image::load_from_memory(&decoded.thumbnail).expect("an image");
        assert_eq!((thumbnail.width(), thumbnail.height()), (360, 480));
    }

    #[test]
    fn an_image_without_metadata_is_left_unchanged() {
        let decoded = decode(&jpeg(10, 10), "image/jpeg").expect("within the limits").expect("an image");
        assert!(decoded.stripped.is_none());
        assert_eq!(decoded.thumbnail_type, "image/jpeg");
    }

    #[test]
    fn a_file_that_only_starts_like_an_image_is_not_one() {
        assert!(decode(b"\x89PNG\r\n\x1a\nand then something else", "image/png").expect("within the limits").is_none());
        assert!(decode(&jpeg(100, 100)[..200], "image/jpeg").expect("within the limits").is_none());
    }

    #[test]
    fn a_decompression_bomb_is_rejected_before_decoding() {
        let mut bomb = Vec::new();
        DynamicImage::new_luma8(1, 1).write_to(&mut Cursor::new(&mut bomb), ImageFormat::Png).expect("encoded");
        // The size in the header, and its checksum.
        bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let checksum = crc32(&bomb[12..29]).to_be_bytes();
        bomb[29..33].copy_from_slice(&checksum);
        assert!(matches!(decode(&bomb, "image/png"), Err(Error::Invalid(_))));
    }

    #[test]
    fn an_image_with_a_very_long_side_is_rejected() {
        for (width, height, is_allowed) in [(MAX_SIDE, 1, true), (MAX_SIDE + 1, 1, false), (1, MAX_SIDE + 1, false)] {
            let mut png = Vec::new();
            let image = DynamicImage::new_luma8(width, height);
            image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).expect("encoded");
            assert_eq!(decode(&png, "image/png").is_ok(), is_allowed, "{width} × {height}");
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }
}
