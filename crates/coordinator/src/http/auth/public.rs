//! Public paths: the only ones that need no API credential. Both the authentication middleware and the
//! OpenAPI document use this list.

use axum::http::Method;

use crate::http::pages;

/// Methods and route patterns.
const PUBLIC: [(Method, &str); 9] = [
    (Method::GET, "/health"),
    // The API documentation, which contains no data of the cluster.
    (Method::GET, "/openapi.json"),
    (Method::GET, "/docs"),
    (Method::GET, "/docs/"),
    (Method::GET, "/docs/{*rest}"),
    // Signing in: the code in the sign-in link is the credential.
    (Method::POST, "/sessions"),
    // Enrolling a device: the join code is the credential.
    (Method::POST, "/join"),
    (Method::POST, "/devices/challenge"),
    (Method::POST, "/devices/register"),
];

/// Returns whether the route needs no credential.
pub(crate) fn is_public(method: &Method, route: &str) -> bool {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    // The dashboard's files contain no data.
    let is_page = method == Method::GET && pages::is_page(route);
    is_page || PUBLIC.iter().any(|(public, path)| public == method && *path == route)
}
