use core_model::{ConversationId, Metadata, UtcTime};

/// What a transcript says above its first event.
///
/// ```
/// use core_model::{Metadata, Workspace, WorkspaceKind};
/// use transcript::export::Heading;
///
/// let workspace = Workspace {
///     working_dir: "workspace/project".to_owned(),
///     kind: WorkspaceKind::LocalWorkspace,
/// };
/// let metadata = Metadata::new(serde_json::json!({"kind": "Agent"}), workspace);
/// let heading = Heading { title: Some("Greetings".to_owned()), ..Heading::from(&metadata) };
/// assert_eq!(heading.name(), "Greetings");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The conversation.
    pub id: ConversationId,
    /// Its title, if it was given one.
    pub title: Option<String>,
    /// When it was made.
    pub created_at: Option<UtcTime>,
}

impl Heading {
    /// The heading of a conversation of which nothing else is known.
    ///
    /// ```
    /// let id = core_model::ConversationId::random();
    /// let heading = transcript::export::Heading::untitled(id);
    /// assert_eq!(heading.name(), format!("Conversation {id}"));
    /// ```
    #[must_use]
    pub fn untitled(id: ConversationId) -> Self {
        Self {
            id,
            title: None,
            created_at: None,
        }
    }

    /// What to call the conversation.
    ///
    /// ```
    /// use transcript::export::Heading;
    ///
    /// let id = core_model::ConversationId::random();
    /// let heading = Heading { title: Some(" ".to_owned()), ..Heading::untitled(id) };
    /// assert_eq!(heading.name(), format!("Conversation {id}"));
    /// ```
    #[must_use]
    pub fn name(&self) -> String {
        match self.title.as_deref().map(str::trim) {
            Some(title) if !title.is_empty() => title.to_owned(),
            Some(_) | None => format!("Conversation {}", self.id),
        }
    }
}

impl From<&Metadata> for Heading {
    fn from(metadata: &Metadata) -> Self {
        Self {
            id: metadata.id,
            title: metadata.title.clone(),
            created_at: Some(metadata.created_at),
        }
    }
}
