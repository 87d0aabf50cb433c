//! Chunks: every rule with its fault, and what does not depend on how bytes come.

use proptest::prelude::*;

use super::*;

/// Data, trailers, bytes consumed and whether the body has ended.
type Outcome = Result<(Vec<u8>, Vec<u8>, usize, bool), ChunkFault>;

fn decode(bytes: &[u8], cuts: &[usize]) -> Outcome {
    let (mut chunked, mut data, mut from, mut end) = (Chunked::default(), Vec::new(), 0, false);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = bytes[from..cut.clamp(from, bytes.len())].to_vec();
        let behind = piece.clone();
        let decoded = chunked.decode(&mut piece)?;
        assert_eq!(piece[decoded.consumed..], behind[decoded.consumed..], "bytes past the end are not touched");
        data.extend_from_slice(&piece[decoded.data]);
        from += decoded.consumed;
        end = decoded.end;
        if end {
            break;
        }
    }
    Ok((data, chunked.trailers().to_vec(), from, end))
}

fn both_ways(bytes: &[u8]) -> Outcome {
    let whole = decode(bytes, &[]);
    let cuts: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(decode(bytes, &cuts), whole, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

#[test]
fn bodies_and_what_is_in_them() {
    for (text, data, trailers, behind) in [
        ("0\r\n\r\n", "", "", 0),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", "", 0),
        ("3\r\nhel\r\n2\r\nlo\r\n000\r\n\r\nGET /", "hello", "", 5),
        ("A;n=v;q=\"a;b\\\"c\"\r\n0123456789\r\n0;e\r\n\r\n", "0123456789", "", 0),
        ("1\r\nz\r\n0\r\nX-T: v\r\nx-u:\r\n\r\n", "z", "X-T: v\r\nx-u: \r\n", 0),
        ("0\r\nX-T:\t v \r\n\r\n", "", "X-T: v\r\n", 0),
        ("0\r\nContent-Length: 9\r\nHost: b\r\nTransfer-Encoding: x\r\nX-T: v\r\n\r\n", "", "X-T: v\r\n", 0),
        (
            "0\r\nX_Forwarded_For: 6\r\nx-forwarded-for: 6\r\nVia: z\r\nX-Request-Id: 1\r\nSet-Cookie: a\r\n\r\n",
            "",
            "",
            0,
        ),
    ] {
        let consumed = text.len() - behind;
        let wanted = (data.as_bytes().to_vec(), trailers.as_bytes().to_vec(), consumed, true);
        assert_eq!(both_ways(text.as_bytes()), Ok(wanted), "{text:?}");
    }
}

#[test]
fn each_rule_has_its_fault() {
    use ChunkFault as C;
    for (text, fault) in [
        ("\r\n5\r\n", C::BadSize),
        (";a\r\n", C::BadSize),
        ("+5\r\n", C::BadSize),
        ("0x5\r\n", C::BadSize),
        ("5 \r\n", C::BadSize),
        (" 5\r\n", C::BadSize),
        ("5_\r\n", C::BadSize),
        ("5\n", C::BadSize),
        ("5\r5", C::BadSize),
        ("g\r\n", C::BadSize),
        ("1000000000000000\r\n", C::BadSize),
        ("FFFFFFFFFFFFFFFF\r\n", C::BadSize),
        ("10000000000000005\r\n", C::BadSize),
        ("5;a\nhello", C::BadExtension),
        ("5;a\0\r\n", C::BadExtension),
        ("5;a=\"\r\n", C::BadExtension),
        ("5;a=\"\\\r\n", C::BadExtension),
        ("5\r\nhelloX", C::BadEnd),
        ("5\r\nhello\n", C::BadEnd),
        ("5\r\nhello\r0", C::BadEnd),
        ("0\r\nX : y\r\n\r\n", C::BadTrailer),
        ("0\r\n X: y\r\n\r\n", C::BadTrailer),
        ("0\r\nX: y\n\r\n", C::BadTrailer),
        ("0\r\n\nX", C::BadTrailer),
        ("0\r\n\rX", C::BadTrailer),
        ("0\r\nX: y\rZ: a\r\n\r\n", C::BadTrailer),
        ("0\r\nnonsense\r\n\r\n", C::BadTrailer),
    ] {
        assert_eq!(both_ways(text.as_bytes()), Err(fault), "{text:?}");
    }
}

#[test]
fn each_bound_is_exact() {
    let line = |zeros: usize| format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(zeros));
    assert!(decode(line(limits::CHUNK_LINE_BYTES - 1).as_bytes(), &[]).unwrap().3);
    assert_eq!(decode(line(limits::CHUNK_LINE_BYTES).as_bytes(), &[]), Err(ChunkFault::LineTooLong));
    let extended = |count: usize| format!("{}0\r\n\r\n", "1;234567\r\nz\r\n".repeat(count));
    assert!(decode(extended(limits::CHUNK_EXTENSION_BYTES / 7).as_bytes(), &[]).unwrap().3);
    let over = extended(limits::CHUNK_EXTENSION_BYTES / 7 + 1);
    assert_eq!(decode(over.as_bytes(), &[]), Err(ChunkFault::BadExtension));
    let trailers = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert!(decode(trailers(limits::REQUEST_FIELDS).as_bytes(), &[]).unwrap().3);
    assert_eq!(decode(trailers(limits::REQUEST_FIELDS + 1).as_bytes(), &[]), Err(ChunkFault::BadTrailer));
    let long = format!("0\r\nX: {}\r\n\r\n", "y".repeat(limits::REQUEST_HEAD_BYTES));
    assert_eq!(decode(long.as_bytes(), &[]), Err(ChunkFault::BadTrailer));
}

#[test]
fn size_lines() {
    for (len, text) in
        [(0, "0\r\n"), (9, "9\r\n"), (16, "10\r\n"), (0xabc, "abc\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
    {
        assert_eq!(size_line(len, &mut [0; 18]), text.as_bytes());
    }
}

fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "0\r\n",
        "1\r\nz\r\n",
        "5\r\nhello\r\n",
        "5",
        "\r\n",
        "\r",
        "\n",
        ";a=\"b\"",
        ";",
        "\"",
        "\\",
        "X: y\r\n",
        "0",
        " ",
        "\0",
        "a\r\n0123456789\r\n",
        "00",
    ]);
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in nearly(), mut cuts in prop::collection::vec(0_usize..80, 0..6)) {
        cuts.sort_unstable();
        prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[]));
    }

    #[test]
    fn what_is_written_reads_back(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        mut cuts in prop::collection::vec(0_usize..2500, 0..6),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(size_line(chunk.len(), &mut [0; 18]));
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\nbehind");
        cuts.sort_unstable();
        let (data, trailers, consumed, end) = decode(&wire, &cuts).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert!(trailers.is_empty() && end && consumed == wire.len() - 6);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, &[50, 100]);
    }
}
