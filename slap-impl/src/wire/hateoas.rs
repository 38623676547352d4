//! The JSON documents of `/hateoas/` (slapos/proxy/hateoas.py serves them, slapos/slap/hateoas.py reads them).
//!
//! * for a master: [`Query::parse`], [`root_document`], [`search_document`], [`service_document`], [`computer_document`]
//! * for a client: [`Links::parse`], [`Query::to_text`], [`parse_rows`], [`properties`]
//!
//! Keys are written in alphabetical order, as Flask does.

use super::{instance_xml, uri_template::encode};
use serde_json::{Map, Value as Json, json};

/// What can be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All instance trees, or the one of a title.
    Services(Option<String>),
    /// All computers, or the one of a reference.
    Computers(Option<String>),
}

const SERVICES: &str = "portal_type:\"Instance Tree\" AND validation_state:validated";
const COMPUTERS: &str = "portal_type:\"Compute Node\" AND validation_state:validated";

impl Query {
    /// Reads a query; none when it is not one of the four.
    pub fn parse(text: &str) -> Option<Query> {
        // The real client writes a title as it is, also one with a quote in it (slapos/slap/hateoas.py, `_hateoas_getComputer` and others).
        let quoted = |text: &str| text.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
        if let Some(rest) = text.strip_prefix(SERVICES) {
            return match rest.strip_prefix(" AND title:=") {
                Some(title) => Some(Query::Services(Some(quoted(title)?))),
                None => rest.is_empty().then_some(Query::Services(None)),
            };
        }
        let rest = text.strip_prefix(COMPUTERS)?;
        match rest.strip_prefix(" AND reference:=") {
            Some(reference) => Some(Query::Computers(Some(quoted(reference)?))),
            None => rest.is_empty().then_some(Query::Computers(None)),
        }
    }

    /// As it is sent. slapproxy does not understand a name with a quote in it.
    pub fn to_text(&self) -> String {
        match self {
            Query::Services(None) => SERVICES.to_owned(),
            Query::Services(Some(title)) => format!("{SERVICES} AND title:=\"{title}\""),
            Query::Computers(None) => COMPUTERS.to_owned(),
            Query::Computers(Some(reference)) => format!("{COMPUTERS} AND reference:=\"{reference}\""),
        }
    }
}

/// A result of a search.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Row {
    /// The instance's title or the computer's reference.
    pub title: String,
    /// The computer's reference; slapproxy gives the partition's for an instance.
    pub reference: Option<String>,
    /// Where its document stands.
    pub relative_url: String,
    /// The release that it is an instance of.
    pub url_string: Option<String>,
}

/// What an instance tree's document says.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Service {
    /// Its title.
    pub reference: String,
    /// What is wanted; `unused` for a shared instance.
    pub requested_state: String,
    /// The release that it is an instance of.
    pub software_release: String,
    /// Which of the release's types.
    pub software_type: Option<String>,
    /// Whether it is a shared instance.
    pub shared: bool,
    /// Its parameters, as they are stored.
    pub parameters_xml: Option<String>,
    /// What it published, as it is stored.
    pub connection_xml: Option<String>,
    /// The last reports of its instances; none with slapproxy.
    pub news: Option<Vec<Json>>,
}

/// What a computer's document says.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ComputerInformation {
    /// Its reference.
    pub reference: String,
    /// Its title.
    pub title: String,
    /// The last reports: `computer`, and `partition` by partition; none with slapproxy.
    pub news: Option<Json>,
}

/// A document that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDocument(pub String);

impl std::fmt::Display for BadDocument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "bad hateoas document: {}", self.0)
    }
}

impl std::error::Error for BadDocument {}

/// Where the document of an instance tree of that title stands on our master.
pub fn service_path(title: &str, shared: bool) -> String {
    format!("/hateoas/{}/{}", if shared { "shared" } else { "partitions" }, encode(title))
}

/// Where the document of that computer stands on our master.
pub fn computer_path(reference: &str) -> String {
    format!("/hateoas/computers/{}", encode(reference))
}

/// The document of `/hateoas/`; `base` is the master's URL without a slash at its end.
pub fn root_document(base: &str) -> Json {
    json!({"_links": {
        "raw_search": {"href": format!("{base}/hateoas/?mode=search&query={{query}}&select_list={{select_list}}")},
        "traverse": {"href": format!("{base}/hateoas/?mode=traverse&relative_url={{relative_url}}&view={{view}}")},
    }})
}

/// The answer to a search.
pub fn search_document(rows: &[Row]) -> Json {
    let contents: Vec<Json> = rows
        .iter()
        .map(|row| {
            let mut items = Map::new();
            if let Some(reference) = &row.reference {
                items.insert("reference".to_owned(), json!(reference));
            }
            items.insert("relative_url".to_owned(), json!(row.relative_url));
            items.insert("title".to_owned(), json!(row.title));
            if let Some(url) = &row.url_string {
                items.insert("url_string".to_owned(), json!(url));
            }
            Json::Object(items)
        })
        .collect();
    json!({"_embedded": {"contents": contents}})
}

/// The document of an instance tree.
pub fn service_document(service: &Service) -> Json {
    let mut view = Map::new();
    view.insert("form_id".to_owned(), field("form_id", "StringField", json!("InstanceTree_viewAsHateoas")));
    let mut add = |name: &str, kind: &str, default: Json| {
        view.insert(format!("my_{name}"), field(&format!("field_my_{name}"), kind, default));
    };
    add("connection_parameter_list", "StringField", json!(service.connection_xml));
    if let Some(news) = &service.news {
        add("news", "StringField", json!({"instance": news}));
    }
    add("reference", "StringField", json!(service.reference));
    add("root_slave", "IntegerField", json!(u8::from(service.shared)));
    add("slap_state", "StringField", json!(service.requested_state));
    add("source_reference", "StringField", json!(service.software_type));
    add("text_content", "StringField", json!(service.parameters_xml));
    add("url_string", "StringField", json!(service.software_release));
    json!({"_embedded": {"_view": view}, "_links": {"type": {"name": "Instance Tree"}}})
}

/// The document of a computer.
pub fn computer_document(computer: &ComputerInformation) -> Json {
    let mut view = Map::new();
    view.insert("form_id".to_owned(), field("computer", "StringField", json!(computer.reference)));
    if let Some(news) = &computer.news {
        view.insert("my_news".to_owned(), field("news", "StringField", news.clone()));
    }
    view.insert("my_reference".to_owned(), field("reference", "StringField", json!(computer.reference)));
    view.insert("my_title".to_owned(), field("reference", "StringField", json!(computer.title)));
    json!({"_embedded": {"_view": view}, "_links": {"type": {"name": "Computer"}}})
}

fn field(key: &str, kind: &str, default: Json) -> Json {
    json!({"default": default, "key": key, "type": kind})
}

/// The templates in the document of `/hateoas/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// With `query` and `select_list`.
    pub search: String,
    /// With `relative_url` and `view`.
    pub traverse: String,
}

impl Links {
    /// Reads the document of `/hateoas/`.
    ///
    /// # Errors
    /// When a link is missing.
    pub fn parse(document: &Json) -> Result<Links, BadDocument> {
        let link = |name: &str| {
            let href = &document["_links"][name]["href"];
            href.as_str().map(str::to_owned).ok_or_else(|| BadDocument(format!("it has no link {name}")))
        };
        Ok(Links { search: link("raw_search")?, traverse: link("traverse")? })
    }
}

/// Reads the answer to a search.
///
/// # Errors
/// When it is none.
pub fn parse_rows(document: &Json) -> Result<Vec<Row>, BadDocument> {
    let contents = document["_embedded"]["contents"]
        .as_array()
        .ok_or_else(|| BadDocument("it has no _embedded.contents".to_owned()))?;
    let text = |item: &Json, name: &str| item[name].as_str().map(str::to_owned);
    contents
        .iter()
        .map(|item| {
            Ok(Row {
                title: text(item, "title")
                    .or_else(|| text(item, "reference"))
                    .ok_or_else(|| BadDocument("a result has no title".to_owned()))?,
                reference: text(item, "reference"),
                relative_url: text(item, "relative_url").unwrap_or_default(),
                url_string: text(item, "url_string"),
            })
        })
        .collect()
}

/// The fields of a document by their names without `my_` or `your_`; fields of other kinds than upstream reads are left
/// out (slapos/slap/hateoas.py, `_extractPropertyFromFormDict`).
///
/// # Errors
/// When it has no form.
pub fn properties(document: &Json) -> Result<Map<String, Json>, BadDocument> {
    let view = document["_embedded"]["_view"]
        .as_object()
        .ok_or_else(|| BadDocument("it has no _embedded._view".to_owned()))?;
    let mut found = Map::new();
    for (key, field) in view {
        let Some(name) = key.strip_prefix("my_").or_else(|| key.strip_prefix("your_")) else { continue };
        let kind = field["type"].as_str().unwrap_or_default();
        if ["StringField", "EmailField", "IntegerField", "FloatField", "TextAreaField"].contains(&kind) {
            found.insert(name.to_owned(), field.get("default").cloned().unwrap_or(Json::Null));
        }
    }
    Ok(found)
}

impl Service {
    /// Reads an instance tree's document; the real master gives the connection parameters as a list.
    ///
    /// # Errors
    /// When it is no such document.
    pub fn parse(document: &Json) -> Result<Service, BadDocument> {
        let fields = properties(document)?;
        let text = |name: &str| fields.get(name).and_then(Json::as_str).map(str::to_owned);
        let need = |name: &str| text(name).ok_or_else(|| BadDocument(format!("it has no field {name}")));
        let connection_xml = match fields.get("connection_parameter_list") {
            Some(Json::Array(items)) => {
                let item = |item: &Json| {
                    let key = item["connection_key"].as_str()?.to_owned();
                    Some((key, item["connection_value"].as_str().map(str::to_owned)))
                };
                Some(instance_xml::encode(&items.iter().filter_map(item).collect()))
            }
            _ => text("connection_parameter_list"),
        };
        let news = fields.get("news").and_then(|news| news["instance"].as_array().cloned());
        Ok(Service {
            reference: text("reference").or_else(|| text("title")).unwrap_or_default(),
            requested_state: need("slap_state")?,
            software_release: need("url_string")?,
            software_type: text("source_reference"),
            shared: fields
                .get("root_slave")
                .is_some_and(|value| *value != json!(0) && *value != json!(false) && !value.is_null()),
            parameters_xml: text("text_content"),
            connection_xml,
            news,
        })
    }
}

impl ComputerInformation {
    /// Reads a computer's document.
    ///
    /// # Errors
    /// When it is no such document.
    pub fn parse(document: &Json) -> Result<ComputerInformation, BadDocument> {
        let fields = properties(document)?;
        let text = |name: &str| {
            let text = fields.get(name).and_then(Json::as_str).map(str::to_owned);
            text.ok_or_else(|| BadDocument(format!("it has no field {name}")))
        };
        Ok(ComputerInformation {
            reference: text("reference")?,
            title: text("title")?,
            news: fields.get("news").filter(|news| news.is_object()).cloned(),
        })
    }
}

#[cfg(test)]
mod tests;
