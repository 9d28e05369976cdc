//! What people ask of webhooks, over real connections, of a host that delivers and of one that does not.
#![expect(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

#[path = "webhooks/scripted.rs"]
mod scripted;

use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use agent_runtime::{Runtime, RuntimeConfig};
use core_model::{
    LlmSettings, StoreError,
    port::{Deliveries, DeliveriesError},
};
use http_api::{Api, ApiConfig, ERROR_CODE_HEADER};
use reqwest::{Client, Method, RequestBuilder, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use store_fs::{FsStore, Options};
use tempfile::TempDir;

use scripted::{NAMES, Scripted, delivery, webhook};

const KEY: &str = "sekrit";
const DIALECTS: [&str; 2] = ["/webhooks", "/api/webhooks"];
const ID: &str = "4ed7564a-c465-4319-ba19-ee162b106852";
/// The second of [`NAMES`] in a path.
const ENCODED: &str = "http:%2F%2Flocalhost:9000%2fin%20box%2F100%252F%2B%C3%BC%3F%3B";

struct Host {
    address: String,
    client: Client,
    _folder: TempDir,
}

impl Host {
    async fn with(webhooks: Option<Arc<dyn Deliveries>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            FsStore::open(&folder.path().join("conversations"), Options::default()).unwrap();
        let llm = LlmSettings {
            model: "scripted".to_owned(),
            ..LlmSettings::default()
        };
        let runtime = RuntimeConfig::new([7; 32], llm, folder.path().join("project"), store.root());
        let config = ApiConfig {
            keys: vec![SecretString::from(KEY)],
            webhooks,
            ..ApiConfig::default()
        };
        let api = Api::new(Runtime::start(runtime, Arc::new(store)), config).unwrap();
        let server = HttpServer::new(move || {
            let api = api.clone();
            App::new()
                .route("/webhooks/hosts/own", web::post().to(|| async { "host" }))
                .configure(|cfg| api.configure(cfg))
                .service(web::scope("/tenants/{name}").configure(|cfg| api.configure(cfg)))
                .default_service(web::to(|| async {
                    HttpResponse::NotFound().body("host's 404")
                }))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let address = server.addrs()[0].to_string();
        tokio::spawn(server.run());
        Self {
            address,
            client: Client::new(),
            _folder: folder,
        }
    }

    async fn scripted() -> (Self, Arc<Scripted>) {
        let webhooks = Arc::new(Scripted::default());
        (Self::with(Some(webhooks.clone())).await, webhooks)
    }

    fn keyless(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.keyless(method, path).bearer_auth(KEY)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::POST, path)).await
    }
}

async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Status, code and what a person reads.
async fn refused(request: RequestBuilder) -> (u16, String, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let code = answer.headers()[ERROR_CODE_HEADER]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = answer.json().await.unwrap();
    (status, code, body["detail"].clone())
}

/// Every route, below a dialect's prefix.
fn routes(at: &str) -> [(Method, String); 6] {
    [
        (Method::GET, at.to_owned()),
        (Method::GET, format!("{at}/crm")),
        (Method::GET, format!("{at}/crm/deliveries")),
        (Method::POST, format!("{at}/crm/deliveries/d1/redeliver")),
        (Method::POST, format!("{at}/crm/test")),
        (Method::POST, format!("{at}/crm/rewind")),
    ]
}

#[actix_web::test]
async fn each_route_answers_in_both_dialects() {
    let (host, webhooks) = Host::scripted().await;
    for at in DIALECTS {
        let all = json!(NAMES.map(webhook));
        assert_eq!(host.get(at).await, (200, all.clone()), "{at}");
        let found = host.get(&format!("{at}/crm")).await;
        assert_eq!(found, (200, all[0].clone()), "{at}");
        assert_eq!(host.get(&format!("{at}/id-3")).await, found, "{at}");

        let list = |items: &[&str]| {
            let items: Vec<_> = items.iter().map(|id| delivery(id)).collect();
            let dead_letters = ["d0", "d1"].map(delivery);
            json!({"items": items, "dead_letters": dead_letters})
        };
        let deliveries = format!("{at}/crm/deliveries");
        assert_eq!(host.get(&deliveries).await, (200, list(&["d3", "d2"])));
        for (limit, shown) in [
            (1, ["d3"].as_slice()),
            (2, &["d3", "d2"]),
            (1000, &["d3", "d2"]),
        ] {
            let path = format!("{deliveries}?limit={limit}");
            assert_eq!(host.get(&path).await, (200, list(shown)), "{path}");
        }
        assert_eq!(webhooks.calls(), ["deliveries crm"; 4]);

        let again = host.post(&format!("{deliveries}/d1/redeliver")).await;
        let taken = json!({
            "id": "d1", "delivered": true, "status": 204, "reason": null, "milliseconds": 1.5
        });
        assert_eq!(again, (200, taken), "{at}");
        // That the receiver is not there is what was asked for.
        let tried = json!({
            "id": "t1", "delivered": false, "status": null, "reason": "connection refused",
            "milliseconds": 0.5
        });
        assert_eq!(
            host.post(&format!("{at}/crm/test")).await,
            (200, tried),
            "{at}"
        );
        let rewind = host.request(Method::POST, &format!("{at}/crm/rewind"));
        let rewind = rewind.json(&json!({"conversation_id": ID.replace('-', ""), "seq": 7}));
        let rewound = json!({"conversations": 2, "events": 9});
        assert_eq!(read(rewind).await, (200, rewound), "{at}");
        assert_eq!(
            webhooks.calls(),
            [
                "redeliver crm d1".to_owned(),
                "test crm".to_owned(),
                format!("rewind crm Some({ID:?}) Some(7)"),
            ]
        );
    }
}

#[actix_web::test]
async fn a_name_may_hold_anything() {
    let (host, webhooks) = Host::scripted().await;
    let odd = NAMES[1];
    // In the third, `name` is also what the host calls a part of its own path.
    for at in ["/webhooks", "/api/webhooks", "/tenants/acme/webhooks"] {
        let found = host.get(&format!("{at}/{ENCODED}")).await;
        assert_eq!(found, (200, json!(webhook(odd))), "{at}");
        host.get(&format!("{at}/{ENCODED}/deliveries")).await;
        host.post(&format!("{at}/{ENCODED}/deliveries/a%2Fb%25/redeliver"))
            .await;
        host.post(&format!("{at}/{ENCODED}/test")).await;
        host.post(&format!("{at}/{ENCODED}/rewind")).await;
        assert_eq!(
            webhooks.calls(),
            [
                format!("deliveries {odd}"),
                format!("redeliver {odd} a/b%"),
                format!("test {odd}"),
                format!("rewind {odd} None None"),
            ],
            "{at}"
        );
    }
    // A slash as it is parts the path.
    let slash = host.request(Method::GET, "/webhooks/http://localhost:9000");
    let (status, code, _) = refused(slash).await;
    assert_eq!((status, code.as_str()), (404, "not_found"));
}

#[actix_web::test]
async fn the_key_is_asked_for_before_anything_else() {
    let (host, webhooks) = Host::scripted().await;
    for at in DIALECTS {
        let unknown = [
            (Method::GET, format!("{at}/none")),
            (Method::PUT, at.to_owned()),
            (Method::GET, format!("{at}/no/such/path")),
        ];
        for (method, path) in routes(at).into_iter().chain(unknown) {
            let keyless = host.keyless(method.clone(), &path);
            let wrong = host.keyless(method.clone(), &path).bearer_auth("other");
            for request in [keyless, wrong] {
                let expected = (401, "unauthorized".to_owned(), json!("Unauthorized"));
                assert_eq!(refused(request).await, expected, "{method} {path}");
            }
        }
    }
    assert_eq!(webhooks.calls(), [""; 0]);
}

#[actix_web::test]
async fn a_refusal_has_a_status_and_a_code() {
    let (host, webhooks) = Host::scripted().await;
    for at in DIALECTS {
        // The first two ask for nothing that can be refused.
        for (method, path) in routes(at).into_iter().skip(2) {
            for (refusal, status, code) in refusals() {
                webhooks.refuse(refusal);
                let (found, said, detail) = refused(host.request(method.clone(), &path)).await;
                assert_eq!((found, said.as_str()), (status, code), "{path}");
                assert!(!detail.to_string().contains("secret"), "{detail}");
            }
        }
        let none = host.request(Method::GET, &format!("{at}/none"));
        let said = json!("Webhook not found: none");
        let expected = (404, "webhook_not_found".to_owned(), said);
        assert_eq!(refused(none).await, expected);
    }
}

fn refusals() -> [(DeliveriesError, u16, &'static str); 7] {
    let full = StoreError::Io {
        path: "/secret/crm.jsonl".to_owned(),
        source: std::io::Error::from_raw_os_error(28),
    };
    let text = str::to_owned;
    let id = ID.parse().unwrap();
    [
        (
            DeliveriesError::NoWebhook(text("crm")),
            404,
            "webhook_not_found",
        ),
        (
            DeliveriesError::NoDelivery(text("d1")),
            404,
            "delivery_not_found",
        ),
        (DeliveriesError::Gone(text("d1")), 410, "events_gone"),
        (
            DeliveriesError::NoConversation(id),
            404,
            "conversation_not_found",
        ),
        (
            DeliveriesError::NotWanted(text("crm")),
            409,
            "conversation_not_wanted",
        ),
        (DeliveriesError::Stopping, 503, "stopping"),
        (DeliveriesError::Store(full), 507, "disk_full"),
    ]
}

#[actix_web::test]
async fn a_rewind_that_may_be_meant_otherwise_does_nothing() {
    let (host, webhooks) = Host::scripted().await;
    let rewind = |body: &str| {
        let request = host.request(Method::POST, "/webhooks/crm/rewind");
        request.body(body.to_owned())
    };
    for (body, loc) in [
        (r#"{"seq": 3}"#, json!(["body", "seq"])),
        (r#"{"conversation": "x"}"#, json!(["body", "conversation"])),
        (
            r#"{"conversation_id": "x"}"#,
            json!(["body", "conversation_id"]),
        ),
        (
            r#"{"conversation_id": "4ed7564ac4654319ba19ee162b106852", "seq": -1}"#,
            json!(["body", "seq"]),
        ),
        ("[]", json!(["body"])),
        ("null", json!(["body"])),
        ("{bad", json!(["body", 1])),
    ] {
        let (status, code, detail) = refused(rewind(body)).await;
        assert_eq!((status, code.as_str()), (422, "invalid_request"), "{body}");
        assert_eq!(detail[0]["loc"], loc, "{body}");
    }
    let (status, _, detail) =
        refused(host.request(Method::GET, "/webhooks/crm/deliveries?limit=1001")).await;
    assert_eq!(
        (status, &detail[0]["loc"]),
        (422, &json!(["query", "limit"]))
    );
    assert_eq!(webhooks.calls(), [""; 0]);

    for body in ["", " \n", "{}", r#"{"conversation_id": null}"#] {
        assert_eq!(read(rewind(body)).await.0, 200, "{body:?}");
        assert_eq!(webhooks.calls(), ["rewind crm None None"], "{body:?}");
    }
}

#[actix_web::test]
async fn other_methods_are_refused_and_head_reads() {
    let (host, webhooks) = Host::scripted().await;
    for at in DIALECTS {
        for (method, path) in routes(at) {
            let (other, allow) = match method == Method::GET {
                true => (Method::POST, "GET, HEAD"),
                false => (Method::GET, "POST"),
            };
            let answer = host.request(other, &path).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{path}");
            assert_eq!(answer.headers()[header::ALLOW], allow, "{path}");
            assert_eq!(
                answer.headers()[ERROR_CODE_HEADER],
                "method_not_allowed",
                "{path}"
            );
        }
        assert_eq!(webhooks.calls(), [""; 0]);
        for (_, path) in routes(at).iter().take(3) {
            let full = host.request(Method::GET, path).send().await.unwrap();
            let length = full.text().await.unwrap().len().to_string();
            let head = host.request(Method::HEAD, path).send().await.unwrap();
            assert_eq!(head.status(), 200, "{path}");
            assert_eq!(
                head.headers()[header::CONTENT_LENGTH],
                length.as_str(),
                "{path}"
            );
            assert_eq!(head.text().await.unwrap(), "", "{path}");
        }
        assert_eq!(webhooks.calls(), ["deliveries crm"; 2]);
    }
}

#[actix_web::test]
async fn a_host_that_delivers_nothing_has_no_webhooks() {
    let host = Host::with(None).await;
    for at in DIALECTS {
        assert_eq!(host.get(at).await, (200, json!([])));
        for (method, path) in routes(at).into_iter().skip(1) {
            let expected = (
                404,
                "webhook_not_found".to_owned(),
                json!("Webhook not found: crm"),
            );
            assert_eq!(
                refused(host.request(method, &path)).await,
                expected,
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn what_the_host_serves_before_us_stays_the_hosts() {
    let (host, webhooks) = Host::scripted().await;
    let text = async |request: RequestBuilder| request.send().await.unwrap().text().await.unwrap();
    let own = host.keyless(Method::POST, "/webhooks/hosts/own");
    assert_eq!(text(own).await, "host");
    let near = host.keyless(Method::GET, "/webhooks-of-mine");
    assert_eq!(text(near).await, "host's 404");
    assert_eq!(webhooks.calls(), [""; 0]);
}
