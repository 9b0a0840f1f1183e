//! OpenAPI document: the security schemes, the roles of each operation, the problems, and what generators of
//! clients need: unique operation ids, descriptions of all responses, and binary bodies that are binary.

use axum::http::Method;
use protocol::Problem;
use protocol::api::Role;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, ResponseBuilder};

use crate::http::auth::cookie::CookieName;
use crate::http::auth::public;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Constellation",
        description = "The coordinator's API. Errors are RFC 9457 problem details."
    ),
    components(schemas(Problem))
)]
pub(crate) struct Documentation;

/// Completes the document that the handlers' descriptions make up.
///
/// Adds security schemes for tokens and sessions, and the allowed roles of each operation. Leaves
/// out operations that declare no role and are not public; a test detects them.
pub(crate) fn complete(api: &mut utoipa::openapi::OpenApi, cookie: &CookieName) {
    let mut token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    token.description = Some(
        "A token, or on the coordinator's own machine the session from `POST /sessions`."
            .to_owned(),
    );
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie.as_str())));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("session", session);
    let mut join_code = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    join_code.description = Some("The proof of a join code.".to_owned());
    components.add_security_scheme("join_code", SecurityScheme::Http(join_code));
    for (route, path) in &mut api.paths.paths {
        let operations = [
            (Method::GET, &mut path.get),
            (Method::HEAD, &mut path.head),
            (Method::PUT, &mut path.put),
            (Method::POST, &mut path.post),
            (Method::PATCH, &mut path.patch),
            (Method::DELETE, &mut path.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            name_uniquely(operation, route);
            describe_responses(operation);
            mark_binary_bodies(operation);
            describe_problems(operation);
            let declared = operation.security.get_or_insert_default();
            if public::is_public(&method, route) {
                // The declared requirements are credentials that the handler checks itself.
            } else if declared.is_empty() {
                // An empty list would declare the operation public.
                operation.security = None;
            } else {
                declared.extend(of_sessions(declared));
            }
        }
    }
}

/// Puts the resource, which is the first part of the path, before the handler's name: `jobs_create`.
fn name_uniquely(operation: &mut Operation, route: &str) {
    let resource = route.trim_start_matches('/').split('/').next().unwrap_or_default();
    let resource = resource.replace('-', "_");
    if let Some(name) = &mut operation.operation_id
        && *name != resource
    {
        *name = format!("{resource}_{name}");
    }
}

/// Describes each response that has no description of its own with the operation's summary.
fn describe_responses(operation: &mut Operation) {
    let summary = operation.summary.clone().unwrap_or_else(|| "The result".to_owned());
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description.clone_from(&summary);
        }
    }
}

/// Gives bodies of bytes the schema of a file. Otherwise they would be lists of numbers.
fn mark_binary_bodies(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.iter_mut().for_each(|(kind, content)| mark_binary(kind, content));
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.iter_mut().for_each(|(kind, content)| mark_binary(kind, content));
    }
}

fn mark_binary(kind: &str, content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && kind != "application/json"
        && matches!(content.schema, Some(RefOr::T(Schema::Array(_))))
    {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let file = ObjectBuilder::new().schema_type(Type::String).format(Some(format));
        content.schema = Some(file.into());
    }
}

/// Documents all other responses as problems.
fn describe_problems(operation: &mut Operation) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new()
        .description("A problem")
        .content("application/problem+json", problem)
        .build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}

/// Returns what a session may do of what a token may do: the share of people.
fn of_sessions(declared: &[SecurityRequirement]) -> Option<SecurityRequirement> {
    let declared = serde_json::to_value(declared).ok()?;
    let roles = declared.as_array()?.iter().filter_map(|one| one.get("token")?.as_array());
    let roles = roles.flatten().filter_map(|role| role.as_str());
    let people = [Role::Viewer.word(), Role::Admin.word()];
    let roles: Vec<&str> = roles.filter(|role| people.contains(role)).collect();
    (!roles.is_empty()).then(|| SecurityRequirement::new("session", roles))
}
