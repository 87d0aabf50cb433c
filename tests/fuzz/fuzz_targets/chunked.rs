//! A chunked body, whole and in pieces: the same data, trailers, length and faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::http::ChunkFault;
use ringway::http::h1::chunked::Chunked;

fn decode(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>, usize, bool), ChunkFault> {
    let (mut chunked, mut data, mut from, mut end) = (Chunked::default(), Vec::new(), 0, false);
    for piece in bytes.chunks(size.max(1)) {
        let mut piece = piece.to_vec();
        let decoded = chunked.decode(&mut piece)?;
        data.extend_from_slice(&piece[decoded.data]);
        from += decoded.consumed;
        end = decoded.end;
        if end {
            break;
        }
        assert_eq!(decoded.consumed, piece.len());
    }
    Ok((data, chunked.trailers().to_vec(), from, end))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len());
    assert_eq!(decode(bytes, usize::from(*size)), whole);
    assert_eq!(decode(bytes, 1), whole);
});
