//! Dashboard window. Passes its requests directly to the coordinator in this process, without a
//! network connection, a port or a token.

use node::app::App;
use tauri::http::{Request, Response, StatusCode, header};
use tauri::{Manager, Runtime, UriSchemeContext, UriSchemeResponder, Url};

/// Label of the dashboard window. Requests from other windows are rejected.
pub(crate) const LABEL: &str = "dashboard";
/// URL scheme of the dashboard.
pub(crate) const SCHEME: &str = "dashboard";
/// Host of the dashboard's URL. Requests with another host are rejected: it would be another
/// origin.
const HOST: &str = "localhost";

const NOT_OURS: &str = "This page is only available in the dashboard window.";
const NOT_RUNNING: &str =
    "The coordinator isn't running. Click the Constellation icon in the menu bar to see its state.";

/// Origin of the dashboard page.
const ORIGIN: &str = "dashboard://localhost";

/// Returns the start URL.
pub(crate) fn url() -> Url {
    Url::parse(ORIGIN).unwrap_or_else(|error| unreachable!("{ORIGIN}: {error}"))
}

/// Handles a request of the page.
#[expect(clippy::needless_pass_by_value, reason = "Tauri passes the arguments by value")]
pub(crate) fn answer<R: Runtime>(
    context: UriSchemeContext<'_, R>,
    request: Request<Vec<u8>>,
    responder: UriSchemeResponder,
) {
    if context.webview_label() != LABEL || request.uri().host() != Some(HOST) {
        return responder.respond(plain_text(StatusCode::FORBIDDEN, NOT_OURS));
    }
    let Some(coordinator) = context.app_handle().state::<App>().in_process_client() else {
        return responder.respond(plain_text(StatusCode::SERVICE_UNAVAILABLE, NOT_RUNNING));
    };
    tauri::async_runtime::spawn(async move {
        responder.respond(coordinator.answer(with_path_only(request), ORIGIN).await);
    });
}

/// Replaces the request's URL with its path and query, because the router doesn't accept the
/// window's scheme.
fn with_path_only(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn plain_text(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(message.as_bytes().to_vec());
    *response.status_mut() = status;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_only_its_path_and_query() {
        let request = Request::get("dashboard://localhost/jobs?limit=5").body(vec![]).unwrap();
        assert_eq!(with_path_only(request).uri(), "/jobs?limit=5");
        let url = url();
        assert_eq!((url.scheme(), url.host_str()), (SCHEME, Some(HOST)));
    }
}
