//! Every path that answers without a credential of the API's own. There is no other list: the
//! middleware lets these past, and the OpenAPI document says so of these.

use axum::http::Method;

use super::pages;

/// Methods and paths, as routes are written.
const PUBLIC: [(Method, &str); 9] = [
    (Method::GET, "/health"),
    // The documentation, which is the same everywhere.
    (Method::GET, "/openapi.json"),
    (Method::GET, "/docs"),
    (Method::GET, "/docs/"),
    (Method::GET, "/docs/{*rest}"),
    // Signing in: the link's code is the credential.
    (Method::POST, "/sessions"),
    // Becoming a device: a join code is the credential, known to both sides or shown.
    (Method::POST, "/join"),
    (Method::POST, "/devices/challenge"),
    (Method::POST, "/devices/register"),
];

/// Whether the route answers strangers.
pub(super) fn is_public(method: &Method, route: &str) -> bool {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    // The dashboard's files show nothing by themselves.
    let is_page = method == Method::GET && pages::is_page(route);
    is_page || PUBLIC.iter().any(|(public, path)| public == method && *path == route)
}
