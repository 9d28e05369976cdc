//! Where one webhook's events go: what was configured, and the requests that follow from it.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use core_model::{
    ConversationId, ConversationKey, ConversationOrder, HeadFilter, Row, Store, StoreError,
    UtcTime,
    masking::SecretMask,
    port::{ListQuery, Rewound},
    secrets::{secrets_in_header, secrets_in_url},
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use url::Url;
use uuid::Uuid;

use crate::{
    batch::{Batch, Portion},
    config::{InvalidWebhook, Method, SecretText, Target, WebhookConfig},
    schedule::Schedule,
    sender::{Outgoing, Sender},
    signature::Signer,
};

/// What webhooks need.
#[derive(Clone)]
pub struct Ports {
    /// What happens, and where it is recorded what was delivered of it.
    pub store: Arc<dyn Store>,
    /// Holds a folder for each conversation, named by its id.
    pub conversations: PathBuf,
}

/// Who sends.
#[derive(Clone, Default)]
pub struct ServerIdentity {
    /// The server's first API key, which is sent in the OpenHands form.
    pub session_key: Option<String>,
    /// `agent-server/0.1.0`.
    pub user_agent: String,
}

/// Rows of the list that are counted at a time.
const COUNT_PAGE: usize = 1024;

/// Headers of Standard Webhooks.
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
/// Which events of which conversation it brings.
const CONVERSATION: &str = "x-conversation-id";
const FIRST_SEQ: &str = "x-first-seq";
const LAST_SEQ: &str = "x-last-seq";
/// The header of the OpenHands form.
const SESSION_KEY: &str = "x-session-api-key";

/// Where the events of one webhook go.
pub(crate) struct Endpoint {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) config: WebhookConfig,
    pub(crate) portion: Portion,
    pub(crate) schedule: Schedule,
    pub(crate) ports: Ports,
    pub(crate) sender: Arc<dyn Sender>,
    /// Hides the webhook's secrets in what is shown of its deliveries.
    pub(crate) mask: SecretMask,
    signer: Option<Signer>,
    headers: HeaderMap,
    /// Where the ids of its deliveries come from.
    namespace: Uuid,
}

impl Endpoint {
    /// # Errors
    /// When the configuration has names of variables for what is to be sent.
    pub(crate) fn new(
        index: usize,
        config: WebhookConfig,
        ports: Ports,
        sender: Arc<dyn Sender>,
        server: &ServerIdentity,
    ) -> Result<Self, InvalidWebhook> {
        let kinds = &config.kinds;
        let filter = (!kinds.is_empty()).then(|| HeadFilter {
            kinds: kinds.iter().cloned().collect(),
            ..HeadFilter::default()
        });
        let id = config.id();
        Ok(Self {
            index,
            name: config.shown_name(),
            portion: Portion {
                filter,
                events: usize::try_from(config.event_buffer_size.get()).unwrap_or(usize::MAX),
                bytes: usize::try_from(config.max_batch_bytes).unwrap_or(usize::MAX),
            },
            schedule: Schedule {
                num_retries: config.num_retries,
                retry_delay: config.retry_delay,
                on_exhausted: config.on_exhausted,
            },
            ports,
            sender,
            mask: mask(&config, server),
            signer: config.signer()?,
            headers: headers(&config, server)?,
            namespace: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("webhook/{id}").as_bytes()),
            id,
            config,
        })
    }

    /// Whether it wants conversations too, not only their events.
    pub(crate) fn wants_conversations(&self) -> bool {
        matches!(self.config.target, Target::Base(_))
    }

    pub(crate) fn wants(&self, id: ConversationId) -> bool {
        let wanted = &self.config.conversations;
        wanted.is_empty() || wanted.contains(&id)
    }

    /// What the list has of a conversation, if its id was not given to another one since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn row(&self, of: &ConversationKey) -> Result<Option<Row>, StoreError> {
        let row = self.ports.store.row(of.id).await?;
        Ok(row.filter(|row| row.created_at == of.created_at))
    }

    /// All that it wants of the conversations that there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn count_wanted(&self) -> Result<Rewound, StoreError> {
        let mut rewound = Rewound {
            conversations: 0,
            events: 0,
        };
        let mut query = ListQuery {
            status: None,
            first: None,
            limit: COUNT_PAGE,
            order: ConversationOrder::Created,
        };
        loop {
            let page = self.ports.store.list(&query).await?;
            for row in page.rows.iter().filter(|row| self.wants(row.id)) {
                rewound.conversations += 1;
                rewound.events += row.extent.len.0;
            }
            query.first = page.next;
            if query.first.is_none() {
                return Ok(rewound);
            }
        }
    }

    /// The id of a delivery: the same for the same content, however often it is sent.
    pub(crate) fn delivery_id(
        &self,
        of: &ConversationKey,
        rewound: Option<UtcTime>,
        content: &str,
    ) -> String {
        let again = rewound.map(|at| at.0.timestamp_micros()).unwrap_or(0);
        let made = of.created_at.0.timestamp_micros();
        let name = format!("{}/{made}/{again}/{content}", of.id.hex());
        let id = Uuid::new_v5(&self.namespace, name.as_bytes());
        format!("msg_{}", id.simple())
    }

    /// The request that brings a batch.
    pub(crate) fn events(&self, id: &str, of: &ConversationKey, batch: &Batch) -> Outgoing {
        let url = self.url(&["events", &of.id.hex()]);
        let mut request = self.request(url, id, batch.body.clone());
        let headers = &mut request.headers;
        set(headers, CONVERSATION, &of.id.to_string());
        set(headers, FIRST_SEQ, &batch.first.0.to_string());
        set(headers, LAST_SEQ, &batch.last.0.to_string());
        request
    }

    /// The request with the details of a conversation.
    pub(crate) fn conversation(&self, id: &str, of: &ConversationKey, info: Bytes) -> Outgoing {
        let mut request = self.request(self.url(&["conversations"]), id, info);
        set(&mut request.headers, CONVERSATION, &of.id.to_string());
        request
    }

    /// A request with an event that is in no log.
    pub(crate) fn test(&self, id: &str, events: Bytes) -> Outgoing {
        let nobody = ConversationId(Uuid::nil());
        self.request(self.url(&["events", &nobody.hex()]), id, events)
    }

    fn url(&self, below: &[&str]) -> Url {
        match &self.config.target {
            Target::Url(url) => url.clone(),
            Target::Base(base) => {
                let mut url = base.clone();
                if let Ok(mut path) = url.path_segments_mut() {
                    path.pop_if_empty().extend(below);
                }
                url
            }
        }
    }

    fn request(&self, url: Url, id: &str, body: Bytes) -> Outgoing {
        let mut headers = self.headers.clone();
        let now = UtcTime::now().0.timestamp();
        set(&mut headers, ID, id);
        set(&mut headers, TIMESTAMP, &now.to_string());
        if let Some(signer) = &self.signer {
            set(&mut headers, SIGNATURE, &signer.sign(id, now, [&body]));
        }
        let method = match self.config.target {
            Target::Url(_) => self.config.method,
            Target::Base(_) => Method::Post,
        };
        Outgoing {
            url,
            method,
            headers,
            body,
            timeout: self.config.timeout,
        }
    }
}

/// What is configured outranks the defaults.
fn headers(config: &WebhookConfig, server: &ServerIdentity) -> Result<HeaderMap, InvalidWebhook> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(agent) = value(&server.user_agent) {
        headers.insert(USER_AGENT, agent);
    }
    if let (Target::Base(_), Some(key)) = (&config.target, &server.session_key)
        && let Some(mut value) = value(key)
    {
        value.set_sensitive(true);
        headers.insert(SESSION_KEY, value);
    }
    headers.extend(config.header_map()?);
    Ok(headers)
}

/// Every secret that a request may carry.
fn mask(config: &WebhookConfig, server: &ServerIdentity) -> SecretMask {
    let headers = config.headers.values().filter_map(SecretText::text);
    let secret = config.secret.as_ref().and_then(SecretText::text);
    let bare = secret
        .and_then(|secret| secret.split_once('_'))
        .map(|(_, bare)| bare);
    let mut secrets: Vec<String> = headers.flat_map(secrets_in_header).collect();
    secrets.extend([secret, bare].into_iter().flatten().map(str::to_owned));
    secrets.extend(server.session_key.clone());
    secrets.extend(secrets_in_url(config.target.url().as_str()));
    SecretMask::new(secrets)
}

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Some(value) = value(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}
