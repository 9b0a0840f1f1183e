//! Downloads from a local server that behaves like the hub, and all their failures.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    reason = "the functions around the tests are tests too"
)]

mod hub_server;

use std::fs;
use std::path::Path;

use data::{
    DataError, Dataset, HubSettings, LoadProgress, Origin, ReadLimits, RepositoryId, Sources,
    read_file,
};
use hub_server::{HubServer, ServerFault};
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

#[test]
fn a_download_is_cached_and_read_from_the_cache_without_a_network() {
    let (server, home) = (HubServer::start(ServerFault::None), TempDir::new().unwrap());
    let mut sources = sources(&server, home.path());
    assert_eq!(origin(&sources), Origin::Hub);
    let mut downloads = Vec::new();
    let dataset = sources
        .load("ag_news", &mut |progress| {
            if let LoadProgress::Downloading { file, done, total } = progress {
                downloads.push((file, done, total.unwrap()));
            }
        })
        .unwrap();
    assert_eq!((dataset.train.len(), dataset.test.len()), (6, 2));
    assert_eq!(dataset.info.classes, ["World", "Sports", "Business", "Sci/Tech"]);
    let labels: Vec<u32> = dataset.train.iter().map(|row| row.label).collect();
    assert_eq!(labels, [0, 1, 2, 3, 0, 1], "the parts are in order");
    let files: Vec<&str> =
        downloads.iter().filter(|(_, done, total)| done == total).map(|it| it.0.as_str()).collect();
    assert_eq!(
        files,
        [
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/test-00000-of-00001.parquet"
        ]
    );
    assert!(downloads.iter().any(|(_, done, _)| *done == 0));

    drop(server);
    assert_eq!(origin(&sources), Origin::Cached);
    assert_eq!(load(&sources).unwrap(), dataset);
    sources.hub.offline = true;
    assert_eq!(load(&sources).unwrap(), dataset);
}

#[test]
fn any_repository_is_imported_with_its_splits() {
    let (server, home) = (HubServer::start(ServerFault::None), TempDir::new().unwrap());
    let mut sources = sources(&server, home.path());
    let id = RepositoryId::parse("fancyzhx/ag_news").unwrap();
    let files = sources.fetch_repository(&id, &mut |_| {}).unwrap();
    let roles: Vec<FileRole> = files.iter().map(|file| file.role).collect();
    assert_eq!(roles, [FileRole::Test, FileRole::Train, FileRole::Train]);
    let (options, limits) = (ImportOptions::default(), ReadLimits::default());
    let (dataset, _) = read_file("mine", &files, &options, limits, &mut |_| {}).unwrap();
    assert_eq!((dataset.train.len(), dataset.test.len()), (6, 2));
    let texts: Vec<&[u8]> = dataset.train.iter().map(|row| row.sample.bytes()).collect();
    assert_eq!(texts[1], b"a text of class 1", "the parts are in order");

    drop(server);
    sources.hub.offline = true;
    assert_eq!(sources.fetch_repository(&id, &mut |_| {}).unwrap(), files);
    let other = RepositoryId::parse("fancyzhx/other").unwrap();
    let error = sources.fetch_repository(&other, &mut |_| {}).unwrap_err();
    assert!(matches!(error, DataError::Offline { .. }), "{error}");
}

#[test]
fn a_token_is_sent_to_the_hub_and_not_to_redirect_targets() {
    let (server, home) = (HubServer::start(ServerFault::None), TempDir::new().unwrap());
    let mut sources = sources(&server, home.path());
    sources.hub.token = Some("hf_secret".to_owned());
    load(&sources).unwrap();
    for request in server.requests() {
        let expected = !request.path.starts_with("/storage");
        assert_eq!(request.headers.contains("bearer hf_secret"), expected, "{}", request.path);
    }
}

#[test]
fn an_interrupted_download_resumes() {
    let server = HubServer::start(ServerFault::BreaksOnce);
    let home = TempDir::new().unwrap();
    assert_eq!(load(&sources(&server, home.path())).unwrap().train.len(), 6);
    let ranges: Vec<String> = server
        .requests()
        .iter()
        .filter(|request| request.path.starts_with("/storage"))
        .filter_map(|request| request.headers.split("range: bytes=").nth(1).map(str::to_owned))
        .collect();
    let starts: Vec<u64> =
        ranges.iter().map(|range| range.split('-').next().unwrap().parse().unwrap()).collect();
    assert_eq!(starts, [server.half()], "one request resumed from the interrupted byte");
}

#[test]
fn a_download_resumes_from_the_part_file_of_an_earlier_process() {
    let server = HubServer::start(ServerFault::None);
    let home = TempDir::new().unwrap();
    let part = home.path().join(server.blob()).with_extension("incomplete");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    let half = usize::try_from(server.half()).unwrap();
    fs::write(&part, &server.first_file()[..half]).unwrap();
    assert_eq!(load(&sources(&server, home.path())).unwrap().train.len(), 6);
    assert!(!part.exists());
    let range = format!("range: bytes={half}-");
    assert!(server.requests().iter().any(|request| request.headers.contains(&range)));
}

#[test]
fn a_part_file_with_other_bytes_is_detected() {
    let server = HubServer::start(ServerFault::None);
    let home = TempDir::new().unwrap();
    let part = home.path().join(server.blob()).with_extension("incomplete");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, b"not the beginning of it").unwrap();
    let error = load(&sources(&server, home.path())).unwrap_err();
    assert!(matches!(error, DataError::Damaged { .. }), "{error}");
    assert_eq!(load(&sources(&server, home.path())).unwrap().train.len(), 6);
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let server = HubServer::start(ServerFault::IgnoresRanges);
    let home = TempDir::new().unwrap();
    assert_eq!(load(&sources(&server, home.path())).unwrap().train.len(), 6);
}

#[test]
fn a_server_that_keeps_breaking_leaves_a_part_file_to_resume_from() {
    let server = HubServer::start(ServerFault::AlwaysStalls);
    let home = TempDir::new().unwrap();
    let error = load(&sources(&server, home.path())).unwrap_err();
    assert!(matches!(error, DataError::Interrupted { .. }), "{error}");
    assert!(error.to_string().contains("load it again to resume the download"));
    assert!(!home.path().join(server.blob()).exists());
    assert!(home.path().join(server.blob()).with_extension("incomplete").exists());
    assert_eq!(origin(&sources(&server, home.path())), Origin::Hub);
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_left() {
    let server = HubServer::start(ServerFault::WrongBytes);
    let home = TempDir::new().unwrap();
    let error = load(&sources(&server, home.path())).unwrap_err();
    assert!(matches!(error, DataError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("SHA-256"), "{error}");
    let blobs = home.path().join(server.blob());
    let left: Vec<_> = fs::read_dir(blobs.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(origin(&sources(&server, home.path())), Origin::Hub);
}

#[test]
fn a_damaged_cached_file_is_fetched_again() {
    let server = HubServer::start(ServerFault::None);
    let home = TempDir::new().unwrap();
    let dataset = load(&sources(&server, home.path())).unwrap();
    let blob = home.path().join(server.blob());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[40] ^= 1;
    fs::write(&blob, bytes).unwrap();
    assert_eq!(load(&sources(&server, home.path())).unwrap(), dataset);
}

#[test]
fn error_statuses_name_what_to_set() {
    for (fault, message) in [
        (ServerFault::Status(401), "set HF_TOKEN"),
        (ServerFault::Status(403), "set HF_TOKEN"),
        (ServerFault::Status(404), "check HF_ENDPOINT"),
        (ServerFault::Status(503), "try again later"),
    ] {
        let (server, home) = (HubServer::start(fault), TempDir::new().unwrap());
        let error = load(&sources(&server, home.path())).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("fancyzhx/ag_news"), "{error}");
    }
}

#[test]
fn an_offline_error_names_what_to_set() {
    let (server, home) = (HubServer::start(ServerFault::None), TempDir::new().unwrap());
    let mut sources = sources(&server, home.path());
    drop(server);
    for offline in [false, true] {
        sources.hub.offline = offline;
        let error = load(&sources).unwrap_err();
        assert!(matches!(error, DataError::Offline { .. }), "{error}");
        for variable in ["CONSTELLATION_DATA_DIR", "HF_HOME", "HF_ENDPOINT"] {
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
}

#[test]
fn an_unknown_dataset_suggests_the_nearest_name() {
    let (server, home) = (HubServer::start(ServerFault::None), TempDir::new().unwrap());
    let sources = sources(&server, home.path());
    let error = sources.load("agnews", &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("did you mean `ag_news`?") && error.contains("synthetic"), "{error}");
    assert!(!sources.load("../../etc", &mut |_| {}).unwrap_err().to_string().contains("mean"));
    assert!(server.requests().is_empty());
}

fn sources(server: &HubServer, home: &Path) -> Sources {
    let hub = HubSettings {
        endpoint: Some(server.url.clone()),
        home: Some(home.to_owned()),
        token: None,
        offline: false,
    };
    Sources { data_dir: None, uploads: home.join("uploads"), hub }
}

fn load(sources: &Sources) -> Result<Dataset, DataError> {
    sources.load("ag_news", &mut |_| {})
}

fn origin(sources: &Sources) -> Origin {
    sources.list().into_iter().find(|entry| entry.name == "ag_news").unwrap().origin
}
