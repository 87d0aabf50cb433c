//! The codec by the nanosecond, and a look among routes: heads parsed and written, framing, chunks. Nothing here knows sockets.

mod heads;

use std::hint::black_box;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;

use ringway::http::forward::encode_request;
use ringway::http::framing;
use ringway::http::framing::Framing;
use ringway::http::h1::chunked::Chunked;
use ringway::http::h1::chunked::size_line;
use ringway::http::head::RequestHead;
use ringway::http::head::ResponseHead;
use ringway::http::path::Rule;
use ringway::http::path::Rules;
use ringway::http::path::normalise;

use heads::LIMITS;

const SMALL: &[u8] = b"GET /orders/1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

const BROWSER: &[u8] = b"GET /orders/1?page=2&sort=date HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"146\", \"Not?A_Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/146.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
    image/apng,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\nReferer: https://shop.example/orders?page=1&sort=date\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: sid=8d1f0c3a5e7b4f6d9a2c1b0e8f7d6c5b; theme=dark; consent=1; cart=4f2a91c0\r\nIf-None-Match: W/\"5f-18c\"\r\n\r\n";

fn requests(criterion: &mut Criterion) {
    for (name, bytes) in [("small", SMALL), ("browser", BROWSER)] {
        let mut head = RequestHead::default();
        criterion.bench_function(&format!("request/parse/{name}"), |bencher| {
            bencher.iter(|| {
                head.reset();
                head.parse(black_box(bytes), &LIMITS)
            });
        });
        let mut head = RequestHead::default();
        head.parse(bytes, &LIMITS).expect("a request");
        criterion.bench_function(&format!("request/framing/{name}"), |bencher| {
            bencher.iter(|| framing::request(black_box(&head).view(bytes)));
        });
        let mut out = Vec::with_capacity(4096);
        let marks = heads::marks();
        for (whose, trusted) in [("", false), (" of a trusted peer", true)] {
            let hop = heads::hop(&marks, trusted);
            criterion.bench_function(&format!("request/encode/{name}{whose}"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    encode_request(&mut out, black_box(&head).view(bytes), Framing::None, &hop);
                    out.len()
                });
            });
        }
    }
}

fn responses(criterion: &mut Criterion) {
    let (mut head, mut out) = (ResponseHead::default(), Vec::with_capacity(4096));
    criterion.bench_function("response/parse+encode", |bencher| {
        bencher.iter(|| heads::answer(&mut head, &mut out));
    });
}

fn chunks(criterion: &mut Criterion) {
    for (name, count, size) in [("16 KiB in 1", 1, 16_384), ("16 KiB in 1000", 1000, 16)] {
        let mut wire = Vec::new();
        for _ in 0..count {
            wire.extend_from_slice(size_line(size, &mut [0; 18]));
            wire.resize(wire.len() + size, b'z');
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        criterion.bench_function(&format!("chunks/{name}"), |bencher| {
            let decode = |wire: &mut Vec<u8>| Chunked::default().decode(black_box(wire));
            bencher.iter_batched_ref(|| wire.clone(), decode, BatchSize::SmallInput);
        });
    }
}

fn paths(criterion: &mut Criterion) {
    let rules = Rules { dots: Rule::Resolve, slashes: Rule::Keep, encoded_slashes: Rule::Keep };
    let mut out = Vec::with_capacity(256);
    for (name, path) in [
        ("6 bytes", "/cart/"),
        ("30 bytes", "/orders/2026-11-24/items/12345"),
        ("200 bytes", &"/orders/2026-11-24/items".repeat(8)),
        ("escapes", "/search/caf%C3%A9%20au%20lait/"),
        ("rewritten", "/orders/%32026/../items/./12345"),
    ] {
        criterion.bench_function(&format!("path/{name}"), |bencher| {
            bencher.iter(|| normalise(black_box(path.as_bytes()), rules, &mut out));
        });
    }
}

fn routes(criterion: &mut Criterion) {
    for count in [10, 1000, 10_000] {
        let table = heads::routes(count);
        for (name, path) in [("one of them", "/r5/items/1"), ("the one for all", "/orders/1")] {
            criterion.bench_function(&format!("route/{count}/{name}"), |bencher| {
                bencher.iter(|| table.find(black_box(b"shop.example"), black_box(path.as_bytes())).is_some());
            });
        }
    }
}

criterion_group!(benches, requests, responses, chunks, paths, routes);
criterion_main!(benches);
