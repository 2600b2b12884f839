//! Lists, page by page and item by item: a namespace may have more pods than there is memory for all of them as they are
//! sent, and only what an item is read to is kept.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Result as JsonResult, Value};

use crate::cluster::Cluster;
use crate::cluster::address::query;
use crate::cluster::objects::projection::{Projection, WITHOUT_MANAGED_FIELDS};
use crate::cluster::objects::{Located, unserved};
use crate::cluster::transport::request_error::RequestError;
use crate::cluster::transport::{Call, LIST};
use crate::error::Result;

/// How many objects are listed per request.
pub(crate) const PAGE: &str = "500";
/// Pages of one list: half a million objects.
const PAGES: u32 = 1000;
/// How often a list is begun again whose next page the server no longer has.
const RESTARTS: u32 = 3;

/// An object of a list or of a watch as the server sent it.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// `v1`: in a list the items do not say it themselves.
    pub api_version: &'a str,
    /// `Pod`.
    pub kind: &'a str,
    json: &'a str,
}

impl<'a> Item<'a> {
    pub(crate) fn new(located: &'a Located, json: &'a RawValue) -> Self {
        Self { api_version: &located.resource.api_version, kind: &located.resource.kind, json: json.get() }
    }

    /// An object as a server would send it.
    #[cfg(test)]
    pub(crate) fn of(api_version: &'a str, kind: &'a str, json: &'a str) -> Self {
        Self { api_version, kind, json }
    }

    /// The object, as much of it as is asked for, with its `apiVersion` and `kind`.
    ///
    /// # Errors
    /// What is no JSON, or is nested too deeply.
    pub fn read(&self, projection: Projection) -> JsonResult<Value> {
        let mut object = projection.read(self.json)?;
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".to_owned(), Value::from(self.api_version));
            map.insert("kind".to_owned(), Value::from(self.kind));
        }
        Ok(object)
    }

    /// The object without its managed fields.
    ///
    /// # Errors
    /// What is no JSON, or is nested too deeply.
    pub fn without_managed_fields(&self) -> JsonResult<Value> {
        self.read(WITHOUT_MANAGED_FIELDS)
    }
}

/// One answer to a list.
pub(crate) struct Page<'a> {
    pub(crate) items: Vec<&'a RawValue>,
    /// Where the next page begins; empty at the end.
    pub(crate) after: String,
    /// The moment of the list: a watch from here misses nothing.
    pub(crate) position: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
}

impl<'a> Page<'a> {
    /// Reads an answer; metadata and items of odd types are as if they were missing.
    ///
    /// # Errors
    /// What is no JSON object.
    pub(crate) fn read(json: &'a [u8]) -> JsonResult<Self> {
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(serde_json::Error::custom("it is no object"));
        }
        let Envelope { metadata, items } = serde_json::from_slice(json)?;
        let metadata: Value =
            metadata.and_then(|metadata| serde_json::from_str(metadata.get()).ok()).unwrap_or_default();
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let items = items.and_then(|items| serde_json::from_str(items.get()).ok()).unwrap_or_default();
        Ok(Self { items, after: text("continue"), position: text("resourceVersion") })
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    after: Option<String>,
    asked: u32,
}

impl Pages {
    /// The request for the next page of a list that these parameters narrow down.
    pub(crate) fn call(&self, located: &Located, selectors: &[(&str, Option<&str>)]) -> Call {
        let mut parameters = selectors.to_vec();
        parameters.extend([("limit", Some(PAGE)), ("continue", self.after.as_deref())]);
        let path = located.collection() + &query(&parameters);
        Call { most: LIST, ..Call::get(path, located.wanted("list")) }
    }

    pub(crate) fn is_first(&self) -> bool {
        self.after.is_none()
    }

    /// Whether there is another page after one that names this as its end.
    ///
    /// # Errors
    /// [`RequestError::TooLong`] for pages that lead to one another.
    pub(crate) fn turn(&mut self, after: String, kind: &str) -> std::result::Result<bool, RequestError> {
        if after.is_empty() {
            return Ok(false);
        }
        self.asked += 1;
        if self.asked >= PAGES || self.after.as_ref() == Some(&after) {
            let message = format!("the list of {kind} that the API server returns does not end");
            return Err(RequestError::TooLong(message));
        }
        self.after = Some(after);
        Ok(true)
    }
}

impl Cluster {
    /// All objects of a kind in a namespace (`None` means the tier's; the whole cluster for a cluster-scoped kind) that a
    /// label selector, if any, selects, each as it is read by `read`. Only one page of what the server sends is in memory
    /// at a time.
    ///
    /// # Errors
    /// As [`Cluster::list`].
    pub async fn list_each<T>(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selector: Option<&str>,
        read: impl FnMut(Item<'_>) -> JsonResult<T>,
    ) -> Result<Vec<T>> {
        let located = self.locate(api_version, kind, namespace).await?;
        let selectors = [("labelSelector", selector)];
        let listed = self.pages(&located, &selectors, "application/json", read).await;
        listed.map(|(items, _)| items).map_err(|fault| {
            unserved(&fault, &located).unwrap_or_else(|| fault.into_error(&located.wanted("list")))
        })
    }

    /// The items of all pages, and the moment of the list.
    pub(crate) async fn pages<T>(
        &self,
        located: &Located,
        selectors: &[(&str, Option<&str>)],
        accept: &'static str,
        mut read: impl FnMut(Item<'_>) -> JsonResult<T>,
    ) -> std::result::Result<(Vec<T>, String), RequestError> {
        let (mut all, mut pages, mut restarts) = (Vec::new(), Pages::default(), 0);
        loop {
            let call = Call { accept, ..pages.call(located, selectors) };
            let json = match self.transport.bytes(&call).await {
                // The next page is older than what the server keeps: the list begins again.
                Err(fault) if fault.is_expired() && !pages.is_first() && restarts < RESTARTS => {
                    restarts += 1;
                    all.clear();
                    pages = Pages::default();
                    continue;
                }
                json => json?,
            };
            let page = Page::read(&json).map_err(|error| self.transport.unreadable(&error))?;
            for json in page.items {
                all.push(read(Item::new(located, json)).map_err(|error| self.transport.unreadable(&error))?);
            }
            if !pages.turn(page.after, &located.resource.kind)? {
                return Ok((all, page.position));
            }
        }
    }
}

/// The `metadata.resourceVersion` of an object, read no farther than it stands.
pub(crate) fn resource_version(json: &RawValue) -> Option<String> {
    let found = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    // It ends with an error where it was found: the rest need not be read.
    let _ = Seek { path: &["metadata", "resourceVersion"], found: &found }.deserialize(&mut deserializer);
    found.into_inner()
}

/// Looks for the text at a path.
struct Seek<'a> {
    path: &'static [&'static str],
    found: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        if self.path.is_empty() {
            let value = Value::deserialize(deserializer)?;
            self.found.set(value.as_str().map(ToOwned::to_owned));
            return Ok(());
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<(), A::Error> {
        let Some((name, path)) = self.path.split_first() else { return Ok(()) };
        while let Some(field) = fields.next_key::<String>()? {
            if field == *name {
                fields.next_value_seed(Seek { path, found: self.found })?;
                return Err(A::Error::custom("found"));
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(page: &Value) -> (usize, String, String) {
        let json = page.to_string();
        let page = Page::read(json.as_bytes()).expect("an answer");
        (page.items.len(), page.after, page.position)
    }

    #[test]
    fn what_is_odd_about_a_page_is_as_if_it_were_missing() {
        let page = json!({"kind": "PodList", "metadata": {"continue": "a", "resourceVersion": "7"}, "items": [{}, 1]});
        assert_eq!(read(&page), (2, "a".to_owned(), "7".to_owned()));
        for odd in [json!({}), json!({"items": null, "metadata": 7}), json!({"items": {"a": 1}})] {
            assert_eq!(read(&odd), (0, String::new(), String::new()), "{odd}");
        }
        for broken in ["", "7", "{\"items\": [", "[]"] {
            assert!(Page::read(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    /// A server of three pods on two pages, whose second page is gone so many times.
    async fn paging(gone: u64) -> wiremock::MockServer {
        use wiremock::matchers::{query_param, query_param_is_missing};
        use wiremock::{Mock, MockServer, ResponseTemplate};
        let page = |names: &[&str], after: &str| {
            let pods = names.iter().map(|name| json!({"metadata": {"name": name, "managedFields": []}}));
            let metadata = json!({"resourceVersion": "7", "continue": after});
            let list = json!({"metadata": metadata, "items": pods.collect::<Vec<_>>()});
            ResponseTemplate::new(200).set_body_json(list)
        };
        let expired = ResponseTemplate::new(410).set_body_json(json!({"kind": "Status", "code": 410}));
        let server = MockServer::start().await;
        Mock::given(query_param_is_missing("continue"))
            .and(query_param("limit", PAGE))
            .respond_with(page(&["a", "b"], "next"))
            .mount(&server)
            .await;
        if gone > 0 {
            let next = Mock::given(query_param("continue", "next")).respond_with(expired);
            next.up_to_n_times(gone).mount(&server).await;
        }
        Mock::given(query_param("continue", "next")).respond_with(page(&["c"], "")).mount(&server).await;
        server
    }

    #[tokio::test]
    async fn a_list_is_read_page_by_page_and_begun_again_when_its_next_page_is_gone() {
        let session = crate::session::Session::new(crate::report::Reporter::silent());
        for (gone, requests) in [(0, 2), (1, 4)] {
            let server = paging(gone).await;
            let cluster = Cluster::at(&server.uri(), "shop", &session).await;
            let name = |item: Item<'_>| {
                let pod = item.without_managed_fields()?;
                assert_eq!((&pod["kind"], &pod["metadata"]["managedFields"]), (&json!("Pod"), &Value::Null));
                Ok(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            };
            let names = cluster.list_each("v1", "Pod", None, None, name).await.expect("a list");
            assert_eq!(names, ["a", "b", "c"]);
            assert_eq!(server.received_requests().await.expect("requests").len(), requests);
        }
        let server = paging(9).await;
        let cluster = Cluster::at(&server.uri(), "shop", &session).await;
        assert!(cluster.list("v1", "Pod", None, None).await.is_err(), "it does not go on for ever");
    }

    #[test]
    fn the_position_of_an_object_is_its_own() {
        let position = |object: Value| {
            let json = RawValue::from_string(object.to_string()).expect("JSON");
            resource_version(&json)
        };
        let nested =
            json!({"spec": {"metadata": {"resourceVersion": "1"}}, "metadata": {"resourceVersion": "9"}});
        assert_eq!(position(nested).as_deref(), Some("9"));
        assert_eq!(position(json!({"metadata": {"resourceVersion": 9}})), None);
    }
}
