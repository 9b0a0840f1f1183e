//! HTTP requests to the hub. The URLs are hf-hub's. The requests are our own, because its client
//! trusts partial files, never checks a digest and has no timeouts.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo};
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::settings::HubSettings;
use crate::{DataError, LoadProgress};

/// Bytes between two progress reports.
const REPORT: u64 = 1 << 20;

/// One repository on the hub.
pub(super) struct Wire<'a> {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    /// Name in messages.
    name: &'a str,
    repository: &'a str,
    repo: &'a Repo,
}

/// Content of a commit.
pub(super) struct Listing {
    pub commit: String,
    pub files: Vec<String>,
}

/// Metadata of a file before its download.
pub(super) struct Head {
    pub etag: String,
    pub size: Option<u64>,
    url: String,
}

impl<'a> Wire<'a> {
    pub(super) fn open(
        settings: &HubSettings,
        (name, repository): (&'a str, &'a str),
        cache: &Cache,
        repo: &'a Repo,
    ) -> Self {
        let endpoint = settings.endpoint.clone().unwrap_or_else(|| default_endpoint(cache, repo));
        // Uses the system's certificates, because a company's proxy may sign with its own.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .timeout_per_read(Some(Duration::from_mins(1)))
            .build()
            .new_agent();
        let token = settings.token.clone().or_else(|| cache.token());
        Self { agent, endpoint, token, name, repository, repo }
    }

    /// Lists the files of the main branch.
    pub(super) fn listing(&self) -> Result<Listing, DataError> {
        let url = format!("{}/api/{}", self.endpoint, self.repo.api_url());
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| self.offline(&error))?;
        let mut response = self.accepted(response, "list of files")?;
        let text = response.body_mut().read_to_string().map_err(|error| self.offline(&error))?;
        let what = "readable list of files";
        let info: RepoInfo = serde_json::from_str(&text).map_err(|_| self.missing(what))?;
        if !is_name(&info.sha) {
            return Err(self.missing(what));
        }
        let paths = info.siblings.into_iter().map(|sibling| sibling.rfilename);
        Ok(Listing { commit: info.sha, files: paths.filter(|path| is_path(path)).collect() })
    }

    /// Returns the digest and size of a file from the hub itself, not from its redirect target.
    pub(super) fn head(&self, commit: &str, file: &str) -> Result<Head, DataError> {
        const MOST_REDIRECTS: usize = 5;
        let mut url = format!("{}/{}/resolve/{commit}/{file}", self.endpoint, self.repo.url());
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.agent.head(&url).config().max_redirects(0).build();
            if let Some(token) = &self.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| self.offline(&error))?;
            let response = self.accepted(response, file)?;
            let moved = response.status().is_redirection();
            // A renamed repository redirects within the hub. Other redirects lead to the bytes
            // alone.
            match header(&response, "location").filter(|to| moved && to.starts_with('/')) {
                Some(to) => url = format!("{}{to}", self.endpoint),
                None => return self.read_head(&response, file, url),
            }
        }
        Err(self.missing(file))
    }

    /// Appends the file's bytes from `done` on. If the connection breaks, received bytes stay
    /// written.
    pub(super) fn get(
        &self,
        head: &Head,
        file: &str,
        done: u64,
        out: &mut File,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(), DataError> {
        let mut request = self.agent.get(&head.url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if done > 0 {
            request = request.header("Range", format!("bytes={done}-"));
        }
        let interrupted = |done: u64, reason: String| DataError::Interrupted {
            repository: self.repository.to_owned(),
            file: file.to_owned(),
            done,
            reason,
        };
        let response = request.call().map_err(|error| match done {
            0 => self.offline(&error),
            _ => interrupted(done, error.to_string()),
        })?;
        let response = self.accepted(response, file)?;
        let mut done = done;
        let resumes = format!("bytes {done}-");
        if done > 0
            && !header(&response, "content-range").is_some_and(|it| it.starts_with(&resumes))
        {
            // The server ignored the range and sends the whole file.
            out.set_len(0).map_err(|error| interrupted(0, error.to_string()))?;
            done = 0;
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 17];
        let mut reported = None;
        loop {
            if reported.is_none_or(|reported| done >= reported + REPORT) {
                reported = Some(done);
                let (file, total) = (file.to_owned(), head.size);
                progress(LoadProgress::Downloading { file, done, total });
            }
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(interrupted(done, error.to_string())),
            };
            out.write_all(&buffer[..read]).map_err(|error| interrupted(done, error.to_string()))?;
            done += read as u64;
            if head.size.is_some_and(|size| done > size) {
                break;
            }
        }
        if head.size.is_some_and(|size| done < size) {
            return Err(interrupted(done, "the response ended early".to_owned()));
        }
        out.sync_all().map_err(|error| interrupted(done, error.to_string()))?;
        progress(LoadProgress::Downloading { file: file.to_owned(), done, total: head.size });
        Ok(())
    }

    fn read_head<T>(
        &self,
        response: &Response<T>,
        file: &str,
        url: String,
    ) -> Result<Head, DataError> {
        let own_length = || {
            let here = !response.status().is_redirection();
            header(response, "content-length").filter(|_| here)
        };
        let size = header(response, "x-linked-size").or_else(own_length);
        let etag = header(response, "x-linked-etag").or_else(|| header(response, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let etag = etag.filter(|etag| is_name(etag)).ok_or_else(|| self.missing(file))?;
        Ok(Head { etag, size: size.and_then(|size| size.parse().ok()), url })
    }

    fn accepted(&self, response: Response<Body>, what: &str) -> Result<Response<Body>, DataError> {
        let (repository, what) = (self.repository.to_owned(), what.to_owned());
        match response.status().as_u16() {
            200..=399 => Ok(response),
            status @ (401 | 403) => Err(DataError::Denied { repository, what, status }),
            404 => Err(DataError::Missing { repository, what }),
            status => Err(DataError::Refused { repository, what, status }),
        }
    }

    fn offline(&self, error: &ureq::Error) -> DataError {
        DataError::Offline {
            name: self.name.to_owned(),
            repository: self.repository.to_owned(),
            reason: error.to_string(),
        }
    }

    fn missing(&self, what: &str) -> DataError {
        let repository = self.repository.to_owned();
        DataError::Missing { repository, what: what.to_owned() }
    }
}

/// Returns hf-hub's default endpoint, which it exposes only as part of a URL.
fn default_endpoint(cache: &Cache, repo: &Repo) -> String {
    let builder = ApiBuilder::from_cache(cache.clone());
    let Ok(api) = builder.build() else { return String::new() };
    let url = api.repo(repo.clone()).url("");
    let own = format!("/{}/resolve/{}/", repo.url(), repo.url_revision());
    url.strip_suffix(&own).unwrap_or(&url).to_owned()
}

fn header<'a, T>(response: &'a Response<T>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Returns whether a name is safe as a file name in the cache.
fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(good)
}

/// Returns whether a path is safe in a snapshot and needs no escaping in a URL.
fn is_path(path: &str) -> bool {
    path.split('/').all(|part| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(good)
    })
}
