//! Dashboard window: its requests go to the coordinator in this process, without a port, a token or the
//! network.

use node::app::App;
use tauri::http::{Request, Response, StatusCode, header};
use tauri::{Manager, Runtime, UriSchemeContext, UriSchemeResponder, Url};

/// Label of the dashboard window. Requests from other windows are rejected.
pub(crate) const LABEL: &str = "dashboard";
/// URL scheme of the dashboard.
pub(crate) const SCHEME: &str = "dashboard";
/// Host of the dashboard's URL. Another host would be another origin.
const HOST: &str = "localhost";

const NOT_OURS: &str = "This page is only available in the dashboard window.";
const NOT_RUNNING: &str = "The coordinator isn't running. See its state in the menu bar.";

/// Origin of the dashboard page.
const ORIGIN: &str = "dashboard://localhost";

/// Returns the start URL.
pub(crate) fn url() -> Url {
    Url::parse(ORIGIN).unwrap_or_else(|error| unreachable!("{ORIGIN}: {error}"))
}

/// Handles a request of the page.
#[expect(clippy::needless_pass_by_value, reason = "Tauri hands everything over by value")]
pub(crate) fn answer<R: Runtime>(
    context: UriSchemeContext<'_, R>,
    request: Request<Vec<u8>>,
    responder: UriSchemeResponder,
) {
    if context.webview_label() != LABEL || request.uri().host() != Some(HOST) {
        return responder.respond(plain(StatusCode::FORBIDDEN, NOT_OURS));
    }
    let Some(client) = context.app_handle().state::<App>().in_process_client() else {
        return responder.respond(plain(StatusCode::SERVICE_UNAVAILABLE, NOT_RUNNING));
    };
    tauri::async_runtime::spawn(async move {
        responder.respond(client.answer(local(request), ORIGIN).await);
    });
}

/// Returns the request with a path as its URL, because the router doesn't know the window's scheme.
fn local(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn plain(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(words.as_bytes().to_vec());
    *response.status_mut() = status;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_path_and_query_alone() {
        let asked = Request::get("dashboard://localhost/jobs?limit=5").body(vec![]).unwrap();
        assert_eq!(local(asked).uri(), "/jobs?limit=5");
        let url = url();
        assert_eq!((url.scheme(), url.host_str()), (SCHEME, Some(HOST)));
    }
}
