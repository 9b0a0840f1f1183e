//! Local server that behaves like the hub: the list of a repository's files, a HEAD with digest and
//! size, a redirect to the storage, ranges, and faults.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sha2::{Digest, Sha256};

const REPOSITORY: &str = "fancyzhx/ag_news";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Fault of the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ServerFault {
    None,
    /// The first response with a file ends at its half.
    BreaksOnce,
    /// As `BreaksOnce`, and the rest is sent as the whole file, regardless of the requested range.
    IgnoresRanges,
    /// The first response ends at the half, each later one before its first byte.
    AlwaysStalls,
    WrongBytes,
    Status(u16),
}

pub(crate) struct Request {
    pub path: String,
    /// All headers in lower case.
    pub headers: String,
}

pub(crate) struct HubServer {
    pub url: String,
    files: Arc<Vec<(String, Vec<u8>)>>,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HubServer {
    pub(crate) fn start(fault: ServerFault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // The storage uses another host name, so that it counts as another host.
        let port = listener.local_addr().unwrap().port();
        let files = Arc::new(vec![
            ("data/train-00000-of-00002.parquet".to_owned(), parquet(&[0, 1, 2, 3])),
            ("data/train-00001-of-00002.parquet".to_owned(), parquet(&[0, 1])),
            ("data/test-00000-of-00001.parquet".to_owned(), parquet(&[2, 3])),
        ]);
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let responder = Responder {
            files: Arc::clone(&files),
            requests: Arc::clone(&requests),
            fault,
            storage: format!("http://localhost:{port}/storage"),
            broke: false,
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || responder.serve(&listener, &stopped));
        let url = format!("http://127.0.0.1:{port}");
        Self { url, files, requests, stop, thread: Some(thread) }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub(crate) fn first_file(&self) -> &[u8] {
        &self.files[0].1
    }

    /// Byte at which a fault truncates the first file.
    pub(crate) fn half(&self) -> u64 {
        self.first_file().len() as u64 / 2
    }

    /// Path of the first file in the cache.
    pub(crate) fn blob(&self) -> PathBuf {
        let folder = PathBuf::from("hub/datasets--fancyzhx--ag_news/blobs");
        folder.join(digest(self.first_file()))
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Responder {
    files: Arc<Vec<(String, Vec<u8>)>>,
    requests: Arc<Mutex<Vec<Request>>>,
    fault: ServerFault,
    storage: String,
    broke: bool,
}

impl Responder {
    fn serve(mut self, listener: &TcpListener, stopped: &AtomicBool) {
        for stream in listener.incoming() {
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            self.answer(stream.unwrap());
        }
    }

    /// Handles one request per connection.
    fn answer(&mut self, mut stream: TcpStream) {
        let (mut line, mut headers) = (String::new(), String::new());
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        reader.read_line(&mut line).unwrap();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            headers += &header.to_lowercase();
        }
        let Some(path) = line.split(' ').nth(1).map(str::to_owned) else { return };
        let range = headers
            .split("range: bytes=")
            .nth(1)
            .map(|range| range.split('-').next().unwrap().parse::<usize>().unwrap());
        self.requests.lock().unwrap().push(Request { path: path.clone(), headers });
        let (head, body) = self.respond(&path, range);
        let _ = stream.write_all(head.as_bytes());
        if !line.starts_with("HEAD") {
            let _ = stream.write_all(&body);
        }
    }

    fn respond(&mut self, path: &str, range: Option<usize>) -> (String, Vec<u8>) {
        if let ServerFault::Status(status) = self.fault {
            return (head(&format!("{status} No"), 0, ""), Vec::new());
        }
        if path == format!("/api/datasets/{REPOSITORY}/revision/main") {
            let names: Vec<String> = self
                .files
                .iter()
                .map(|(name, _)| format!("{{\"rfilename\":\"{name}\"}}"))
                .collect();
            let odd = "{\"rfilename\":\"README.md\"},{\"rfilename\":\"../../x.parquet\"}";
            let body = format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[{odd},{}]}}", names.join(","));
            return (head("200 OK", body.len(), ""), body.into_bytes());
        }
        let resolve = format!("/datasets/{REPOSITORY}/resolve/{COMMIT}/");
        let name = path.strip_prefix(&resolve).or_else(|| path.strip_prefix("/storage/"));
        let found = name.and_then(|name| self.files.iter().find(|(known, _)| known == name));
        let Some((name, bytes)) = found.cloned() else {
            return (head("404 Not Found", 0, ""), Vec::new());
        };
        if path.starts_with(&resolve) {
            let more = format!(
                "Location: {}/{name}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Size: {}\r\n\
                 X-Linked-ETag: \"{}\"\r\nETag: \"of-the-pointer\"\r\n",
                self.storage,
                bytes.len(),
                digest(&bytes)
            );
            return (head("302 Found", 0, &more), Vec::new());
        }
        self.send(bytes, range)
    }

    fn send(&mut self, mut bytes: Vec<u8>, range: Option<usize>) -> (String, Vec<u8>) {
        let (length, half) = (bytes.len(), bytes.len() / 2);
        if self.fault == ServerFault::WrongBytes {
            bytes[half] ^= 1;
        }
        let start = range.filter(|_| self.fault != ServerFault::IgnoresRanges).unwrap_or(0);
        let head = if start == 0 {
            head("200 OK", length, "Accept-Ranges: bytes\r\n")
        } else {
            let more = format!("Content-Range: bytes {start}-{}/{length}\r\n", length - 1);
            head("206 Partial Content", length - start, &more)
        };
        let mut body = bytes.split_off(start);
        match self.fault {
            ServerFault::BreaksOnce | ServerFault::IgnoresRanges | ServerFault::AlwaysStalls
                if !self.broke =>
            {
                self.broke = true;
                body.truncate(half);
            }
            ServerFault::AlwaysStalls => body.clear(),
            ServerFault::None
            | ServerFault::BreaksOnce
            | ServerFault::IgnoresRanges
            | ServerFault::WrongBytes
            | ServerFault::Status(_) => {}
        }
        (head, body)
    }
}

fn head(status: &str, length: usize, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Writes a text and a label for each of `labels`.
fn parquet(labels: &[i64]) -> Vec<u8> {
    let schema = "message schema { optional binary text (UTF8); optional int64 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let levels = vec![1; labels.len()];
    let texts: Vec<ByteArray> =
        labels.iter().map(|label| format!("a text of class {label}").as_str().into()).collect();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(labels, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.into_inner().unwrap()
}
