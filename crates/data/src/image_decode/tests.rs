//! Tests of decoding: every format, its limits, and what libraries write.

use image::codecs::gif::GifEncoder;
use image::{Frame, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const ALL: [Format; 6] =
    [Format::Png, Format::Jpeg, Format::Gif, Format::WebP, Format::Bmp, Format::Tiff];

/// Written by Pillow: 8×8 pixels of one red in CMYK, inverted as by Adobe's programs.
const CMYK_JPEG: &str = "\
    ffd8ffee000e41646f626500640000000000ffdb00430001010101010101010101010101010101010101010101\
    010101010101010101010101010101010101010101010101010101010101010101010101010101010101ffc000\
    140800080008044311004d11005911004b1100ffc4001f00000105010101010101000000000000000001020304\
    05060708090a0bffc400b5100002010303020403050504040000017d0102030004110512213141061351610722\
    7114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a4344454647\
    48494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2\
    a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9ea\
    f1f2f3f4f5f6f7f8f9faffda000e0443004d0059004b00003f00fefe2bfcff00ebfcff00ebfbf8afffd9";

/// Written by Pillow: 6×4 pixels, red, then blue.
const ANIMATED_WEBP: &str = "\
    524946468400000057454250565038580a00000002000000050000030000414e494d0600000000000000000041\
    4e4d4628000000000000000000050000030000000000025650384c0f0000002f05c000000710fd8ffe0722a2ff\
    0100414e4d4628000000000000000000050000030000000000005650384c0f0000002f05c000000710d1fffe07\
    22a2ff0100";

/// Written by Pillow: 6×4 pixels, red, then blue.
const ANIMATED_PNG: &str = "\
    89504e470d0a1a0a0000000d49484452000000060000000408020000002266d914000000086163544c00000002\
    00000000f38d93700000001a6663544c000000000000000600000004000000000000000000000001000012f3c3\
    410000001249444154789c63fccf800e983044881402004c3101074e3db38c0000001a6663544c000000010000\
    000600000004000000000000000000000001000089802995000000186664415400000002789c636460f8cf800a\
    981830007142004a3301070c580a8d0000000049454e44ae426082";

/// Written by Pillow: two pages of 2×1 pixels, dark, then bright.
const TWO_PAGES_TIFF: &str = "\
    49492a000800000009000001040001000000020000000101040001000000010000000201030001000000080000\
    0003010300010000000100000006010300010000000100000011010400010000007a0000001601040001000000\
    010000001701040001000000020000001c01030001000000010000008800000009090000000049492a00080000\
    000900000104000100000002000000010104000100000001000000020103000100000008000000030103000100\
    0000010000000601030001000000010000001101040001000000fa000000160104000100000001000000170104\
    0001000000020000001c010300010000000100000000000000c8c800000000";

/// Written by Pillow: (10, 20, 30) and a transparent (200, 100, 50), from a palette of 1 bit.
const PALETTE_PNG: &str = "\
    89504e470d0a1a0a0000000d4948445200000002000000010103000000ceecedc900000006504c54450a141ec8\
    643277a0b39c0000000274524e53ff00e5b7304a0000000a4944415478da637000000042004184bf8e62000000\
    0049454e44ae426082";

/// Written by Pillow: a white row of 8 pixels above a black one, in group 4 fax compression.
const FAX_TIFF: &str = "\
    49492a001000000026a29986e00200200900000103000100000008000000010103000100000002000000020103\
    000100000001000000030103000100000004000000060103000100000001000000110104000100000008000000\
    1601030001000000020000001701040001000000080000001c010300010000000100000000000000";

/// Written by Pillow: 6×4 pixels of (200, 200, 200), compressed with loss.
const LOSSY_WEBP: &str = "\
    52494646240000005745425056503820180000003001009d012a0600040001402625a400037000fef7420000";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn encoded(image: &DynamicImage, format: Format) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format.library()).unwrap();
    bytes.into_inner()
}

/// Image of 3×2 pixels, each of another color.
fn colors() -> DynamicImage {
    let pixels = vec![250, 0, 0, 0, 250, 0, 0, 0, 250, 90, 90, 0, 0, 90, 90, 90, 0, 90];
    RgbImage::from_raw(3, 2, pixels).unwrap().into()
}

#[test]
fn a_png_decodes_to_the_planes_it_was_made_of() {
    for channels in [1, 3] {
        let pixels: Vec<u8> = (0..).take(channels as usize * 6).collect();
        let bytes = png(channels, 2, 3, &pixels).unwrap();
        let image = decode(&bytes).unwrap();
        assert_eq!(image, DecodedImage { channels, height: 2, width: 3, pixels });
    }
    assert_eq!(png(1, 2, 3, &[0; 5]), None);
    assert_eq!(png(2, 1, 1, &[0; 2]), None);
}

#[test]
fn every_format_decodes_to_its_pixels() {
    let pixels = color(&colors()).pixels;
    for format in ALL {
        let bytes = encoded(&colors(), format);
        assert_eq!(detect(&bytes), Some(Detected::Read(format)));
        assert_eq!(size(&bytes), Ok((2, 3)), "{format:?}");
        assert!(!has_several(&bytes, format), "{format:?}");
        let image = decode(&bytes).unwrap();
        assert_eq!((image.channels, image.height, image.width), (3, 2, 3), "{format:?}");
        if format != Format::Jpeg {
            assert_eq!(image.pixels, pixels, "{format:?}");
        }
    }
}

#[test]
fn gray_images_have_one_channel_in_every_format() {
    let image = DynamicImage::from(GrayImage::from_pixel(8, 8, Luma([77])));
    for format in ALL {
        // Formats without gray get the same pixels in color.
        let image =
            if format.has_gray() { image.clone() } else { DynamicImage::from(image.to_rgb8()) };
        let decoded = decode(&encoded(&image, format)).unwrap();
        assert_eq!((decoded.channels, decoded.pixels), (1, vec![77; 64]), "{format:?}");
    }
    let lossy = decode(&bytes_of(LOSSY_WEBP)).unwrap();
    assert_eq!((lossy.channels, lossy.pixels), (1, vec![200; 24]));
}

#[test]
fn channels_of_16_bits_are_scaled_to_8() {
    let image: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_raw(2, 1, vec![0x1234, 0xffff]).unwrap();
    for format in [Format::Png, Format::Tiff] {
        let decoded = decode(&encoded(&DynamicImage::from(image.clone()), format)).unwrap();
        assert_eq!(decoded.pixels, [0x12, 0xff], "{format:?}");
    }
}

#[test]
fn transparent_pixels_are_white() {
    let image = RgbaImage::from_raw(3, 1, vec![9, 8, 7, 0, 9, 8, 7, 255, 0, 100, 200, 51]).unwrap();
    let image = DynamicImage::from(image);
    for format in [Format::Png, Format::WebP, Format::Tiff] {
        let decoded = decode(&encoded(&image, format)).unwrap();
        let planes = [255, 9, 204, 255, 8, 224, 255, 7, 244];
        assert_eq!((decoded.channels, decoded.pixels.as_slice()), (3, planes.as_slice()));
    }
    let gray: ImageBuffer<LumaA<u8>, Vec<u8>> =
        ImageBuffer::from_raw(2, 1, vec![9, 0, 9, 255]).unwrap();
    let decoded = decode(&encoded(&DynamicImage::from(gray), Format::Png)).unwrap();
    assert_eq!((decoded.channels, decoded.pixels.as_slice()), (1, [255, 9].as_slice()));
    let palette = decode(&bytes_of(PALETTE_PNG)).unwrap();
    assert_eq!(palette.pixels, [10, 255, 20, 255, 30, 255]);
}

#[test]
fn cmyk_and_fax_images_are_read() {
    let cmyk = decode(&bytes_of(CMYK_JPEG)).unwrap();
    assert_eq!((cmyk.channels, cmyk.height, cmyk.width), (3, 8, 8));
    let (red, others) = cmyk.pixels.split_at(64);
    assert!(red.iter().all(|value| *value > 250) && others.iter().all(|value| *value < 5));
    let fax = decode(&bytes_of(FAX_TIFF)).unwrap();
    assert_eq!((fax.channels, fax.pixels), (1, [vec![255; 8], vec![0; 8]].concat()));
}

#[test]
fn animations_give_their_first_frame() {
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for color in [[255, 0, 0, 255], [0, 0, 255, 255]] {
        let frame = Frame::new(RgbaImage::from_pixel(6, 4, Rgba(color)));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let red = [vec![255; 24], vec![0; 48]].concat();
    for (bytes, format) in [
        (gif, Format::Gif),
        (bytes_of(ANIMATED_WEBP), Format::WebP),
        (bytes_of(ANIMATED_PNG), Format::Png),
    ] {
        assert!(has_several(&bytes, format), "{format:?}");
        assert_eq!(decode(&bytes).unwrap().pixels, red, "{format:?}");
    }
    let pages = bytes_of(TWO_PAGES_TIFF);
    assert!(has_several(&pages, Format::Tiff));
    assert_eq!(decode(&pages).unwrap().pixels, [9, 9]);
}

#[test]
fn orientation_makes_images_upright() {
    // Brightness of a 2×1 image, and where it stands upright for each EXIF orientation (TIFF 6.0).
    let image = DynamicImage::from(GrayImage::from_raw(2, 1, vec![10, 200]).unwrap());
    let bytes = encoded(&image, Format::Png);
    for (orientation, size_upright, pixels) in [
        (1, (1, 2), [10, 200]),
        (2, (1, 2), [200, 10]),
        (3, (1, 2), [200, 10]),
        (4, (1, 2), [10, 200]),
        (5, (2, 1), [10, 200]),
        (6, (2, 1), [10, 200]),
        (7, (2, 1), [200, 10]),
        (8, (2, 1), [200, 10]),
        (9, (1, 2), [10, 200]),
    ] {
        let bytes = with_orientation(&bytes, orientation);
        assert_eq!(size(&bytes), Ok(size_upright), "{orientation}");
        let decoded = decode(&bytes).unwrap();
        assert_eq!((decoded.height, decoded.width), size_upright, "{orientation}");
        assert_eq!(decoded.pixels, pixels, "{orientation}");
    }
}

#[test]
fn an_image_is_scaled_and_converted() {
    let bytes = png(1, 4, 4, &[200; 16]).unwrap();
    let scaled = decode_as(&bytes, 3, 2, 2).unwrap();
    assert_eq!(scaled, DecodedImage { channels: 3, height: 2, width: 2, pixels: vec![200; 12] });
    let scaled = decode_scaled(&bytes, 3, 5).unwrap();
    assert_eq!(scaled, DecodedImage { channels: 1, height: 3, width: 5, pixels: vec![200; 15] });
    assert_eq!(decode_as(&bytes, 7, 2, 2), Err(ImageError::Channels(7)));
    assert_eq!(decode_as(b"no image", 1, 2, 2), Err(ImageError::NotAnImage));
    assert_eq!(decode(b""), Err(ImageError::Empty));
    let heic = decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap_err();
    assert_eq!(heic.to_string(), "is a HEIC image, which is not read");
    assert!(heic.change().contains("JPEG"));
}

#[test]
fn an_image_that_claims_to_be_huge_is_refused_by_its_header() {
    for format in ALL {
        let bytes = claiming_60_000(format);
        assert_eq!(size(&bytes), Err(ImageError::TooLarge), "{format:?}");
        assert_eq!(decode(&bytes), Err(ImageError::TooLarge), "{format:?}");
        assert_eq!(decode_as(&bytes, 1, 2, 2), Err(ImageError::TooLarge), "{format:?}");
    }
    let largest = GrayImage::new(MAX_SIDE, 1).into();
    assert_eq!(size(&encoded(&largest, Format::Png)), Ok((1, MAX_SIDE)));
    let larger = GrayImage::new(MAX_SIDE + 1, 1).into();
    assert_eq!(decode(&encoded(&larger, Format::Png)), Err(ImageError::TooLarge));
}

#[test]
fn damaged_images_are_errors() {
    for format in ALL {
        let bytes = encoded(&colors(), format);
        for length in 0..bytes.len() {
            // Some formats end with bytes that no pixel needs.
            drop(decode(&bytes[..length]));
            has_several(&bytes[..length], format);
        }
        let error = decode(&bytes[..bytes.len() / 2]);
        if format != Format::Jpeg {
            let damaged =
                matches!(error, Err(ImageError::Damaged { format: of, .. }) if of == format);
            assert!(damaged, "{format:?}");
        }
    }
}

proptest! {
    #[test]
    fn altered_images_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        kind in 0_usize..8,
    ) {
        let mut bytes = match ALL.get(kind) {
            Some(format) => encoded(&colors(), *format),
            None if kind == 6 => bytes_of(ANIMATED_WEBP),
            None => bytes_of(FAX_TIFF),
        };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let size = size(&bytes);
        if let Ok(image) = decode(&bytes) {
            prop_assert_eq!(size, Ok((image.height, image.width)));
            let pixels = image.channels * image.height * image.width;
            prop_assert_eq!(image.pixels.len(), pixels as usize);
        }
        for format in ALL {
            has_several(&bytes, format);
        }
    }
}

/// Adds an EXIF chunk to a PNG file.
fn with_orientation(png: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let (header, rest) = png.split_at(33);
    let mut chunk = b"eXIf".to_vec();
    chunk.extend(&exif);
    let length = u32::try_from(exif.len()).unwrap().to_be_bytes();
    [header, &length, &chunk, &sum(&chunk), rest].concat()
}

/// Returns an image file whose header states 60,000 pixels on both sides.
fn claiming_60_000(format: Format) -> Vec<u8> {
    let mut bytes = encoded(&DynamicImage::from(RgbImage::new(8, 8)), format);
    let place = |bytes: &mut [u8], at: usize, number: &[u8]| {
        bytes[at..at + number.len()].copy_from_slice(number);
    };
    let sides = |bytes: &mut [u8], places: [usize; 2], number: &[u8]| {
        for at in places {
            place(bytes, at, number);
        }
    };
    let (big, little) = (60_000_u32.to_be_bytes(), 60_000_u32.to_le_bytes());
    match format {
        Format::Png => {
            sides(&mut bytes, [16, 20], &big);
            let sum = sum(&bytes[12..29]);
            place(&mut bytes, 29, &sum);
        }
        Format::Jpeg => {
            let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
            sides(&mut bytes, [frame + 5, frame + 7], &big[2..]);
        }
        Format::Gif => sides(&mut bytes, [6, 8], &little[..2]),
        Format::Bmp => sides(&mut bytes, [18, 22], &little),
        Format::WebP => {
            // The extended header states the size less 1 in 3 bytes.
            let less = 59_999_u32.to_le_bytes();
            let image = bytes.split_off(12);
            bytes.extend(b"VP8X\x0a\0\0\0\0\0\0\0");
            bytes.extend([&less[..3], &less[..3], &image].concat());
            let length = u32::try_from(bytes.len() - 8).unwrap().to_le_bytes();
            place(&mut bytes, 4, &length);
        }
        Format::Tiff => {
            let list = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            let entries = u16::from_le_bytes(bytes[list..list + 2].try_into().unwrap());
            for entry in (0..usize::from(entries)).map(|entry| list + 2 + entry * 12) {
                // Width, height and rows of a strip are tags 256, 257 and 278. A LONG has type 4.
                if matches!(bytes[entry..entry + 2], [0 | 1 | 22, 1]) {
                    place(&mut bytes, entry + 2, &[4, 0, 1, 0, 0, 0]);
                    place(&mut bytes, entry + 8, &little);
                }
            }
        }
    }
    bytes
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum().to_be_bytes()
}
