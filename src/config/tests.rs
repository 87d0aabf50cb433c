//! What every configuration promises: faulty files are explained to the letter, good ones load, and what a model stands
//! for reads back as the same model.

use std::path::Path;
use std::path::PathBuf;

use super::load;
use super::load_text;
use super::serve;
use super::to_toml;

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_faulty_file_is_explained() {
    let files = files("tests/config/faulty");
    insta::with_settings!({ snapshot_path => "../../tests/config/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let report = load(&path).expect_err(&name);
            assert!(!report.is_empty());
            insta::assert_snapshot!(name, report.render(false));
        }
    });
}

#[test]
fn serve_is_what_it_prints() {
    let model = serve("10.0.0.1:3000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
    let text = to_toml(&model);
    assert_eq!(load_text("serve", &text).unwrap().model, model, "{text}");
}

#[test]
fn the_smallest_file_loads() {
    let loaded = load(Path::new("config/gateway.toml")).unwrap();
    assert_eq!(loaded.sources, [Path::new("config/gateway.toml")]);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.model.upstreams[0].endpoints.len(), 2);
}
